package artifact

import (
	"context"
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

// P-9, hostile: a file of holes is refused by its size, and packing one ends when it is to, not when
// the file does.
func TestPackSparse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, size := range map[string]int64{"huge": 1 << 40, "large": 15 << 30} {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Truncate(size); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	written := 0
	err = Pack(t.Context(), writerFunc(func(p []byte) { written += len(p) }), root, []File{{"huge", "huge"}}, Options{})
	if err == nil || !strings.Contains(err.Error(), "too large") || written > 1<<10 {
		t.Errorf("huge: %v after %d bytes", err, written)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	written = 0
	err = Pack(ctx, writerFunc(func(p []byte) { written += len(p); cancel() }), root, []File{{"large", "large"}}, Options{})
	if !errors.Is(err, context.Canceled) || written > 1<<20 {
		t.Errorf("large: %v after %d bytes", err, written)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}
