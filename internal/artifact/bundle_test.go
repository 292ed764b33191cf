package artifact_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"penstock/internal/artifact"
)

// packed makes a tar archive; a header without a type is a file of the text in Linkname.
func packed(t *testing.T, compress bool, headers ...tar.Header) []byte {
	t.Helper()
	var b, z bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		text := ""
		if h.Typeflag == 0 {
			h.Typeflag, text, h.Linkname = tar.TypeReg, h.Linkname, ""
			h.Size = int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(text))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !compress {
		return b.Bytes()
	}
	c := gzip.NewWriter(&z)
	c.Write(b.Bytes())
	c.Close()
	return z.Bytes()
}

// holes makes a tar archive of one file of zeros of which none stand in it.
func holes(t *testing.T, size int) []byte {
	n := strconv.Itoa(size)
	// The writer of such records is refused, so they get their names afterwards.
	return bytes.ReplaceAll(packed(t, false, tar.Header{Name: "holes", PAXRecords: map[string]string{
		"PEN.sparse.map": n + ",0", "PEN.sparse.numblocks": "1", "PEN.sparse.size": n, "PEN.sparse.name": "holes",
	}}), []byte("PEN."), []byte("GNU."))
}

func unpackBundle(t *testing.T, kind string, data []byte, dir string, lim artifact.Limits) error {
	return artifact.UnpackBundle(t.Context(), kind, bytes.NewReader(data), int64(len(data)), dir, lim)
}

// P-26: bundles are zip, tar or tgz archives, and keep who may read what.
func TestUnpackBundle(t *testing.T) {
	t.Parallel()
	headers := []tar.Header{
		{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "0123"}},
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		{Name: "./d/secret", Mode: 0o600, Linkname: "x"},
		{Name: "./run", Mode: 0o4755, Linkname: "y"},
		{Typeflag: tar.TypeLink, Name: "again", Linkname: "./d/secret"},
		{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "d/secret"},
	}
	for name, c := range map[string]struct {
		kind string
		data []byte
	}{
		"tar":            {"tar", packed(t, false, headers...)},
		"tgz":            {"tgz", packed(t, true, headers...)},
		"compressed tar": {"tar", packed(t, true, headers...)},
		"zip":            {"zip", build(t, item{"d/secret", "x", 0o600}, item{"run", "y", 0o755 | fs.ModeSetuid}, item{"again", "x", 0o600}, item{"l", "d/secret", fs.ModeSymlink | 0o777})},
	} {
		dir := filepath.Join(t.TempDir(), "in")
		if err := unpackBundle(t, c.kind, c.data, dir, artifact.DefaultLimits); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for file, want := range map[string]fs.FileMode{"d/secret": 0o600, "run": 0o755, "again": 0o600} {
			if fi, err := os.Lstat(filepath.Join(dir, file)); err != nil || fi.Mode() != want {
				t.Errorf("%s: %s: %v, %v", name, file, fi.Mode(), err)
			}
		}
		if text, err := os.ReadFile(filepath.Join(dir, "l")); err != nil || string(text) != "x" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}

// P-26: nor does it matter what the umask of the process takes away.
func TestUnpackBundleUmask(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `umask 077; exec "$0" -test.run='^TestUnpackBundle$'`, os.Args[0]).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// P-26, hostile: a tar archive that is refused names the entry and leaves nothing behind.
func TestUnpackBundleRefuses(t *testing.T) {
	t.Parallel()
	small := artifact.Limits{Entries: 5, Bytes: 3 << 20, Ratio: 100}
	many := make([]tar.Header, 6)
	for i := range many {
		many[i] = tar.Header{Name: fmt.Sprint("f", i)}
	}
	file := func(name string) tar.Header { return tar.Header{Name: name, Linkname: "x"} }
	symlink := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	hard := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
	}
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"parent":            {packed(t, false, file("ok"), file("../evil")), `"../evil" leaves`},
		"absolute":          {packed(t, false, file("/etc/evil")), `"/etc/evil" has an absolute name`},
		"twice":             {packed(t, false, file("a"), file("./a")), "stands in the archive twice"},
		"file and folder":   {packed(t, false, file("a"), file("a/b")), "is in the way"},
		"device":            {packed(t, false, tar.Header{Typeflag: tar.TypeChar, Name: "d"}), `"d" is neither`},
		"pipe":              {packed(t, false, tar.Header{Typeflag: tar.TypeFifo, Name: "p"}), `"p" is neither`},
		"link out":          {packed(t, false, symlink("l", "../../x")), "is a link that leaves"},
		"link absolute":     {packed(t, false, symlink("l", "/etc/passwd")), "is a link that leaves"},
		"links together":    {packed(t, false, symlink("d/e/in", "../.."), symlink("out", "d/e/in/../x")), "leaves"},
		"file through link": {packed(t, false, symlink("d", "."), file("d/x")), `"d" is in the way`},
		"hard link out":     {packed(t, false, hard("h", "/etc/passwd")), `"h" is a link to a file that does not stand before it`},
		"hard link to link": {packed(t, false, symlink("l", "x"), hard("h", "l")), "does not stand before it"},
		"too many":          {packed(t, false, many...), "more than 5 entries"},
		"too large":         {packed(t, false, tar.Header{Name: "big", Linkname: strings.Repeat("x", 4<<20)}), `"big" makes the archive larger`},
		"bomb":              {packed(t, true, tar.Header{Name: "bomb", Linkname: strings.Repeat("\x00", 3<<20)}), "packed too tightly"},
		"holes":             {holes(t, 3<<20), `"holes" is packed too tightly`},
		"folders":           {packed(t, false, file("1/2/3/4/5/a"), file("6/b")), `"6/b" makes more than 5 folders`},
		"folders named":     {packed(t, false, tar.Header{Typeflag: tar.TypeDir, Name: "1/2/3/4/5/6"}), "makes more than 5 folders"},
		"cut":               {packed(t, false, tar.Header{Name: "a", Linkname: strings.Repeat("x", 2000)})[:1000], "unexpected EOF"},
		"text":              {[]byte(strings.Repeat("hello", 200)), "not a tar file"},
		"cut gzip":          {packed(t, true, file("a"))[:20], "unexpected EOF"},
	} {
		parent := t.TempDir()
		err := unpackBundle(t, "tgz", c.data, filepath.Join(parent, "in"), small)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		if left, _ := os.ReadDir(parent); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
	if err := unpackBundle(t, "rar", nil, filepath.Join(t.TempDir(), "in"), small); err == nil || !strings.Contains(err.Error(), `"rar"`) {
		t.Error(err)
	}
}

