package buildspec_test

import (
	"errors"
	"testing"

	"penstock/internal/buildspec"
)

// A.1, hostile: any text is a specification or an *Error, soon.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{full, bomb(), "version: 0.2\nphases: {build: {on-failure: RETRY-3-.*}}", "- a", "? [x]\n: y", "a: &a [*a]", "version: !!binary 0.2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		spec, err := buildspec.Parse([]byte(text))
		var bad *buildspec.Error
		if err != nil && !errors.As(err, &bad) || (err == nil) != (spec != nil) {
			t.Fatalf("%v %v", spec, err)
		}
	})
}
