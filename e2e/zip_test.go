package e2e

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
)

// archive makes a ZIP archive by hand.
func archive(t *testing.T, fill func(*zip.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if err := fill(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// entries makes an archive of names and texts; a name that ends in "@" is a symbolic link.
func entries(t *testing.T, pairs ...string) []byte {
	t.Helper()
	return archive(t, func(z *zip.Writer) error {
		for i := 0; i < len(pairs); i += 2 {
			name, link := strings.CutSuffix(pairs[i], "@")
			h := &zip.FileHeader{Name: name, Method: zip.Deflate}
			h.SetMode(0o644)
			if link {
				h.SetMode(fs.ModeSymlink | 0o777)
			}
			w, err := z.CreateHeader(h)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, pairs[i+1]); err != nil {
				return err
			}
		}
		return nil
	})
}

// files lists what is in a folder, without what is in the folder except.
func files(t *testing.T, dir, except string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if p == except {
			return filepath.SkipDir
		}
		names = append(names, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// hostile are archives that nobody may unpack, and what their consumers say.
func hostile(t *testing.T, outside string) map[string]struct {
	archive []byte
	want    string
} {
	type bad = struct {
		archive []byte
		want    string
	}
	lie := func(size, packed uint64, body []byte) []byte {
		return archive(t, func(z *zip.Writer) error {
			w, err := z.CreateRaw(&zip.FileHeader{Name: "bomb", Method: zip.Deflate, UncompressedSize64: size, CompressedSize64: packed})
			if err == nil {
				_, err = w.Write(body)
			}
			return err
		})
	}
	var zeros bytes.Buffer
	if z, err := flate.NewWriter(&zeros, flate.BestCompression); err != nil {
		t.Fatal(err)
	} else if _, err := z.Write(make([]byte, 32<<20)); errors.Join(err, z.Close()) != nil {
		t.Fatal(err)
	}
	return map[string]bad{
		"parent":   {entries(t, "good", "x", "../evil", "x"), `archive entry "../evil" leaves the archive`},
		"deep":     {entries(t, "a/b/../../../../evil", "x"), `archive entry "a/b/../../../../evil" leaves the archive`},
		"absolute": {entries(t, outside+"/evil", "x"), fmt.Sprintf("archive entry %q has an absolute name", outside+"/evil")},
		"windows":  {entries(t, `..\evil`, "x"), `archive entry "..\\evil" has a backslash or a control character in its name`},
		"link":     {entries(t, "link@", "../../.."), `archive entry "link" is a link that leaves the archive`},
		"rooted":   {entries(t, "link@", outside), `archive entry "link" is a link that leaves the archive`},
		"through":  {entries(t, "link@", ".", "link/evil", "x"), `archive entry "link" is in the way of another entry`},
		"together": {entries(t, "d/e/f", "x", "up@", "d/e", "out@", "up/../../.."), `is a link that leaves the archive`},
		"twice":    {entries(t, "evil", "x", "evil", "y"), `archive entry "evil" stands in the archive twice`},
		"alias":    {entries(t, "a/evil", "x", "a/./evil", "y"), `archive entry "a/./evil" stands in the archive twice`},
		"ratio":    {entries(t, "bomb", strings.Repeat("\x00", 32<<20)), `archive entry "bomb" is packed more than 1000 to 1`},
		"size":     {lie(21<<30, 21<<30, []byte("x")), `archive entry "bomb" makes the archive larger than 21474836480 bytes`},
		"overflow": {lie(1<<64-1, 1<<62, []byte("x")), `archive entry "bomb" makes the archive larger than 21474836480 bytes`},
		"liar":     {lie(5, uint64(zeros.Len()), zeros.Bytes()), `archive entry "bomb" cannot be unpacked`},
		"many": {archive(t, func(z *zip.Writer) error {
			for i := range 500_001 {
				if _, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%x", i)}); err != nil {
					return err
				}
			}
			return nil
		}), "the archive has 500001 entries, more than 500000"},
		"text": {[]byte("this is no archive"), "the archive is not a ZIP file"},
		"cut":  {entries(t, "good", "x")[:40], "the archive is not a ZIP file"},
	}
}

// An artifact that is hostile or no archive fails whoever unpacks it with ConfigurationError
// and the name of the entry, and nothing is written anywhere (P-9, P-20).
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.bucket("target")
	s.project("app", "")
	around := filepath.Dir(s.data)
	outside := filepath.Join(around, "outside")
	if err := os.Mkdir(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	before := files(t, around, s.data)
	for name, c := range hostile(t, outside) {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			s.put("sources", name, c.archive)
			s.pipeline(name, action("Object", types.ActionCategorySource, "S3", "", "tree", "S3Bucket=sources", "S3ObjectKey="+name),
				action("Build", types.ActionCategoryBuild, "CodeBuild", "tree", "", "ProjectName=app"),
				action("Publish", types.ActionCategoryDeploy, "S3", "tree", "", "BucketName=target", "Extract=true"))
			e := s.ended(name, "")
			if e.Status != types.PipelineExecutionStatusFailed {
				t.Errorf("the execution is %s", e.Status)
			}
			did := s.actions(name, e)
			for _, consumer := range []string{"Build", "Publish"} {
				if code, text := failure(did[consumer]); code != "ConfigurationError" || !strings.Contains(text, c.want) {
					t.Errorf("%s is %s\ngot  %s: %s\nwant ConfigurationError: %s", consumer, did[consumer].Status, code, text, c.want)
				}
			}
		})
	}
	if after := files(t, around, s.data); !slices.Equal(after, before) {
		t.Errorf("around the data folder there was\n%s\nand now is\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	if left := files(t, filepath.Join(s.data, "builds"), ""); len(left) > 1 {
		t.Errorf("builds left behind: %s", left)
	}
	if keys := s.keys("target"); len(keys) > 0 {
		t.Errorf("deployed all the same: %s", keys)
	}
	if strings.Contains(s.log.String(), "panic") {
		t.Error("the server panicked")
	}
}
