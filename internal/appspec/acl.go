package appspec

import (
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// ACL is the list of a permission's acls.
type ACL []Entry

// Entry is one entry of an access control list.
type Entry struct {
	// Default is about what will be made in a folder.
	Default bool
	// Type is user, group, mask or other.
	Type string
	// Name is a user or a group; "" is the owner.
	Name string
	// Bits are read 4, write 2, execute 1.
	Bits int
}

var aclName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_.@$-]{0,128}$`) })

// parseEntry reads [d[efault]:][[u|g|m|o]:][name:]rwx, and says why it cannot.
func parseEntry(text string) (e Entry, why string) {
	const invalid = "Invalid acl entry"
	parts := strings.Split(text, ":")
	if len(parts) < 2 || len(parts) > 4 {
		return e, invalid
	}
	perms, who := parts[len(parts)-1], parts[len(parts)-2]
	front := parts[:len(parts)-2]
	if len(front) > 0 && (front[0] == "d" || front[0] == "default") {
		e.Default, front = true, front[1:]
	}
	long := map[string]string{"m": "mask", "mask": "mask", "o": "other", "other": "other", "g": "group", "group": "group", "u": "user", "user": "user"}
	switch {
	case len(front) == 1 && long[front[0]] != "":
		e.Type, e.Name = long[front[0]], who
	case len(front) > 0:
		return e, invalid
	case long[who] == "mask" || long[who] == "other":
		e.Type = long[who]
	default:
		e.Type, e.Name = "user", who
	}
	switch {
	case !aclName().MatchString(e.Name), (e.Type == "mask" || e.Type == "other") && e.Name != "":
		return e, invalid
	case !e.Default && e.Type != "mask" && e.Name == "":
		return e, "Use mode to set the base acl entry"
	}
	if len(perms) == 1 && perms[0] >= '0' && perms[0] <= '7' {
		e.Bits = int(perms[0] - '0')
		return e, ""
	}
	for _, c := range perms {
		switch c {
		case 'r':
			e.Bits |= 4
		case 'w':
			e.Bits |= 2
		case 'x':
			e.Bits |= 1
		case '-':
		default:
			return e, fmt.Sprintf("The entry contains an invalid character (%c)", c)
		}
	}
	return e, ""
}

// String writes an entry as setfacl reads it.
func (e Entry) String() string {
	s := e.Type + ":" + e.Name + ":"
	if e.Default {
		s = "default:" + s
	}
	for i, c := range "rwx" {
		if e.Bits&(4>>i) == 0 {
			c = '-'
		}
		s += string(c)
	}
	return s
}

// HasDefault says whether an entry is about what will be made in a folder, so that the list
// is none for a file. (C.1)
func (a ACL) HasDefault() bool {
	return slices.ContainsFunc(a, func(e Entry) bool { return e.Default })
}

// Full is the list with what setfacl asks for beside it, taken from the mode of the object:
// the base entries, and a mask where somebody is named.
func (a ACL) Full(mode fs.FileMode) string {
	full := slices.Clone(a)
	owner, group, other := int(mode>>6&7), int(mode>>3&7), int(mode&7)
	for _, d := range []bool{false, true} {
		if d && !a.HasDefault() {
			break
		}
		add := func(kind string, bits int) {
			if !slices.ContainsFunc(full, func(e Entry) bool { return e.Default == d && e.Type == kind && e.Name == "" }) {
				full = append(full, Entry{Default: d, Type: kind, Bits: bits})
			}
		}
		add("user", owner)
		add("group", group)
		add("other", other)
		if slices.ContainsFunc(a, func(e Entry) bool { return e.Default == d && e.Name != "" }) {
			i := slices.IndexFunc(full, func(e Entry) bool { return e.Default == d && e.Type == "group" && e.Name == "" })
			add("mask", full[i].Bits)
		}
	}
	texts := make([]string, len(full))
	for i, e := range full {
		texts[i] = e.String()
	}
	return strings.Join(texts, ",")
}
