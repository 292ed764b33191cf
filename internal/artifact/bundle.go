package artifact

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
)

// UnpackBundle is [Unpack] for the bundle of a deployment: an archive of the type zip, tar or
// tgz, of whose files also the bits that say who may read and write are restored. A tar
// archive may be compressed by gzip or not, whatever its type says, and have hard links to
// files that stand before them in it.
func UnpackBundle(ctx context.Context, bundleType string, r io.ReaderAt, size int64, dir string, lim Limits) error {
	return into(dir, lim, func(u *unpacker) error {
		u.modes = true
		switch bundleType {
		case "zip":
			return u.zip(ctx, r, size, lim)
		case "tar", "tgz":
			return u.tar(ctx, r, size, lim)
		}
		return fmt.Errorf("the bundle type is %q, but must be tar, tgz or zip", bundleType)
	})
}

// tar writes the files of a tar archive and notes its symbolic links.
func (u *unpacker) tar(ctx context.Context, r io.ReaderAt, size int64, lim Limits) error {
	// What lies between the files counts too: headers, padding, and what is skipped.
	stream := &bounded{r: io.NewSectionReader(r, 0, size), left: lim.Bytes + int64(lim.Entries)<<12}
	magic := make([]byte, 2)
	if _, err := r.ReadAt(magic, 0); err == nil && bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(stream.r)
		if err != nil {
			return fmt.Errorf("the archive is not a gzip file: %w", err)
		}
		stream.r, stream.left = z, min(stream.left, 1<<20+size*lim.Ratio)
	}
	// The holes of a file are not in the stream, so the sizes have a bound of their own.
	room := 1<<20 + size*lim.Ratio
	files := map[string]bool{}
	entries := tar.NewReader(stream)
	for n := 0; ; n++ {
		h, err := entries.Next()
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, tar.ErrInsecurePath):
			return fmt.Errorf("the archive is not a tar file: %w", err)
		case n >= lim.Entries:
			return fmt.Errorf("the archive has more than %d entries", lim.Entries)
		case h.Typeflag == tar.TypeXGlobalHeader: // the commit, in archives of git
			continue
		}
		name, err := cleanName(h.Name)
		if err == nil {
			err = u.keeps(h.Name, len(h.Name)+len(h.Linkname))
		}
		switch {
		case err != nil:
			return err
		case h.Typeflag == tar.TypeDir:
			err = u.mkdir(h.Name, name)
		case name == ".":
			return refuse(h.Name, "has no name")
		case files[name]:
			return refuse(h.Name, "stands in the archive twice")
		case h.Typeflag == tar.TypeReg && h.Size > u.left:
			return refuse(h.Name, "makes the archive larger than %d bytes", lim.Bytes)
		case h.Typeflag == tar.TypeReg && h.Size > room:
			return refuse(h.Name, "is packed too tightly")
		case h.Typeflag == tar.TypeReg:
			room -= h.Size
			err = u.file(h.Name, name, fs.FileMode(h.Mode), entries, h.Size)
		case h.Typeflag == tar.TypeSymlink:
			u.links = append(u.links, link{h.Name, name, h.Linkname})
		case h.Typeflag == tar.TypeLink:
			err = u.hardLink(h, name, files)
		default:
			return refuse(h.Name, "is neither a file, a folder nor a link")
		}
		if err != nil {
			return err
		}
		files[name] = h.Typeflag == tar.TypeReg || h.Typeflag == tar.TypeLink
	}
}

// hardLink gives a file that has been written a second name.
func (u *unpacker) hardLink(h *tar.Header, name string, files map[string]bool) error {
	target, err := cleanName(h.Linkname)
	if err != nil || !files[target] {
		return refuse(h.Name, "is a link to a file that does not stand before it")
	}
	if err := u.mkdir(h.Name, path.Dir(name)); err != nil {
		return err
	}
	if err := u.root.Link(target, name); err != nil {
		return told(h.Name, err)
	}
	return nil
}

// bounded reads no more than it may.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("it is packed too tightly, or larger than an archive may be")
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
