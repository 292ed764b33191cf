package store_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// The SQLite driver is machine-translated against one version of its C library and breaks
// in odd places with another, which any dependency's upgrade could bring in.
func TestTheDriverHasTheLibraryItWasMadeFor(t *testing.T) {
	t.Parallel()
	module := func(name string) (m struct{ Version, GoMod string }) {
		list := exec.CommandContext(t.Context(), "go", "list", "-m", "-json", name)
		list.Env = append(os.Environ(), "GOPROXY=off")
		out, err := list.Output()
		if err != nil {
			t.Fatalf("%v: %v", list, err)
		}
		if err := json.Unmarshal(out, &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	driver := module("modernc.org/sqlite")
	text, err := os.ReadFile(driver.GoMod)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^\s*(?:require )?modernc\.org/libc (\S+)`).FindSubmatch(text)
	if want == nil {
		t.Fatalf("%s does not name modernc.org/libc", driver.GoMod)
	}
	if got := module("modernc.org/libc").Version; got != string(want[1]) {
		t.Errorf("go.mod has modernc.org/libc %s; modernc.org/sqlite %s was made for %s", got, driver.Version, want[1])
	}
}
