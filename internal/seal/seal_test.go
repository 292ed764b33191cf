package seal_test

import (
	"errors"
	"strings"
	"testing"

	"penstock/internal/seal"
)

func ring(t *testing.T, keys ...[]byte) *seal.Ring {
	t.Helper()
	var text []byte
	for _, k := range keys {
		text = append(text, k...)
	}
	r, err := seal.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A text opens where it was sealed for, and nowhere else.
func TestSeal(t *testing.T) {
	t.Parallel()
	r := ring(t, seal.Fresh())
	for _, plain := range []string{"", "x", strings.Repeat("ä", 40_000)} {
		sealed := r.Seal(plain, "parameter", "1", "r", "/a", "1")
		if strings.Contains(sealed, "x") && plain == "x" && len(sealed) < 100 {
			t.Error(sealed)
		}
		if got, err := r.Open(sealed, "parameter", "1", "r", "/a", "1"); got != plain || err != nil {
			t.Errorf("%.20q, %v", got, err)
		}
		if again := r.Seal(plain, "parameter", "1", "r", "/a", "1"); again == sealed {
			t.Error("the same text is sealed in the same way twice")
		}
		for _, about := range [][]string{
			nil, {"parameter", "1", "r", "/a", "2"}, {"parameter", "1", "r", "/b", "1"}, {"parameter", "2", "r", "/a", "1"},
			{"parameter", "1", "r", "/a1"}, {"parameter1", "r", "/a", "1"}, {"secret", "1", "r", "/a", "1"},
		} {
			if _, err := r.Open(sealed, about...); !errors.Is(err, seal.ErrBroken) {
				t.Errorf("%q: %v", about, err)
			}
		}
		for i := range len(sealed) {
			if i > 60 && i < len(sealed)-60 {
				continue
			}
			changed := sealed[:i] + string(sealed[i]^1) + sealed[i+1:]
			if got, err := r.Open(changed, "parameter", "1", "r", "/a", "1"); err == nil && i < len(sealed)-1 {
				t.Errorf("byte %d changed: %.20q", i, got)
			}
			if _, err := r.Open(sealed[:i], "parameter", "1", "r", "/a", "1"); err == nil {
				t.Errorf("cut at byte %d", i)
			}
		}
	}
}

// A new key goes in front; what the old one has sealed still opens.
func TestRotation(t *testing.T) {
	t.Parallel()
	a, b := seal.Fresh(), seal.Fresh()
	before, after, only := ring(t, a), ring(t, b, a), ring(t, b)
	old, young := before.Seal("x", "p"), after.Seal("y", "p")
	if got, err := after.Open(old, "p"); got != "x" || err != nil {
		t.Error(got, err)
	}
	if id, ok := seal.KeyOf(old); !ok || id != before.ID() || !after.Has(id) || only.Has(id) {
		t.Error(id, ok)
	}
	if id, ok := seal.KeyOf(young); !ok || id != only.ID() || id != after.ID() {
		t.Error(id, ok)
	}
	if _, err := only.Open(old, "p"); !errors.Is(err, seal.ErrForeign) {
		t.Error(err)
	}
	for _, text := range []string{"", "x", "sealed.1.", "sealed.1.zz.aa", "sealed.2." + old[9:]} {
		if _, ok := seal.KeyOf(text); ok {
			t.Errorf("%q has the form of a sealed text", text)
		}
		if _, err := after.Open(text, "p"); !errors.Is(err, seal.ErrBroken) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is no key is refused without being repeated.
func TestParse(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# a comment\n\n", "c2hvcnQ=", "secret words", string(seal.Fresh()) + "hunter2", strings.Repeat(string(seal.Fresh()), 17)} {
		if _, err := seal.Parse([]byte(text)); err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "secret words") {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	if _, err := seal.Parse(append([]byte("# of November\r\n\r\n"), seal.Fresh()...)); err != nil {
		t.Error(err)
	}
}
