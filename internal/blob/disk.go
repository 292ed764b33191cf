package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"penstock/internal/mishap"
)

const (
	tempFolder = "tmp"
	// staleTemp is the age at which a temporary file has lost its writer: writers refresh
	// the time with every block, and no reader may stall them for so long.
	staleTemp = 6 * time.Hour
	copyBlock = 256 << 10
)

// Disk keeps blobs as files below one folder: two hexadecimal digits of the key's hash, so
// that no folder grows large, then the key in hexadecimal, so that no key can be a path and
// a file system that ignores case cannot mix up two keys.
type Disk struct {
	root   *os.Root
	shards sync.Map // folder name → struct{}: exists and its entry is on disk
	blocks sync.Pool
}

var _ Store = (*Disk)(nil)

// OpenDisk opens the store in folder dir, making the folder if it is missing, and removes
// temporary files whose writers are gone. The caller closes it.
func OpenDisk(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	d := &Disk{root: root}
	d.blocks.New = func() any { return new([copyBlock]byte) }
	if err := root.Mkdir(tempFolder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		root.Close()
		return nil, fmt.Errorf("blob: %w", err)
	}
	d.removeStaleTemp()
	return d, nil
}

// Close releases the folder. Readers that are open stay usable.
func (d *Disk) Close() error { return d.root.Close() }

func (d *Disk) removeStaleTemp() {
	entries, err := fs.ReadDir(d.root.FS(), tempFolder)
	if err != nil {
		return // a folder that cannot be listed shows itself at the first Put
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleTemp {
			d.root.Remove(path.Join(tempFolder, e.Name()))
		}
	}
}

func place(key string) (shard, file string) {
	sum := sha256.Sum256([]byte(key))
	shard = hex.EncodeToString(sum[:1])
	return shard, path.Join(shard, hex.EncodeToString([]byte(key)))
}

// Put implements [Store].
func (d *Disk) Put(ctx context.Context, key string, r io.Reader, sums ...hash.Hash) (int64, error) {
	if err := CheckKey(key); err != nil {
		return 0, err
	}
	temp := path.Join(tempFolder, rand.Text())
	f, err := d.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("blob: %w", err)
	}
	size, err := d.fill(ctx, f, r, sums)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		mishap.At(mishap.BlobWritten)
		err = d.publish(temp, key)
	}
	if err != nil {
		d.root.Remove(temp)
		return 0, fmt.Errorf("blob: %w", err)
	}
	return size, nil
}

func (d *Disk) fill(ctx context.Context, f *os.File, r io.Reader, sums []hash.Hash) (size int64, err error) {
	block := d.blocks.Get().(*[copyBlock]byte)
	defer d.blocks.Put(block)
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := r.Read(block[:])
		if n > 0 {
			for _, s := range sums {
				s.Write(block[:n])
			}
			if _, err := f.Write(block[:n]); err != nil {
				return 0, err
			}
			size += int64(n)
		}
		if err == io.EOF {
			return size, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// publish gives the finished file its name. The folder is synced after the rename: until
// then the name itself could be lost with the power.
func (d *Disk) publish(temp, key string) error {
	shard, file := place(key)
	if _, ok := d.shards.Load(shard); !ok {
		if err := d.root.Mkdir(shard, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := d.sync("."); err != nil {
			return err
		}
		d.shards.Store(shard, struct{}{})
	}
	if err := d.root.Rename(temp, file); err != nil {
		return err
	}
	return d.sync(shard)
}

func (d *Disk) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// Get implements [Store].
func (d *Disk) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	if err := errors.Join(ctx.Err(), CheckKey(key)); err != nil {
		return nil, err
	}
	_, file := place(key)
	f, err := d.root.Open(file)
	if err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	info, err := f.Stat()
	if err == nil && (off < 0 || off > info.Size() || off == info.Size() && off > 0) {
		err = ErrRange
	}
	if err == nil && off > 0 {
		_, err = f.Seek(off, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("blob: %w", err)
	}
	if rest := info.Size() - off; n < 0 || n > rest {
		n = rest
	}
	return &section{file: f, rest: io.LimitedReader{R: f, N: n}}, nil
}

// section is a part of a file. It writes itself as a limited reader over the file, a form
// that lets the kernel move the bytes to a socket.
type section struct {
	file *os.File
	rest io.LimitedReader
}

func (s *section) Read(p []byte) (int, error)               { return s.rest.Read(p) }
func (s *section) WriteTo(w io.Writer) (n int64, err error) { return io.Copy(w, &s.rest) }
func (s *section) Close() error                             { return s.file.Close() }

// Size implements [Store].
func (d *Disk) Size(ctx context.Context, key string) (int64, error) {
	if err := errors.Join(ctx.Err(), CheckKey(key)); err != nil {
		return 0, err
	}
	_, file := place(key)
	info, err := d.root.Stat(file)
	if err != nil {
		return 0, fmt.Errorf("blob: %w", err)
	}
	return info.Size(), nil
}

// Delete implements [Store]. The folder is not synced: a deletion that is lost with the
// power leaves a blob that nobody names, which a later sweep finds.
func (d *Disk) Delete(ctx context.Context, key string) error {
	if err := errors.Join(ctx.Err(), CheckKey(key)); err != nil {
		return err
	}
	_, file := place(key)
	if err := d.root.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob: %w", err)
	}
	return nil
}

// Walk implements [Store].
func (d *Disk) Walk(ctx context.Context, f func(Entry) error) error {
	for i := range 256 {
		shard := hex.EncodeToString([]byte{byte(i)})
		folder, err := d.root.Open(shard)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("blob: %w", err)
		}
		err = walkFolder(ctx, folder, f)
		folder.Close()
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

func walkFolder(ctx context.Context, folder *os.File, f func(Entry) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		entries, err := folder.ReadDir(256)
		for _, e := range entries {
			key, err := hex.DecodeString(e.Name())
			if err != nil {
				continue // not ours
			}
			info, err := e.Info()
			if err != nil {
				continue // deleted meanwhile
			}
			if err := f(Entry{Key: string(key), Size: info.Size(), Modified: info.ModTime()}); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("blob: %w", err)
		}
	}
}
