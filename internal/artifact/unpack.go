package artifact

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxLink = 4096
	maxName = 4096
)

// Unpack writes the archive's files into dir, which must not exist and whose parent must.
//
// Refused, with an *EntryError: names that are absolute, hold "..", a backslash or a
// control character; names that stand twice; what is not a file, a folder or a symbolic
// link; links that leave dir; encrypted files; and whatever goes over the limits, also when
// the archive lies about its sizes. Of the modes only the x bit is restored. After any
// error dir does not exist.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string, lim Limits) (err error) {
	z, err := zip.NewReader(r, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("the archive is not a ZIP file: %w", err)
	}
	entries, err := check(z, lim)
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, left: lim.Bytes, made: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
	// Links come last, so that no file is written through one.
	for _, links := range []bool{false, true} {
		for _, e := range entries {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if links == (e.file.Mode()&fs.ModeSymlink != 0) {
				if err := u.write(e); err != nil {
					return err
				}
			}
		}
	}
	for _, e := range entries {
		// Links that stay inside one by one may leave together.
		if e.file.Mode()&fs.ModeSymlink != 0 {
			if _, err := root.Stat(e.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return refuse(e.file.Name, "is a link that leaves the archive")
			}
		}
	}
	return nil
}

type entry struct {
	name string // clean, relative
	file *zip.File
}

// check looks at all headers before anything is written.
func check(z *zip.Reader, lim Limits) ([]entry, error) {
	if len(z.File) > lim.Entries {
		return nil, fmt.Errorf("the archive has %d entries, more than %d", len(z.File), lim.Entries)
	}
	var total uint64
	seen := make(map[string]bool, len(z.File))
	out := make([]entry, 0, len(z.File))
	for _, f := range z.File {
		name, err := cleanName(f.Name)
		if err != nil {
			return nil, err
		}
		mode := f.Mode()
		isDir := mode.IsDir() || strings.HasSuffix(f.Name, "/")
		switch {
		case isDir:
		case !mode.IsRegular() && mode.Type() != fs.ModeSymlink:
			return nil, refuse(f.Name, "is neither a file, a folder nor a link")
		case name == ".":
			return nil, refuse(f.Name, "has no name")
		case seen[name]:
			return nil, refuse(f.Name, "stands in the archive twice")
		case f.Flags&1 != 0:
			return nil, refuse(f.Name, "is encrypted")
		case f.UncompressedSize64 > 1<<20 && f.UncompressedSize64/max(1, f.CompressedSize64) > uint64(lim.Ratio):
			return nil, refuse(f.Name, "is packed more than %d to 1", lim.Ratio)
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > uint64(lim.Bytes) || total > uint64(lim.Bytes) {
			return nil, refuse(f.Name, "makes the archive larger than %d bytes", lim.Bytes)
		}
		seen[name] = seen[name] || !isDir
		if name != "." {
			out = append(out, entry{name, f})
		}
	}
	return out, nil
}

func cleanName(name string) (string, error) {
	switch {
	case len(name) > maxName:
		return "", refuse(name, "has a name of more than %d bytes", maxName)
	case !utf8.ValidString(name):
		return "", refuse(name, "has a name that is not UTF-8")
	case strings.HasPrefix(name, "/"):
		return "", refuse(name, "has an absolute name")
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == '\\' || r == 0x7f }):
		return "", refuse(name, "has a backslash or a control character in its name")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", refuse(name, "leaves the archive")
	}
	return path.Clean(name), nil
}

type unpacker struct {
	root *os.Root
	left int64
	made map[string]bool
	buf  []byte
}

func (u *unpacker) write(e entry) error {
	if e.file.Mode().IsDir() || strings.HasSuffix(e.file.Name, "/") {
		return u.mkdir(e, e.name)
	}
	if err := u.mkdir(e, path.Dir(e.name)); err != nil {
		return err
	}
	src, err := e.file.Open()
	if err != nil {
		return refuse(e.file.Name, "cannot be unpacked: %v", err)
	}
	defer src.Close()
	if e.file.Mode()&fs.ModeSymlink != 0 {
		return u.link(e, src)
	}
	perm := fs.FileMode(0o644)
	if e.file.Mode()&0o111 != 0 {
		perm = 0o755
	}
	dst, err := u.root.OpenFile(e.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return u.told(e, err)
	}
	// One byte more than said is enough to catch a liar.
	most := min(u.left, int64(e.file.UncompressedSize64))
	n, err := io.CopyBuffer(struct{ io.Writer }{dst}, io.LimitReader(src, most+1), u.buf)
	err = errors.Join(err, dst.Close())
	if u.left -= n; n > most {
		return refuse(e.file.Name, "is larger than the archive says")
	}
	if err != nil {
		return refuse(e.file.Name, "cannot be unpacked: %v", err)
	}
	return nil
}

func (u *unpacker) link(e entry, src io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(src, maxLink+1))
	target := string(b)
	switch {
	case err != nil:
		return refuse(e.file.Name, "cannot be unpacked: %v", err)
	case len(target) == 0 || len(target) > maxLink || strings.ContainsRune(target, 0):
		return refuse(e.file.Name, "is a link with an impossible target")
	case path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(e.name), target)):
		return refuse(e.file.Name, "is a link that leaves the archive")
	}
	if err := u.root.Symlink(target, e.name); err != nil {
		return u.told(e, err)
	}
	return nil
}

func (u *unpacker) mkdir(e entry, dir string) error {
	if u.made[dir] {
		return nil
	}
	if err := u.root.MkdirAll(dir, 0o755); err != nil {
		return u.told(e, err)
	}
	u.made[dir] = true
	return nil
}

// told names the entry a system error is about; what stands in its way is in the archive
// too, because dir was new.
func (u *unpacker) told(e entry, err error) error {
	if errors.Is(err, fs.ErrExist) || strings.Contains(err.Error(), "not a directory") {
		return refuse(e.file.Name, "is in the way of another entry")
	}
	return fmt.Errorf("unpack %q: %w", e.file.Name, err)
}
