package appspec_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"penstock/internal/appspec"
)

// C.1, hostile: any text is a specification whose paths stay in the bundle, or an *Error, soon.
func FuzzParse(f *testing.F) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for _, c := range []string{"b", "c", "d", "e", "f", "g"} {
		bomb += c + ": &" + c + " [" + strings.Repeat("*"+string(c[0]-1)+",", 9) + "]\n"
	}
	for _, seed := range []string{full, bomb, "version: 0.0\nos: linux\nhooks: &a {A: *a}", "- a", "? [x]\n: y", "version: !!binary 0.0", "version: 0.0\nos: linux\nfiles: [{source: /../.., destination: /}]",
		"version: -0e1000\nos: &l linux\nhooks: {<<: [{A: [{location: \"\\u00a0/x\\u2028\", timeout: +01, runas: a$}]}], A: ~}", "%TAG ! at L0.C0:\n--- !x \"\\xff\"\n... # c\n",
		"version: 0x0\nos: windows\nfiles: [{source: ' / ', destination: C}]\npermissions: [{object: /}]", "version: 0.0\nos: linux\nhooks: {A: [{location: x, timeout: 1e1000}]}", "\ufeff\u0085a: \"\\ud800\"", "? |\n #\n- #\n# x\n\n: -\n#"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := appspec.Parse([]byte(text))
		var bad *appspec.Error
		if err != nil && (!errors.As(err, &bad) || bad.Line < 1 || !utf8.ValidString(err.Error())) || (err == nil) != (spec != nil) {
			t.Fatalf("%v %v", spec, err)
		}
		if spec == nil {
			return
		}
		for _, file := range spec.Files {
			if !filepath.IsLocal(file.Source) || spec.OS == "linux" && !filepath.IsAbs(file.Destination) {
				t.Fatalf("%+v", file)
			}
		}
		for _, p := range spec.Permissions {
			if !filepath.IsAbs(p.Object) || p.Pattern == "" || strings.Trim(p.Mode, "01234567") != "" || spec.OS != "linux" {
				t.Fatalf("%+v", p)
			}
			for _, e := range p.ACLs {
				if e.Bits&^7 != 0 || strings.ContainsAny(e.String(), ", \n") || e.Type == "" {
					t.Fatalf("%+v", e)
				}
			}
		}
		for _, scripts := range spec.Hooks {
			for _, s := range scripts {
				if !filepath.IsLocal(s.Location) || s.Location == "." || s.Timeout <= 0 || strings.HasPrefix(s.RunAs, "-") {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}
