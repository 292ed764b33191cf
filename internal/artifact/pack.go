package artifact

import (
	"archive/zip"
	"cmp"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// File is one file to pack.
type File struct {
	// Source is its place below the root, with slashes.
	Source string
	// Name is its name in the archive.
	Name string
}

// Options say how to pack.
type Options struct {
	// KeepLinks stores symbolic links as links; else the file they lead to is stored.
	KeepLinks bool
	// MaxBytes is the most bytes of all files together; 0 is DefaultLimits.Bytes.
	MaxBytes int64
}

// epoch is the time of every entry: the first a ZIP can hold.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

var deflaters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, 5)
	return w
}}

type pooled struct{ *flate.Writer }

func (p pooled) Close() error {
	err := p.Writer.Close()
	deflaters.Put(p.Writer)
	return err
}

// List gives the slash paths below root of everything that can be packed - files and
// links, but no folders, sockets, pipes or devices - in order.
func List(ctx context.Context, root *os.Root) ([]string, error) {
	return list(ctx, root, DefaultLimits)
}

func list(ctx context.Context, root *os.Root, lim Limits) ([]string, error) {
	l := &lister{root: root, lim: lim}
	err := l.folder(ctx, ".")
	return l.out, err
}

// lister walks through a tree, of which it keeps no more than an archive may have.
type lister struct {
	root        *os.Root
	lim         Limits
	seen, names int
	out         []string
}

// folder lists a folder and what is below it.
func (l *lister) folder(ctx context.Context, dir string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	entries, err := l.read(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := path.Join(dir, e.Name())
		switch {
		case len(p) > maxName:
			return fmt.Errorf("%.60s… is a name of more than %d bytes", p, maxName)
		case e.IsDir():
			err = l.folder(ctx, p)
		case e.Type().IsRegular() || e.Type() == fs.ModeSymlink:
			err = l.add(p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read gives what is in a folder, in order. A folder may have any number of entries, so they are
// counted as they come.
func (l *lister) read(dir string) ([]fs.DirEntry, error) {
	f, err := l.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []fs.DirEntry
	for {
		some, err := f.ReadDir(1000)
		out = append(out, some...)
		switch l.seen += len(some); {
		case l.seen > 2*l.lim.Entries:
			return nil, fmt.Errorf("more than %d files and folders", 2*l.lim.Entries)
		case errors.Is(err, io.EOF):
			slices.SortFunc(out, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
			return out, nil
		case err != nil:
			return nil, err
		}
	}
}

func (l *lister) add(p string) error {
	switch l.names += len(p); {
	case len(l.out) == l.lim.Entries:
		return fmt.Errorf("more than %d files", l.lim.Entries)
	case l.names > l.lim.names():
		return fmt.Errorf("files with names longer than %d bytes together", l.lim.names())
	}
	l.out = append(l.out, p)
	return nil
}

// Pack writes the files as a ZIP archive in order of their names. Links never lead out of
// root; a link to a folder is left out unless links are kept.
func Pack(ctx context.Context, w io.Writer, root *os.Root, files []File, opt Options) error {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		f := deflaters.Get().(*flate.Writer)
		f.Reset(w)
		return pooled{f}, nil
	})
	p := &packer{z: z, root: root, keep: opt.KeepLinks, left: cmp.Or(opt.MaxBytes, DefaultLimits.Bytes), buf: make([]byte, 64<<10)}
	for _, f := range files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := p.add(ctx, f); err != nil {
			return fmt.Errorf("pack %q: %w", f.Source, err)
		}
	}
	return z.Close()
}

// PackTree packs everything below dir.
func PackTree(ctx context.Context, w io.Writer, dir string, opt Options) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	names, err := List(ctx, root)
	if err != nil {
		return err
	}
	files := make([]File, len(names))
	for i, n := range names {
		files[i] = File{Source: n, Name: n}
	}
	return Pack(ctx, w, root, files, opt)
}

var errTooLarge = errors.New("the archive would be too large")

// whileReader reads until ctx ends.
type whileReader struct {
	ctx context.Context
	r   io.Reader
}

func (w whileReader) Read(p []byte) (int, error) {
	if w.ctx.Err() != nil {
		return 0, context.Cause(w.ctx)
	}
	return w.r.Read(p)
}

type packer struct {
	z    *zip.Writer
	root *os.Root
	keep bool
	left int64
	buf  []byte
}

func (p *packer) add(ctx context.Context, f File) error {
	if p.keep {
		fi, err := p.root.Lstat(f.Source)
		if err != nil {
			return err
		}
		if fi.Mode().Type() == fs.ModeSymlink {
			return p.link(f)
		}
	}
	// O_NONBLOCK: a pipe that took a file's place must not stop the server.
	src, err := p.root.OpenFile(f.Source, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer src.Close()
	fi, err := src.Stat()
	switch {
	case err != nil:
		return err
	case fi.IsDir():
		return nil
	case !fi.Mode().IsRegular():
		return errors.New("not a regular file")
	case fi.Size() > p.left: // zeros of a hole take time too
		return errTooLarge
	}
	perm := fs.FileMode(0o644)
	if fi.Mode()&0o111 != 0 {
		perm = 0o755
	}
	dst, err := p.create(f.Name, perm)
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(dst, io.LimitReader(whileReader{ctx, src}, p.left+1), p.buf)
	if p.left -= n; p.left < 0 {
		return errTooLarge
	}
	return err
}

func (p *packer) link(f File) error {
	target, err := p.root.Readlink(f.Source)
	if err != nil {
		return err
	}
	if path.IsAbs(target) || !filepath.IsLocal(path.Join(path.Dir(f.Name), target)) {
		return errors.New("the link leads out of the archive")
	}
	dst, err := p.create(f.Name, fs.ModeSymlink|0o777)
	if err != nil {
		return err
	}
	_, err = io.WriteString(dst, target)
	return err
}

func (p *packer) create(name string, mode fs.FileMode) (io.Writer, error) {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: epoch}
	h.SetMode(mode)
	return p.z.CreateHeader(h)
}
