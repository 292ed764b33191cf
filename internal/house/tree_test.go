package house

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sync/errgroup"
)

// module is the module's name in go.mod.
const module = "penstock"

// maxText is the size above which a file is taken for data and its text is not looked at.
const maxText = 4 << 20

// A tree is what the rules look at: the text files of the repository, and the Go files
// among them parsed.
type tree struct {
	fset  *token.FileSet
	files []file   // in order of path
	gos   []source // in order of path; without testdata
}

// A file is one text file, its path with slashes and below the root.
type file struct {
	path string
	text []byte
}

// A source is one Go file. Of a generated one only the package clause and imports are parsed.
type source struct {
	file
	dir       string
	test, gen bool
	syntax    *ast.File
}

// loadDir reads what git would commit below root, or everything where root is no checkout.
func loadDir(root string) (*tree, error) {
	paths, err := listGit(root)
	if err != nil {
		if paths, err = listDir(root); err != nil {
			return nil, err
		}
	}
	var files []file
	for _, p := range paths {
		name := filepath.Join(root, filepath.FromSlash(p))
		info, err := os.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted and not committed yet
		}
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxText {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if !bytes.Contains(text[:min(len(text), 8000)], []byte{0}) {
			files = append(files, file{p, text})
		}
	}
	return parse(files)
}

func listGit(root string) ([]string, error) {
	// A checkout may be another user's, as in a container that runs as root.
	out, err := exec.Command("git", "-c", "safe.directory=*", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, err
	}
	paths := strings.Split(strings.TrimRight(string(out), "\x00"), "\x00")
	slices.Sort(paths)
	return slices.Compact(paths), nil
}

func listDir(root string) ([]string, error) {
	var paths []string
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{".git", ".venv", "bin", "dist"}, p):
			return fs.SkipDir
		case !d.IsDir():
			paths = append(paths, p)
		}
		return nil
	})
	return paths, err
}

func loadArchive(data []byte) (*tree, error) {
	var files []file
	for _, f := range txtar.Parse(data).Files {
		files = append(files, file{f.Name, f.Data})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return parse(files)
}

func parse(files []file) (*tree, error) {
	tr := &tree{fset: token.NewFileSet(), files: files}
	for _, f := range files {
		if !strings.HasSuffix(f.path, ".go") || strings.Contains("/"+f.path, "/testdata/") {
			continue
		}
		tr.gos = append(tr.gos, source{
			file: f,
			dir:  path.Dir(f.path),
			test: strings.HasSuffix(f.path, "_test.go"),
			gen:  strings.HasSuffix(f.path, "_gen.go"),
		})
	}
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range tr.gos {
		g.Go(func() error {
			s := &tr.gos[i]
			mode := parser.ParseComments | parser.SkipObjectResolution
			if s.gen {
				mode |= parser.ImportsOnly
			}
			var err error
			s.syntax, err = parser.ParseFile(tr.fset, s.path, s.text, mode)
			return err
		})
	}
	return tr, g.Wait()
}

// line is the line of a node of one of the tree's Go files.
func (tr *tree) line(n ast.Node) int { return tr.fset.Position(n.Pos()).Line }

// packages groups the Go files by folder.
func (tr *tree) packages() map[string][]source {
	m := map[string][]source{}
	for _, s := range tr.gos {
		m[s.dir] = append(m[s.dir], s)
	}
	return m
}

// find gives the file at a path.
func (tr *tree) find(p string) (file, bool) {
	i, ok := slices.BinarySearchFunc(tr.files, p, func(f file, p string) int { return strings.Compare(f.path, p) })
	if !ok {
		return file{}, false
	}
	return tr.files[i], true
}

// exists says whether a file, or a folder with files, stands at a path.
func (tr *tree) exists(p string) bool {
	if p == "." {
		return true
	}
	return slices.ContainsFunc(tr.files, func(f file) bool {
		return f.path == p || strings.HasPrefix(f.path, p+"/")
	})
}
