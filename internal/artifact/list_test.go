package artifact

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// P-9, hostile: a listing ends where a tree has too much of anything, also of what is not listed.
func TestListBounds(t *testing.T) {
	t.Parallel()
	lim := Limits{Entries: 10}
	long := strings.Repeat("x", 240)
	for name, c := range map[string]struct {
		make func(dir string, i int) error
		n    int
		want string
	}{
		"files":   {func(dir string, i int) error { return os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600) }, 11, "more than 10 files"},
		"folders": {func(dir string, i int) error { return os.Mkdir(filepath.Join(dir, fmt.Sprint(i)), 0o700) }, 21, "more than 20 files and folders"},
		"pipes":   {func(dir string, i int) error { return syscall.Mkfifo(filepath.Join(dir, fmt.Sprint(i)), 0o600) }, 21, "more than 20 files and folders"},
		"deep": {func(dir string, i int) error {
			return os.MkdirAll(filepath.Join(dir, strings.Repeat("d/", i)), 0o700)
		}, 22, "more than 20 files and folders"},
		"names": {func(dir string, i int) error {
			dir = filepath.Join(dir, strings.Repeat(long+"/", 14))
			return errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
		}, 400, "names longer than"},
	} {
		dir := t.TempDir()
		for i := range c.n {
			if err := c.make(dir, i); err != nil {
				t.Fatal(err)
			}
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		most := lim
		if name == "names" {
			most.Entries = 400
		}
		if got, err := list(t.Context(), root, most); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %d names, %v", name, len(got), err)
		}
		if err := root.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
