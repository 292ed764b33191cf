package artifact_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"penstock/internal/artifact"
)

type item struct {
	name, text string
	mode       fs.FileMode
}

func build(t *testing.T, items ...item) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, it := range items {
		h := &zip.FileHeader{Name: it.name, Method: zip.Deflate}
		h.SetMode(it.mode)
		w, err := z.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(it.name, "/") {
			w.Write([]byte(it.text))
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(data []byte, dir string, lim artifact.Limits) error {
	return artifact.Unpack(context.Background(), bytes.NewReader(data), int64(len(data)), dir, lim)
}

// P-9, hostile: an archive that is refused names the entry and leaves nothing behind.
func TestUnpackRefuses(t *testing.T) {
	t.Parallel()
	const link = fs.ModeSymlink | 0o777
	small := artifact.Limits{Entries: 5, Bytes: 3 << 20, Ratio: 100}
	many := make([]item, 6)
	for i := range many {
		many[i] = item{name: fmt.Sprint("f", i)}
	}
	for name, c := range map[string]struct {
		items []item
		want  string
	}{
		"parent":            {[]item{{"ok", "x", 0o644}, {"../evil", "x", 0o644}}, `"../evil" leaves`},
		"parent inside":     {[]item{{"a/../../evil", "x", 0o644}}, `"a/../../evil" leaves`},
		"absolute":          {[]item{{"/etc/evil", "x", 0o644}}, `"/etc/evil" has an absolute name`},
		"backslash":         {[]item{{`..\evil`, "x", 0o644}}, "backslash"},
		"control":           {[]item{{"a\nb", "x", 0o644}}, "control character"},
		"not text":          {[]item{{"a\xffb", "x", 0o644}}, "not UTF-8"},
		"twice":             {[]item{{"a", "x", 0o644}, {"./a", "y", 0o644}}, `"./a" stands in the archive twice`},
		"file and folder":   {[]item{{"a", "x", 0o644}, {"a/b", "y", 0o644}}, `"a/b" is in the way`},
		"device":            {[]item{{"d", "", fs.ModeDevice | fs.ModeCharDevice | 0o666}}, `"d" is neither`},
		"pipe":              {[]item{{"p", "", fs.ModeNamedPipe | 0o666}}, `"p" is neither`},
		"link out":          {[]item{{"l", "../../x", link}}, `"l" is a link that leaves`},
		"link absolute":     {[]item{{"l", "/etc/passwd", link}}, `"l" is a link that leaves`},
		"link empty":        {[]item{{"l", "", link}}, "impossible target"},
		"links together":    {[]item{{"d/e/in", "../..", link}, {"out", "d/e/in/../x", link}}, "leaves"},
		"file through link": {[]item{{"d", ".", link}, {"d/x", "x", 0o644}}, `"d" is in the way`},
		"too many":          {many, "6 entries, more than 5"},
		"folders":           {[]item{{"1/2/3/4/5/6/x", "x", 0o644}}, `"1/2/3/4/5/6/x" makes more than 5 folders`},
		"too large":         {[]item{{"big", strings.Repeat("ab\x00cd\xff", 1<<20), 0o644}}, `"big"`},
		"bomb":              {[]item{{"bomb", strings.Repeat("\x00", 2<<20), 0o644}}, `"bomb" is packed more than 100 to 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			err := unpack(build(t, c.items...), filepath.Join(parent, "in"), small)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left, _ := os.ReadDir(parent); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// P-9, hostile: an archive that lies about a size, or is none, is refused.
func TestUnpackLies(t *testing.T) {
	t.Parallel()
	data := build(t, item{"f", strings.Repeat("x", 5000), 0o644})
	// The size 5000 (0x1388) stands in the descriptor and the central directory.
	lying := bytes.ReplaceAll(data, []byte{0x88, 0x13, 0, 0}, []byte{0x10, 0, 0, 0})
	for name, in := range map[string][]byte{"smaller than real": lying, "cut": data[:len(data)-30], "text": []byte("hello"), "empty": nil} {
		parent := t.TempDir()
		if err := unpack(in, filepath.Join(parent, "in"), artifact.DefaultLimits); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if left, _ := os.ReadDir(parent); len(left) != 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
	var bad *artifact.EntryError
	if err := unpack(lying, filepath.Join(t.TempDir(), "in"), artifact.DefaultLimits); !errors.As(err, &bad) || bad.Name != "f" {
		t.Errorf("got %v", err)
	}
}

// P-9, S-286: what is packed comes out again; the same tree makes the same bytes.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	root, err := os.OpenRoot(src)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	root.MkdirAll("d/e", 0o755)
	root.WriteFile("d/e/run.sh", []byte("#!/bin/sh\n"), 0o700)
	root.WriteFile("a.txt", []byte("hello"), 0o600)
	root.Symlink("../a.txt", "d/link")
	root.Symlink("e", "d/folder")
	pack := func(opt artifact.Options) []byte {
		var b bytes.Buffer
		if err := artifact.PackTree(t.Context(), &b, src, opt); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	kept := pack(artifact.Options{KeepLinks: true})
	if !bytes.Equal(kept, pack(artifact.Options{KeepLinks: true})) {
		t.Error("not deterministic")
	}
	dst := filepath.Join(t.TempDir(), "in")
	if err := unpack(kept, dst, artifact.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	if to, err := os.Readlink(filepath.Join(dst, "d/link")); err != nil || to != "../a.txt" {
		t.Error(to, err)
	}
	if fi, err := os.Stat(filepath.Join(dst, "d/folder/run.sh")); err != nil || fi.Mode().Perm()&0o111 == 0 {
		t.Error(fi, err)
	}
	if fi, err := os.Stat(filepath.Join(dst, "a.txt")); err != nil || fi.Mode().Perm()&0o111 != 0 {
		t.Error(fi, err)
	}
	dst = filepath.Join(t.TempDir(), "in")
	if err := unpack(pack(artifact.Options{}), dst, artifact.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Lstat(filepath.Join(dst, "d/link")); err != nil || !fi.Mode().IsRegular() {
		t.Error("links are followed:", fi, err)
	}
	if err := unpack(kept, dst, artifact.DefaultLimits); !errors.Is(err, fs.ErrExist) {
		t.Error("unpacked into a folder that was there:", err)
	}
}

// P-9, hostile: packing never reads through a link that leaves the tree.
func TestPackLinkOut(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		src := t.TempDir()
		os.Symlink("/etc/passwd", filepath.Join(src, "l"))
		var b bytes.Buffer
		if err := artifact.PackTree(t.Context(), &b, src, artifact.Options{KeepLinks: keep}); err == nil || !strings.Contains(err.Error(), `"l"`) {
			t.Errorf("keep %v: %v", keep, err)
		}
	}
	src := t.TempDir()
	os.WriteFile(filepath.Join(src, "f"), make([]byte, 100), 0o600)
	if err := artifact.PackTree(t.Context(), new(bytes.Buffer), src, artifact.Options{MaxBytes: 99}); err == nil {
		t.Error("size is not bounded")
	}
}

// P-2: what git archive makes can be unpacked.
func TestGitArchive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) []byte {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(args, err)
		}
		return out
	}
	git("init", "-q")
	os.Mkdir(filepath.Join(dir, "s"), 0o755)
	os.WriteFile(filepath.Join(dir, "s", "run"), []byte("x"), 0o755)
	os.Symlink("s/run", filepath.Join(dir, "l"))
	git("add", "-A")
	git("commit", "-q", "-m", "x")
	dst := filepath.Join(t.TempDir(), "in")
	if err := unpack(git("archive", "--format=zip", "HEAD"), dst, artifact.DefaultLimits); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dst, "l")); err != nil || fi.Mode()&0o100 == 0 {
		t.Error(fi, err)
	}
}
