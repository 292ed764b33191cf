package runner

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// deepest is how deep a tree may be for os.RemoveAll, which holds a file open per level.
const deepest = 200

// atOnce is how many entries of a folder are read at once.
const atOnce = 1000

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
		top, err := os.Open(dir)
		if err != nil {
			return err
		}
		err = each(top, func(e fs.DirEntry) error {
			if strings.HasPrefix(e.Name(), keep) {
				return nil
			}
			return os.RemoveAll(filepath.Join(dir, e.Name()))
		})
		if err != nil {
			return err
		}
	}
}

// each does f with what is in a folder, and closes it. Of a folder, which may have any number of
// entries, only some are in memory.
func each(dir *os.File, f func(e fs.DirEntry) error) error {
	defer dir.Close()
	for {
		some, err := dir.ReadDir(atOnce)
		for _, e := range some {
			if err := f(e); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
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
	var visit func(p string, depth int) error
	visit = func(p string, depth int) error {
		fi, err := root.Lstat(p)
		if err != nil {
			return err
		}
		if fi.Mode().Perm()&0o700 != 0o700 {
			if err := root.Chmod(p, 0o700); err != nil {
				return err
			}
		}
		if depth > deepest {
			n++
			return root.Rename(p, keep+strconv.Itoa(n))
		}
		d, err := root.Open(p)
		if err != nil {
			return err
		}
		return each(d, func(e fs.DirEntry) error {
			if !e.IsDir() {
				return nil
			}
			return visit(path.Join(p, e.Name()), depth+1)
		})
	}
	err = visit(".", 0)
	return n > 0, err
}
