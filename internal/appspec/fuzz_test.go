package appspec_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"penstock/internal/appspec"
)

// C.1, hostile: any text is a specification whose paths stay in the bundle, or an *Error, soon.
func FuzzParse(f *testing.F) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for _, c := range []string{"b", "c", "d", "e", "f", "g"} {
		bomb += c + ": &" + c + " [" + strings.Repeat("*"+string(c[0]-1)+",", 9) + "]\n"
	}
	for _, seed := range []string{full, bomb, "version: 0.0\nos: linux\nhooks: &a {A: *a}", "- a", "? [x]\n: y", "version: !!binary 0.0", "version: 0.0\nos: linux\nfiles: [{source: /../.., destination: /}]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := appspec.Parse([]byte(text))
		var bad *appspec.Error
		if err != nil && (!errors.As(err, &bad) || bad.Line < 1) || (err == nil) != (spec != nil) {
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
		for _, scripts := range spec.Hooks {
			for _, s := range scripts {
				if !filepath.IsLocal(s.Location) || s.Timeout <= 0 || strings.HasPrefix(s.RunAs, "-") {
					t.Fatalf("%+v", s)
				}
			}
		}
	})
}
