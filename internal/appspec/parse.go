package appspec

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"penstock/internal/template"
)

// Parse reads an AppSpec file. Every error is an *Error. Unknown keys and empty hooks are ignored.
func Parse(text []byte) (*Spec, error) {
	if len(text) > MaxSize {
		return nil, &Error{Line: 1, Message: fmt.Sprintf("The application specification file has %d bytes. Make it at most %d bytes, and then try again.", len(text), MaxSize)}
	}
	docs, err := template.Read("appspec.yml", text)
	var bad *template.Error
	switch {
	case errors.As(err, &bad):
		return nil, &Error{Line: bad.Line, Message: "The deployment failed because the application specification file could not be read: " + bad.Message + "."}
	case err != nil:
		return nil, &Error{Line: 1, Message: err.Error()}
	case len(docs) == 0:
		return nil, &Error{Line: 1, Message: "The deployment failed because the application specification file was empty. Make sure your AppSpec file defines at minimum the 'version' and 'os' properties."}
	}
	root := docs[0]
	if root.Kind != template.Map {
		return nil, refuse(root, "", "%s is not a map of settings; begin it with version: 0.0", shown(root))
	}
	s := &Spec{Hooks: map[string][]Script{}}
	for _, step := range []func(*Spec, *template.Node) *Error{version, system, files, existing, permissions, hooks} {
		if err := step(s, root); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// version must be the number: a quoted "0.0" is a text (C.1).
func version(_ *Spec, root *template.Node) *Error {
	n := root.Get("version")
	if n != nil && n.Kind == template.Number {
		if v, err := strconv.ParseFloat(n.Text, 64); err == nil && v == 0 {
			return nil
		}
	}
	return refuse(or(n, root), "version", "an invalid version value (%s) was entered in the application specification file. Make sure your AppSpec file specifies \"0.0\" as the version, without quotation marks, and then try again", shown(n))
}

func system(s *Spec, root *template.Node) *Error {
	n := root.Get("os")
	if n == nil || n.Text != "linux" && n.Text != "windows" {
		return refuse(or(n, root), "os", "the application specification file specifies an unsupported operating system (%s). Specify either \"linux\" or \"windows\" in the os section of the AppSpec file, and then try again", shown(n))
	}
	s.OS = n.Text
	return nil
}

func files(s *Spec, root *template.Node) *Error {
	return each(root.Get("files"), "files", func(field string, n *template.Node) *Error {
		source, err := text(n, field, "source")
		if err != nil {
			return err
		}
		destination, err := text(n, field, "destination")
		switch {
		case err != nil:
			return err
		case source == "":
			return refuse(n, field+".source", "the application specification file specifies a destination file, but no source file. Update the files section of the AppSpec file, and then try again")
		case destination == "":
			return refuse(n, field+".destination", "the application specification file specifies only a source file (%s). Add the name of the destination file to the files section of the AppSpec file, and then try again", clip(source))
		}
		f := File{Destination: destination}
		if f.Source, err = inside(n.Get("source"), field+".source"); err == nil && s.OS == "linux" {
			f.Destination, err = absolute(n.Get("destination"), field+".destination")
		}
		s.Files = append(s.Files, f)
		return err
	})
}

func existing(s *Spec, root *template.Node) *Error {
	n := root.Get("file_exists_behavior")
	if n == nil || n.Kind == template.Null {
		return nil
	}
	if n.Text != Disallow && n.Text != Overwrite && n.Text != Retain {
		return refuse(n, "file_exists_behavior", "an invalid file_exists_behavior value (%s) was entered in the application specification file. Make sure your AppSpec file specifies one of DISALLOW,OVERWRITE,RETAIN as the file_exists_behavior, and then try again", shown(n))
	}
	s.FileExistsBehavior = n.Text
	return nil
}

func hooks(s *Spec, root *template.Node) *Error {
	all := root.Get("hooks")
	if all == nil || all.Kind == template.Null {
		return nil
	}
	if all.Kind != template.Map {
		return refuse(all, "hooks", "%s is not a map of lifecycle events. Correct the hooks section of the AppSpec file, and then try again", shown(all))
	}
	for i, event := range all.Keys {
		err := each(all.Items[i], "hooks."+clip(event.Text), func(field string, n *template.Node) *Error {
			script, err := script(n, field)
			s.Hooks[event.Text] = append(s.Hooks[event.Text], script)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// userName is what su takes as a user and never as an option.
var userName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.@-]{0,127}\$?$`) })

func script(n *template.Node, field string) (s Script, err *Error) {
	location, err := text(n, field, "location")
	if err != nil {
		return s, err
	}
	if location == "" {
		return s, refuse(n, field+".location", "the application specification file specifies a script with no location value. Specify the location in the hooks section of the AppSpec file, and then try again")
	}
	if s.Location, err = inside(n.Get("location"), field+".location"); err != nil {
		return s, err
	}
	if s.Location == "." {
		return s, refuse(n.Get("location"), field+".location", "the location %s is the bundle and no script. Correct the hooks section of the AppSpec file, and then try again", shown(n.Get("location")))
	}
	s.Timeout = DefaultTimeout
	timeout, err := text(n, field, "timeout")
	if err != nil {
		return s, err
	}
	if timeout != "" {
		seconds, err := strconv.Atoi(timeout)
		if err != nil || seconds <= 0 || seconds > maxTimeout {
			return s, refuse(n.Get("timeout"), field+".timeout", "an invalid timeout value (%s) was provided for a script in the application specification file. Give a whole number of seconds above 0 in the hooks section of the AppSpec file, and then try again", clip(timeout))
		}
		s.Timeout = time.Duration(seconds) * time.Second
	}
	if s.RunAs, err = text(n, field, "runas"); err != nil {
		return s, err
	}
	if s.RunAs != "" && !userName().MatchString(s.RunAs) {
		return s, refuse(n.Get("runas"), field+".runas", "the application specification file names a user (%s) that cannot be one. Correct the hooks section of the AppSpec file, and then try again", clip(s.RunAs))
	}
	sudo, err := text(n, field, "sudo")
	if err != nil {
		return s, err
	}
	if sudo != "" {
		if s.Sudo = n.Get("sudo").Kind == template.Bool && sudo == "true"; !s.Sudo && sudo != "false" {
			return s, refuse(n.Get("sudo"), field+".sudo", "the value of sudo is %s. Specify true or false in the hooks section of the AppSpec file, and then try again", shown(n.Get("sudo")))
		}
	}
	return s, nil
}

// each calls read for every map of a list; nothing is an empty list.
func each(list *template.Node, field string, read func(field string, n *template.Node) *Error) *Error {
	if list == nil || list.Kind == template.Null {
		return nil
	}
	if list.Kind != template.List {
		return refuse(list, field, "%s is not a list. Correct the %s section of the AppSpec file, and then try again", shown(list), field)
	}
	for i, n := range list.Items {
		field := fmt.Sprintf("%s[%d]", field, i)
		if n.Kind != template.Map {
			return refuse(n, field, "%s is not a map of settings. Correct this entry of the AppSpec file, and then try again", shown(n))
		}
		if err := read(field, n); err != nil {
			return err
		}
	}
	return nil
}

// text reads a scalar of a map exactly as it is written, without white space around it; ""
// stands for nothing. The mode 0644 stays so. P-26
func text(n *template.Node, field, key string) (string, *Error) {
	v := n.Get(key)
	if v == nil || v.Kind == template.Null {
		return "", nil
	}
	if !v.Scalar() {
		return "", refuse(v, field+"."+key, "%s is no text. Correct this entry of the AppSpec file, and then try again", shown(v))
	}
	if strings.ContainsFunc(v.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", refuse(v, field+"."+key, "%s has a control character. Correct this entry of the AppSpec file, and then try again", shown(v))
	}
	return strings.TrimSpace(v.Text), nil
}

// inside gives the clean path of something in the bundle; a slash at the beginning is the bundle itself.
func inside(n *template.Node, field string) (string, *Error) {
	p := path.Clean(strings.TrimLeft(strings.TrimSpace(n.Text), "/"))
	if !filepath.IsLocal(p) {
		return "", refuse(n, field, "the path %s leaves the bundle. Name something that is in it, and then try again", shown(n))
	}
	return p, nil
}

func absolute(n *template.Node, field string) (string, *Error) {
	p := path.Clean(strings.TrimSpace(n.Text))
	if !path.IsAbs(p) {
		return "", refuse(n, field, "the path %s is not absolute. Begin it with a slash, and then try again", shown(n))
	}
	return p, nil
}

func refuse(n *template.Node, field, format string, args ...any) *Error {
	return &Error{Line: max(n.Line, 1), Field: field, Message: "The deployment failed because " + fmt.Sprintf(format, args...) + "."}
}

func or(n, other *template.Node) *template.Node {
	if n == nil {
		return other
	}
	return n
}

// shown describes a value in a message.
func shown(n *template.Node) string {
	switch {
	case n == nil || n.Kind == template.Null:
		return "nothing"
	case n.Kind == template.List:
		return "a list"
	case n.Kind == template.Map:
		return "a map"
	case n.Kind == template.String:
		return strconv.Quote(clip(n.Text))
	}
	return clip(n.Text)
}

// clip keeps a piece of somebody's text short.
func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}
