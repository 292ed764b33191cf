package runner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// P-9, hostile: nothing of a build stays behind, however deep and closed it made its folders.
func TestRemove(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "build")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Mkdir(outside, 0o500)); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * deepest {
		if err := root.Mkdir("d", 0o755); err != nil {
			t.Fatal(err)
		}
		root.WriteFile("f", nil, 0o400)
		root.Symlink(outside, "l")
		next, err := root.OpenRoot("d")
		root.Close()
		if err != nil {
			t.Fatal(err)
		}
		root = next
	}
	// More than is read at once, where all of it is moved.
	for i := range atOnce + 1 {
		if err := root.Mkdir(strconv.Itoa(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	root.Close()
	if err := errors.Join(os.MkdirAll(filepath.Join(dir, "mod/x"), 0o755), os.Chmod(filepath.Join(dir, "mod/x"), 0), os.Chmod(filepath.Join(dir, "mod"), 0o500)); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if fi, err := os.Stat(outside); err != nil || fi.Mode().Perm() != 0o500 {
		t.Error("a link was followed:", fi, err)
	}
	if err := Remove(dir); err != nil {
		t.Error("twice:", err)
	}
}