// P-26, hostile: any bytes are a bundle whose files lie in the folder, or an error that leaves nothing behind.
func FuzzUnpackBundle(f *testing.F) {
	var t testing.T
	long := strings.Repeat("d/", 90) + "x"
	many := packed(&t, true, tar.Header{Name: "bomb", Linkname: strings.Repeat("\x00", 1<<20)})
	for _, seed := range [][]byte{
		packed(&t, false, tar.Header{Name: "a/b", Linkname: "x"}, tar.Header{Typeflag: tar.TypeLink, Name: "c", Linkname: "a/b"}, tar.Header{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "a"}),
		packed(&t, true, tar.Header{Name: "../x", Linkname: "x"}),
		packed(&t, false, tar.Header{Name: long, Linkname: "x", Format: tar.FormatGNU}, tar.Header{Name: long + "é", Linkname: "x", Mode: 0o111}),
		packed(&t, false, tar.Header{Typeflag: tar.TypeSymlink, Name: "d/l", Linkname: "../e/.."}, tar.Header{Typeflag: tar.TypeSymlink, Name: "m", Linkname: "m"}),
		holes(&t, 2000), holes(&t, 2<<20), many, many[:len(many)-5], slices.Concat(many, many),
		build(&t, item{"a/b", "x", 0o644}, item{"l", "a", fs.ModeSymlink | 0o777}),
		build(&t, item{"d/", "", fs.ModeDir}, item{"d", "x", 0o4111}, item{long, strings.Repeat("x", 2000), 0}),
	} {
		for _, kind := range []string{"zip", "tar"} {
			f.Add(kind, seed)
		}
	}
	small := artifact.Limits{Entries: 50, Bytes: 1 << 20, Ratio: 100}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		parent, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		in := filepath.Join(parent, "in")
		err = unpackBundle(t, kind, data, in, small)
		entries, _ := os.ReadDir(parent)
		if err != nil && len(entries) != 0 || err == nil && (len(entries) != 1 || entries[0].Name() != "in") {
			t.Fatal(entries, err)
		}
		if err != nil {
			return
		}
		files, folders, left := 0, -1, small.Bytes // of the folders, one is in
		if err := filepath.WalkDir(in, func(name string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			switch {
			case err != nil:
				return err
			case d.IsDir():
				folders++
				return nil
			case d.Type() == fs.ModeSymlink:
				if to, err := filepath.EvalSymlinks(name); err == nil && to != in && !strings.HasPrefix(to, in+"/") {
					t.Errorf("%s leads to %s", name, to)
				}
			case d.Type() != 0 || info.Mode() != info.Mode().Perm()|0o600:
				t.Errorf("%s is %v", name, info.Mode())
			case info.Sys().(*syscall.Stat_t).Nlink == 1: // one of several names does not take more room
				left -= info.Size()
			}
			files++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if files > small.Entries || folders > small.Entries || left < 0 || small.Bytes-left > 1<<20+int64(len(data))*small.Ratio {
			t.Errorf("%d files, %d folders, %d bytes left", files, folders, left)
		}
	})
}
