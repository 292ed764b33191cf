package runner

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// deepest is how deep a tree may be for os.RemoveAll, which holds a file open per level.
const deepest = 200

// Remove removes the workspace of a session that is closed, if it is there. What ran in it may have left folders that nobody may enter -
// Go's module cache does - and, to annoy, trees deeper than a server has files to open.
func Remove(dir string) error {
	for {
		// A name the build cannot have taken.
		keep := ".deep-" + rand.Text() + "-"
		moved, err := flatten(dir, keep)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !moved {
			return os.RemoveAll(dir)
		}
		// What is not deep goes first, so that no round looks at it again.
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), keep) {
				if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
					return err
				}
			}
		}
	}
}

// flatten makes every folder enterable and moves those that are too deep up to the top.
func flatten(dir, keep string) (moved bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	n := 0
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if fi, err := d.Info(); err == nil && fi.Mode().Perm()&0o700 != 0o700 {
			if err := root.Chmod(p, 0o700); err != nil {
				return err
			}
		}
		if strings.Count(p, "/") < deepest {
			return nil
		}
		n++
		if err := root.Rename(p, keep+strconv.Itoa(n)); err != nil {
			return err
		}
		return fs.SkipDir
	})
	return n > 0, err
}
