package appspec_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"penstock/internal/appspec"
)

const full = `version: 0.0
os: linux
files:
  - source: /
    destination: /srv/app/
  - {source: conf/app.ini, destination: /etc/app}
file_exists_behavior: RETAIN
permissions:
  - object: /srv/app
    pattern: "*.sh"
    except: [secret.sh, "a*b"]
    owner: deploy
    group: www
    mode: 4750
    acls: ["u:other:rwx", "d:g:ops:r", "m:5"]
    context: {user: system_u, type: httpd_sys_content_t, range: "s0-s3:c0.c255,c300"}
    type: [file]
  - object: /etc/app/app.ini
    mode: 7
hooks:
  ApplicationStop:
  BeforeInstall:
    - location: scripts/stop.sh
      timeout: 300
      runas: deploy
      sudo: true
    - location: scripts/two.sh
  AfterInstall: []
  Custom:
    - {location: " /x.sh ", sudo: false}
Resources: of another kind of application
`

// C.1, P-26: every part of the format is read; unknown keys and empty hooks are ignored.
func TestParseFull(t *testing.T) {
	t.Parallel()
	s, err := appspec.Parse([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	want := &appspec.Spec{
		OS:                 "linux",
		Files:              []appspec.File{{".", "/srv/app"}, {"conf/app.ini", "/etc/app"}},
		FileExistsBehavior: "RETAIN",
		Permissions: []appspec.Permission{
			{
				Object: "/srv/app", Pattern: "*.sh", Except: []string{"secret.sh", "a*b"}, Files: true, Owner: "deploy", Group: "www", Mode: "4750",
				ACLs:    appspec.ACL{{Type: "user", Name: "other", Bits: 7}, {Default: true, Type: "group", Name: "ops", Bits: 4}, {Type: "mask", Bits: 5}},
				Context: &appspec.Context{User: "system_u", Type: "httpd_sys_content_t", Range: "s0-s3:c0.c255,c300"},
			},
			{Object: "/etc/app/app.ini", Pattern: "**", Files: true, Directories: true, Mode: "007"},
		},
		Hooks: map[string][]appspec.Script{
			"BeforeInstall": {{"scripts/stop.sh", 300 * time.Second, "deploy", true}, {"scripts/two.sh", time.Hour, "", false}},
			"Custom":        {{"x.sh", time.Hour, "", false}},
		},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

// P-26: a mode is what is written. AWS's agent reads 0644 as a number and sets 420.
func TestModeAsWritten(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{"644": "644", "0644": "0644", `"0755"`: "0755", "4": "004"} {
		s, err := appspec.Parse([]byte("version: 0.0\nos: linux\npermissions: [{object: /x, mode: " + written + "}]"))
		if err != nil || s.Permissions[0].Mode != want {
			t.Errorf("%s: %v, %v", written, s, err)
		}
	}
}

// C.1: what is refused, where, and in which words.
func TestRefused(t *testing.T) {
	t.Parallel()
	const head = "version: 0.0\nos: linux\n"
	for _, c := range []struct {
		name, text, field, words string
		line                     int
	}{
		{"empty", "", "", "was empty", 1},
		{"nothing but comments", "# x\n", "", "was empty", 1},
		{"no YAML", "version: [", "", "could not be read", 2},
		{"a list", "- a", "", "a list is not a map", 1},
		{"no version", "os: linux", "version", "invalid version value (nothing)", 1},
		{"a quoted version", "os: linux\nversion: \"0.0\"", "version", `("0.0")`, 2},
		{"another version", "version: 1.0", "version", "(1.0)", 1},
		{"no os", "version: 0.0", "os", "unsupported operating system (nothing)", 1},
		{"another os", "version: 0\nos: plan9", "os", `unsupported operating system ("plan9")`, 2},
		{"files without source", head + "files:\n  - destination: /x", "files[0].source", "no source file", 4},
		{"files without destination", head + "files: [{source: a}]", "files[0].destination", "only a source file (a)", 3},
		{"files as a map", head + "files: {a: b}", "files", "a map is not a list", 3},
		{"files of texts", head + "files: [a]", "files[0]", `"a" is not a map`, 3},
		{"a source outside", head + "files: [{source: a/../../b, destination: /x}]", "files[0].source", "leaves the bundle", 3},
		{"an absolute source outside", head + "files: [{source: /../b, destination: /x}]", "files[0].source", "leaves the bundle", 3},
		{"a relative destination", head + "files: [{source: a, destination: x/y}]", "files[0].destination", "is not absolute", 3},
		{"a line break", head + `files: [{source: a, destination: "/x\ny"}]`, "files[0].destination", "control character", 3},
		{"a behaviour", head + "file_exists_behavior: retain", "file_exists_behavior", "one of DISALLOW,OVERWRITE,RETAIN", 3},
		{"permissions without object", head + "permissions: [{mode: 644}]", "permissions[0].object", "no object value", 3},
		{"a relative object", head + "permissions: [{object: x}]", "permissions[0].object", "is not absolute", 3},
		{"a mode of five", head + "permissions: [{object: /x, mode: 06444}]", "permissions[0].mode", "between one and four", 3},
		{"a mode of 8", head + "permissions: [{object: /x, mode: 688}]", "permissions[0].mode", "(688)", 3},
		{"a type", head + "permissions: [{object: /x, type: [link]}]", "permissions[0].type", "not supported for permissions (link)", 3},
		{"a context without type", head + "permissions: [{object: /x, context: {user: u}}]", "permissions[0].context.type", "without a type", 3},
		{"a context with spaces", head + "permissions: [{object: /x, context: {type: a b}}]", "permissions[0].context.type", "invalid context type (a b)", 3},
		{"a range", head + "permissions: [{object: /x, context: {type: t, range: s3-s1}}]", "permissions[0].context.range", "SELinux range", 3},
		{"a category", head + "permissions: [{object: /x, context: {type: t, range: 's0:c1024'}}]", "permissions[0].context.range", "SELinux range", 3},
		{"a category range", head + "permissions: [{object: /x, context: {type: t, range: 's0:c9.c3'}}]", "permissions[0].context.range", "SELinux range", 3},
		{"an acl", head + "permissions: [{object: /x, acls: ['x:y:z:r']}]", "permissions[0].acls", "Invalid acl entry (x:y:z:r)", 3},
		{"an acl of the owner", head + "permissions: [{object: /x, acls: ['u::rwx']}]", "permissions[0].acls", "Use mode to set", 3},
		{"an acl of a named mask", head + "permissions: [{object: /x, acls: ['m:me:r']}]", "permissions[0].acls", "Invalid acl entry", 3},
		{"an acl of a letter", head + "permissions: [{object: /x, acls: ['u:me:q']}]", "permissions[0].acls", "invalid character (q)", 3},
		{"an acl of two", head + "permissions: [{object: /x, acls: ['u:a,u:b:r']}]", "permissions[0].acls", "Invalid acl entry", 3},
		{"an acl twice default", head + "permissions: [{object: /x, acls: ['d:d:a:r']}]", "permissions[0].acls", "Invalid acl entry", 3},
		{"permissions on windows", "version: 0.0\nos: windows\npermissions: [{object: /x}]", "permissions[0]", "targeting Windows", 3},
		{"a hook without location", head + "hooks:\n  ApplicationStart:\n    - timeout: 3", "hooks.ApplicationStart[0].location", "no location value", 5},
		{"a location outside", head + "hooks: {A: [{location: ../x}]}", "hooks.A[0].location", "leaves the bundle", 3},
		{"a location that is all", head + "hooks: {A: [{location: /}]}", "hooks.A[0].location", "is the bundle", 3},
		{"a timeout of 0", head + "hooks: {A: [{location: x, timeout: 0}]}", "hooks.A[0].timeout", "invalid timeout value (0)", 3},
		{"a timeout below 0", head + "hooks: {A: [{location: x, timeout: -5}]}", "hooks.A[0].timeout", "(-5)", 3},
		{"a timeout of words", head + "hooks: {A: [{location: x, timeout: long}]}", "hooks.A[0].timeout", "(long)", 3},
		{"a timeout that never ends", head + "hooks: {A: [{location: x, timeout: 99999999999999999999}]}", "hooks.A[0].timeout", "whole number", 3},
		{"a user that is an option", head + "hooks: {A: [{location: x, runas: -c}]}", "hooks.A[0].runas", "cannot be one", 3},
		{"sudo", head + "hooks: {A: [{location: x, sudo: maybe}]}", "hooks.A[0].sudo", "true or false", 3},
		{"a location that is a list", head + "hooks: {A: [{location: [x]}]}", "hooks.A[0].location", "a list is no text", 3},
		{"hooks as a list", head + "hooks: [a]", "hooks", "not a map of lifecycle events", 3},
		{"too large", head + "# " + strings.Repeat("x", appspec.MaxSize), "", "at most 102400 bytes", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, err := appspec.Parse([]byte(c.text))
			var bad *appspec.Error
			if !errors.As(err, &bad) {
				t.Fatalf("%+v, %v", s, err)
			}
			if bad.Line != c.line || bad.Field != c.field || !strings.Contains(bad.Message, c.words) {
				t.Errorf("line %d, %q: %s", bad.Line, bad.Field, bad.Message)
			}
		})
	}
}

// C.1: a pattern is of one level, ** is everything below.
func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, except, name string
		want                  bool
	}{
		{"**", "", "a/b/c", true},
		{"**", "c", "a/b/c", true},
		{"**", "a*", "abc", false},
		{"*", "", "a", true},
		{"*", "", "a/b", false},
		{"*.sh", "", "x.sh", true},
		{"*.sh", "", ".sh", true},
		{"*.sh", "", "x.sho", false},
		{"a*b*c", "", "a1b2b3c", true},
		{"a*b*c", "", "acb", false},
		{"a*a", "", "a", false},
		{"abc", "", "abc", true},
		{"[a]", "", "a", false},
		{"a/b", "", "a/b", false},
	} {
		p := appspec.Permission{Pattern: c.pattern, Except: []string{c.except}}
		if got := p.Matches(c.name); got != c.want {
			t.Errorf("%q without %q on %q: %v", c.pattern, c.except, c.name, got)
		}
	}
}

// C.1: what stands in the file is completed from the mode, as setfacl asks for it.
func TestACL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ acls, want string }{
		{"'u:me:rwx'", "user:me:rwx,user::rw-,group::r--,other::---,mask::r--"},
		{"'me:6', 'm:7'", "user:me:rw-,mask::rwx,user::rw-,group::r--,other::---"},
		{"'d:me:r'", "default:user:me:r--,user::rw-,group::r--,other::---,default:user::rw-,default:group::r--,default:other::---,default:mask::r--"},
		{"'d:g::5', 'd:o:0', 'default:g:ops:rx'", "default:group::r-x,default:other::---,default:group:ops:r-x,user::rw-,group::r--,other::---,default:user::rw-,default:mask::r-x"},
	} {
		s, err := appspec.Parse([]byte("version: 0.0\nos: linux\npermissions: [{object: /x, acls: [" + c.acls + "]}]"))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Permissions[0].ACLs.Full(0o640); got != c.want {
			t.Errorf("%s: %s", c.acls, got)
		}
	}
}

// C.1: what a permission of a single file cannot have.
func TestOnFile(t *testing.T) {
	t.Parallel()
	for words, p := range map[string]appspec.Permission{
		"":                 {Pattern: "**"},
		"invalid pattern":  {Pattern: "*"},
		"except parameter": {Pattern: "**", Except: []string{"a"}},
	} {
		if got := p.OnFile(); !strings.Contains(got, words) || (got == "") != (words == "") {
			t.Errorf("%q: %s", words, got)
		}
	}
}
