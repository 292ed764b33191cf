package blob_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"penstock/internal/blob"
	"penstock/internal/blob/blobtest"
)

func open(t *testing.T, dir string) *blob.Disk {
	t.Helper()
	d, err := blob.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDiskConforms(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return open(t, t.TempDir()) })
}

func TestDiskStaysInsideItsFolder(t *testing.T) {
	t.Parallel()
	outer := t.TempDir()
	d := open(t, filepath.Join(outer, "blobs"))
	for _, key := range []string{"../escape", "../../escape", "/escape", "a/../../escape"} {
		if _, err := d.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Errorf("Put(%q): %v", key, err)
		}
	}
	entries, err := os.ReadDir(outer)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the folder stands %v, %v", entries, err)
	}
}

func TestDiskSurvivesReopening(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := blob.OpenDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Put(t.Context(), "k", strings.NewReader("kept")); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := open(t, dir).Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "kept" {
		t.Errorf("read %q, %v", b, err)
	}
}

func TestDiskLeavesNoTemporaryFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := open(t, dir)
	if _, err := d.Put(t.Context(), "k", iotest.ErrReader(errors.New("gone"))); err == nil {
		t.Fatal("Put of a broken reader succeeded")
	}
	if left, err := os.ReadDir(filepath.Join(dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	// What a killed process left is removed when it has become old, not before.
	stale, fresh := filepath.Join(dir, "tmp", "stale"), filepath.Join(dir, "tmp", "fresh")
	for _, name := range []string{stale, fresh} {
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(stale, time.Time{}, time.Now().Add(-24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) != 1 || left[0].Name() != "fresh" {
		t.Errorf("left: %v, %v", left, err)
	}
}

func BenchmarkDiskPut(b *testing.B) {
	d, err := blob.OpenDisk(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	body := strings.Repeat("x", 64<<10)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := d.Put(b.Context(), blob.NewKey(), strings.NewReader(body)); err != nil {
			b.Fatal(err)
		}
	}
}
