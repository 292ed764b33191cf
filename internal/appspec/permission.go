package appspec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"penstock/internal/template"
)

func permissions(s *Spec, root *template.Node) *Error {
	return each(root.Get("permissions"), "permissions", func(field string, n *template.Node) *Error {
		p, err := permission(n, field)
		if err == nil && s.OS != "linux" {
			err = refuse(n, field, "the application specification file specifies file permissions, but the deployment is targeting Windows. Remove the permissions section of the AppSpec file, and then try again")
		}
		s.Permissions = append(s.Permissions, p)
		return err
	})
}

var (
	octal   = regexp.MustCompile(`^[0-7]{1,4}$`)
	context = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.]{1,128}$`) })
	mls     = regexp.MustCompile(`^s(\d{1,5})(?:-s(\d{1,5}))?(?::(c\d{1,4}(?:\.c\d{1,4})?(?:,c\d{1,4}(?:\.c\d{1,4})?)*))?$`)
)

// entry is a key of a map and where its value goes.
type entry struct {
	key string
	to  *string
}

func permission(n *template.Node, field string) (p Permission, err *Error) {
	object, err := text(n, field, "object")
	if err != nil {
		return p, err
	}
	if object == "" {
		return p, refuse(n, field+".object", "a permission listed in the application specification file has no object value. Update the permissions section of the AppSpec file, and then try again")
	}
	if p.Object, err = absolute(n.Get("object"), field+".object"); err != nil {
		return p, err
	}
	for _, part := range []entry{{"pattern", &p.Pattern}, {"owner", &p.Owner}, {"group", &p.Group}, {"mode", &p.Mode}} {
		if *part.to, err = text(n, field, part.key); err != nil {
			return p, err
		}
	}
	if p.Pattern == "" {
		p.Pattern = "**"
	}
	if p.Except, err = list(n, field, "except"); err != nil {
		return p, err
	}
	if p.Mode != "" && !octal.MatchString(p.Mode) {
		return p, refuse(n.Get("mode"), field+".mode", "the permissions mode (%s) in the application specification file is invalid. Permissions modes must be between one and four characters long, each from 0 to 7. Update the permissions section of the AppSpec file, and then try again", clip(p.Mode))
	}
	for p.Mode != "" && len(p.Mode) < 3 {
		p.Mode = "0" + p.Mode
	}
	types, err := list(n, field, "type")
	if err != nil {
		return p, err
	}
	for _, t := range types {
		if t != "file" && t != "directory" {
			return p, refuse(n.Get("type"), field+".type", "the application specification file specifies a permission for an object type not supported for permissions (%s). Specify file or directory in the permissions section of the AppSpec file, and then try again", clip(t))
		}
	}
	p.Files = types == nil || slices.Contains(types, "file")
	p.Directories = types == nil || slices.Contains(types, "directory")
	acls, err := list(n, field, "acls")
	if err != nil {
		return p, err
	}
	for _, text := range acls {
		e, why := parseEntry(text)
		if why != "" {
			return p, refuse(n.Get("acls"), field+".acls", "of a problem with the acls permission settings in the application specification file: %s (%s). Update the permissions section of the AppSpec file, and then try again", why, clip(text))
		}
		p.ACLs = append(p.ACLs, e)
	}
	p.Context, err = contextOf(n.Get("context"), field+".context")
	return p, err
}

func contextOf(n *template.Node, field string) (*Context, *Error) {
	if n == nil || n.Kind == template.Null {
		return nil, nil
	}
	c := &Context{}
	for _, part := range []entry{{"user", &c.User}, {"type", &c.Type}, {"range", &c.Range}} {
		v, err := text(n, field, part.key)
		if err != nil {
			return nil, err
		}
		if *part.to = v; part.key != "range" && v != "" && !context().MatchString(v) {
			return nil, refuse(n.Get(part.key), field+"."+part.key, "the application specification file specifies an invalid context %s (%s). Update the permissions section of the AppSpec file, and then try again", part.key, clip(v))
		}
	}
	if c.Type == "" {
		return nil, refuse(n, field+".type", "the application specification file specifies a context without a type. Update the permissions section of the AppSpec file, and then try again")
	}
	if c.Range != "" && !validRange(c.Range) {
		return nil, refuse(n.Get("range"), field+".range", "of a problem with the SELinux range specified (%s) for the context parameter in the permissions section of the application specification file. Make corrections in the permissions section of the AppSpec file, and then try again", clip(c.Range))
	}
	return c, nil
}

// validRange checks a range such as s0-s3:c0.c255,c300.
func validRange(text string) bool {
	m := mls.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	low, _ := strconv.Atoi(m[1])
	if high, err := strconv.Atoi(m[2]); err == nil && high < low {
		return false
	}
	for part := range strings.SplitSeq(m[3], ",") {
		from, to, ranged := strings.Cut(part, ".")
		a, _ := strconv.Atoi(strings.TrimPrefix(from, "c"))
		b, _ := strconv.Atoi(strings.TrimPrefix(to, "c"))
		if a > 1023 || ranged && (b < a || b > 1023) {
			return false
		}
	}
	return true
}

// list reads a list of texts; nil is none.
func list(n *template.Node, field, key string) ([]string, *Error) {
	v := n.Get(key)
	if v == nil || v.Kind == template.Null {
		return nil, nil
	}
	if v.Kind != template.List {
		return nil, refuse(v, field+"."+key, "%s is not a list. Correct this entry of the AppSpec file, and then try again", shown(v))
	}
	out := []string{}
	for _, item := range v.Items {
		if !item.Scalar() {
			return nil, refuse(item, field+"."+key, "%s is no text. Correct this entry of the AppSpec file, and then try again", shown(item))
		}
		out = append(out, strings.TrimSpace(item.Text))
	}
	return out, nil
}

// Matches says whether the permission of a folder is about something in it, whose name
// relative to the folder is given. The pattern ** is all that lies below; any other is of
// one level, and a star in it stands for any text. (C.1)
func (p Permission) Matches(name string) bool {
	return (p.Pattern == "**" || glob(p.Pattern, name)) &&
		!slices.ContainsFunc(p.Except, func(e string) bool { return glob(e, name) })
}

func glob(pattern, name string) bool {
	if strings.Contains(name, "/") {
		return false
	}
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, parts[0])
	last := parts[len(parts)-1]
	if !ok || len(name) < len(last) || !strings.HasSuffix(name, last) {
		return false
	}
	name = name[:len(name)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		if _, name, ok = strings.Cut(name, part); !ok {
			return false
		}
	}
	return true
}

// OnFile says why the permission cannot be one of a single file, and "" where it can. (C.1)
func (p Permission) OnFile() string {
	switch {
	case p.Pattern != "**":
		return "the application specification file includes an object (" + p.Object + ") with an invalid pattern (" + clip(p.Pattern) + "), such as a pattern for a file applied to a directory. Correct the permissions section of the AppSpec file, and then try again."
	case len(p.Except) > 0:
		return "the except parameter for a pattern in the permissions section (" + clip(strings.Join(p.Except, ", ")) + ") for the object named " + p.Object + " contains an invalid format. Update the AppSpec file, and then try again."
	}
	return ""
}
