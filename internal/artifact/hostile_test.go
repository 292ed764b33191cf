package artifact_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"penstock/internal/artifact"
)

// counted counts the bytes that are read.
type counted struct {
	*bytes.Reader
	n int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.n += n
	return n, err
}

// P-9, hostile: headers of a ZIP file are read until there are too many of them, or too much in
// them, and not until memory ends.
func TestUnpackHeaders(t *testing.T) {
	t.Parallel()
	small := artifact.Limits{Entries: 5, Bytes: 3 << 20, Ratio: 100}
	for name, c := range map[string]struct{ entries, comment int }{"many": {300_000, 0}, "large": {400, 60_000}} {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for i := range c.entries {
			if _, err := z.CreateHeader(&zip.FileHeader{Name: fmt.Sprint(i), Comment: strings.Repeat("x", c.comment)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		r := &counted{Reader: bytes.NewReader(b.Bytes())}
		err := artifact.Unpack(t.Context(), r, r.Size(), filepath.Join(t.TempDir(), "d"), small)
		if err == nil || !strings.Contains(err.Error(), "more than 5 entries, or names longer than") || r.n > 2<<20 {
			t.Errorf("%s: %v after %d of %d bytes", name, err, r.n, r.Size())
		}
	}
}

// P-26, hostile: long names of many entries do not add up in memory, however tightly packed.
func TestUnpackNames(t *testing.T) {
	t.Parallel()
	lim := artifact.Limits{Entries: 2000, Bytes: 3 << 30, Ratio: 1000}
	long := strings.Repeat("x", 250)
	var links []item
	var headers []tar.Header
	for i := range 1500 {
		name := fmt.Sprint(i)
		links = append(links, item{name, strings.Repeat("a/", 2000), 0o777 | 1<<27})
		headers = append(headers, tar.Header{Name: strings.Repeat(long+"/", 15) + name, Typeflag: tar.TypeReg, Mode: 0o644})
	}
	want := "names longer than"
	if err := unpack(build(t, links...), filepath.Join(t.TempDir(), "d"), lim); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("links of a ZIP file: %v", err)
	}
	if err := unpackBundle(t, "tgz", packed(t, true, headers...), filepath.Join(t.TempDir(), "d"), lim); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("files of a tar file: %v", err)
	}
	for i := range headers {
		headers[i] = tar.Header{Name: fmt.Sprint(i), Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("a/", 2000)}
	}
	if err := unpackBundle(t, "tgz", packed(t, true, headers...), filepath.Join(t.TempDir(), "d"), lim); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("links of a tar file: %v", err)
	}
}
