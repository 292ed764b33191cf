package artifact

import (
	"archive/zip"
	"bytes"
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
func Unpack(ctx context.Context, r io.ReaderAt, size int64, dir string, lim Limits) error {
	return into(dir, lim, func(u *unpacker) error { return u.zip(ctx, r, size, lim) })
}

// into makes dir and lets fill fill it; after an error dir does not exist.
func into(dir string, lim Limits, fill func(u *unpacker) error) (err error) {
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
	u := &unpacker{root: root, left: lim.Bytes, names: lim.names(), folders: lim.Entries, made: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
	if err := fill(u); err != nil {
		return err
	}
	// Links come last, so that no file is written through one.
	for _, l := range u.links {
		if err := u.link(l); err != nil {
			return err
		}
	}
	for _, l := range u.links {
		// Links that stay inside one by one may leave together.
		if _, err := root.Stat(l.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return refuse(l.given, "is a link that leaves the archive")
		}
	}
	return nil
}

// zip writes the files of a ZIP archive and notes its links.
func (u *unpacker) zip(ctx context.Context, r io.ReaderAt, size int64, lim Limits) error {
	headers := &headers{ReaderAt: r, lim: lim}
	z, err := zip.NewReader(headers, size)
	headers.read = true
	switch {
	case err == nil, errors.Is(err, zip.ErrInsecurePath):
	case headers.tooMany:
		return fmt.Errorf("the archive has more than %d entries, or names longer than %d bytes together", lim.Entries, lim.names())
	default:
		return fmt.Errorf("the archive is not a ZIP file: %w", err)
	}
	entries, err := check(z, lim)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := u.entry(e); err != nil {
			return err
		}
	}
	return nil
}

type entry struct {
	name string // clean, relative
	file *zip.File
}

// headers reads an archive until all of its headers are read, and these only as far as there may
// be some: how many there are, an archive says as it likes, and each takes memory.
type headers struct {
	io.ReaderAt
	lim           Limits
	read, tooMany bool
	bytes, found  int
}

// header begins each header of the directory of a ZIP file.
var header = []byte("PK\x01\x02")

// spare is how many headers more than allowed may be read: some are seen twice, where the end of
// the archive is looked for, and check counts exactly.
const spare = 4096

func (h *headers) ReadAt(p []byte, off int64) (int, error) {
	n, err := h.ReaderAt.ReadAt(p, off)
	if h.read {
		return n, err
	}
	h.bytes += n
	h.found += bytes.Count(p[:n], header)
	if h.bytes > h.lim.names() || h.found > h.lim.Entries+spare {
		h.tooMany = true
		return 0, errors.New("too many headers")
	}
	return n, err
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
	root    *os.Root
	left    int64
	names   int  // bytes that may still be kept of them
	folders int  // the most there may be
	modes   bool // keep who may read and write
	made    map[string]bool
	links   []link
	buf     []byte
}

// link is a symbolic link of an archive: its name there and clean, and what it says.
type link struct{ given, name, target string }

// keeps counts bytes of a name or a link that stay in memory.
func (u *unpacker) keeps(given string, n int) error {
	if u.names -= n; u.names < 0 {
		return refuse(given, "makes the names longer than all may be together")
	}
	return nil
}

func (u *unpacker) entry(e entry) error {
	if e.file.Mode().IsDir() || strings.HasSuffix(e.file.Name, "/") {
		return u.mkdir(e.file.Name, e.name)
	}
	src, err := e.file.Open()
	if err != nil {
		return refuse(e.file.Name, "cannot be unpacked: %v", err)
	}
	defer src.Close()
	if e.file.Mode()&fs.ModeSymlink != 0 {
		b, err := io.ReadAll(io.LimitReader(src, maxLink+1))
		if err != nil {
			return refuse(e.file.Name, "cannot be unpacked: %v", err)
		}
		u.links = append(u.links, link{e.file.Name, e.name, string(b)})
		return u.keeps(e.file.Name, len(b))
	}
	return u.file(e.file.Name, e.name, e.file.Mode(), src, int64(e.file.UncompressedSize64))
}

// file writes a file of a known size.
func (u *unpacker) file(given, name string, mode fs.FileMode, src io.Reader, size int64) error {
	if err := u.mkdir(given, path.Dir(name)); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	switch {
	case u.modes && mode.Perm() != 0:
		perm = mode.Perm() | 0o600 // its owner goes on with it
	case mode&0o111 != 0:
		perm = 0o755
	}
	dst, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return told(given, err)
	}
	if u.modes { // whatever the umask of this process takes away
		err = dst.Chmod(perm)
	}
	// One byte more than said is enough to catch a liar.
	most := min(u.left, size)
	n, failed := io.CopyBuffer(struct{ io.Writer }{dst}, io.LimitReader(src, most+1), u.buf)
	err = errors.Join(err, failed, dst.Close())
	if u.left -= n; n > most {
		return refuse(given, "is larger than the archive says")
	}
	if err != nil {
		return refuse(given, "cannot be unpacked: %v", err)
	}
	return nil
}

func (u *unpacker) link(l link) error {
	switch {
	case len(l.target) == 0 || len(l.target) > maxLink || strings.ContainsRune(l.target, 0):
		return refuse(l.given, "is a link with an impossible target")
	case path.IsAbs(l.target) || !filepath.IsLocal(path.Join(path.Dir(l.name), l.target)):
		return refuse(l.given, "is a link that leaves the archive")
	}
	if err := u.mkdir(l.given, path.Dir(l.name)); err != nil {
		return err
	}
	if err := u.root.Symlink(l.target, l.name); err != nil {
		return told(l.given, err)
	}
	return nil
}

func (u *unpacker) mkdir(given, dir string) error {
	if u.made[dir] {
		return nil
	}
	for at := dir; !u.made[at]; at = path.Dir(at) {
		if u.made[at] = true; len(u.made) > u.folders+1 { // . is one of them
			return refuse(given, "makes more than %d folders", u.folders)
		}
	}
	if err := u.root.MkdirAll(dir, 0o755); err != nil {
		return told(given, err)
	}
	return nil
}

// told names the entry a system error is about; what stands in its way is in the archive
// too, because dir was new.
func told(given string, err error) error {
	if errors.Is(err, fs.ErrExist) || strings.Contains(err.Error(), "not a directory") {
		return refuse(given, "is in the way of another entry")
	}
	return fmt.Errorf("unpack %q: %w", given, err)
}
