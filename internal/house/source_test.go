package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

const (
	maxLines   = 600
	maxMethods = 7
)

// size holds every Go file that people write to 600 lines.
func size(tr *tree) []problem {
	var ps []problem
	for _, s := range tr.gos {
		if n := bytes.Count(s.text, []byte("\n")); n > maxLines && !s.gen {
			ps = append(ps, problem{s.path, n, fmt.Sprintf("%d lines, %d are the limit", n, maxLines),
				"there are two subjects in it; give each its file"})
		}
	}
	return ps
}

// packageComment wants a comment on every package, in a file that is not a test where
// there is one.
func packageComment(tr *tree) []problem {
	var ps []problem
	packages := tr.packages()
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		sources := packages[dir]
		onlyTests := !slices.ContainsFunc(sources, func(s source) bool { return !s.test })
		name, want := sources[0].syntax.Name.Name, "Package "+sources[0].syntax.Name.Name+" "
		for _, s := range sources {
			if !s.test {
				name = s.syntax.Name.Name
				want = "Package " + name + " "
			}
		}
		if name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		if !slices.ContainsFunc(sources, func(s source) bool {
			return (onlyTests || !s.test) && s.syntax.Doc != nil && strings.HasPrefix(s.syntax.Doc.Text(), want)
		}) {
			ps = append(ps, problem{sources[0].path, 1, "package " + dir + " has no package comment",
				fmt.Sprintf("begin one of its files with %q and say what the package is for", "// "+want+"…")})
		}
	}
	return ps
}

// docComment wants the contract of every exported identifier below internal/. A comment
// on a group of constants or variables stands for its members.
func docComment(tr *tree) []problem {
	var ps []problem
	for _, s := range tr.gos {
		if s.test || s.gen || !strings.HasPrefix(s.dir, "internal/") || s.syntax.Name.Name == "main" {
			continue
		}
		missing := func(n ast.Node, what, name string) {
			ps = append(ps, problem{s.path, tr.line(n), "exported " + what + " " + name + " has no comment",
				"state its contract: what it promises, what it asks, what errors mean"})
		}
		for _, d := range s.syntax.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && empty(d.Doc) {
					missing(d, "function", d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.IsExported() && empty(spec.Doc) && (len(d.Specs) > 1 || empty(d.Doc)) {
							missing(spec, "type", spec.Name.Name)
						}
					case *ast.ValueSpec:
						i := slices.IndexFunc(spec.Names, (*ast.Ident).IsExported)
						if i >= 0 && empty(spec.Doc) && empty(spec.Comment) && empty(d.Doc) {
							missing(spec, d.Tok.String(), spec.Names[i].Name)
						}
					}
				}
			}
		}
	}
	return ps
}

func empty(c *ast.CommentGroup) bool { return c == nil || strings.TrimSpace(c.Text()) == "" }

// exportedReceiver says whether a function is none's or an exported type's method.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// drawers are names that say nothing about what is inside.
var drawers = regexp.MustCompile(`^(utils?|common|helpers?|managers?|base|misc|shared|lib)$`)

// names refuses packages and folders that would become a drawer for everything.
func names(tr *tree) []problem {
	var ps []problem
	packages := tr.packages()
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		s := packages[dir][0]
		for _, name := range []string{path.Base(dir), strings.TrimSuffix(s.syntax.Name.Name, "_test")} {
			if drawers.MatchString(name) {
				ps = append(ps, problem{s.path, 1, "package " + dir + " is called " + name, "name it after the one thing it knows"})
				break
			}
		}
	}
	return ps
}

// interfaces holds interfaces that people write to seven methods.
func interfaces(tr *tree) []problem {
	var ps []problem
	for _, s := range tr.gos {
		if s.gen {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if t, ok := n.(*ast.InterfaceType); ok && t.Methods.NumFields() > maxMethods {
				ps = append(ps, problem{s.path, tr.line(t), fmt.Sprintf("an interface of %d methods, %d are the limit", t.Methods.NumFields(), maxMethods),
					"ask for what the caller needs, and only where two real implementations exist"})
			}
			return true
		})
	}
	return ps
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b|//nolint`)

// finished finds marks of unfinished work, and tests that skip or sleep.
func finished(tr *tree) []problem {
	var ps []problem
	for _, s := range tr.gos {
		if s.gen || s.dir == "internal/house" {
			continue
		}
		for _, g := range s.syntax.Comments {
			for _, c := range g.List {
				if m := unfinished.FindString(c.Text); m != "" {
					ps = append(ps, problem{s.path, tr.line(c), "a comment says " + m, "finish it, or take it out"})
				}
			}
		}
		if !s.test {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := sel.X.(*ast.Ident)
			switch name := sel.Sel.Name; {
			case x == nil:
			case x.Name == "time" && name == "Sleep" && !usesSynctest(s.syntax):
				ps = append(ps, problem{s.path, tr.line(n), "a test sleeps", "wait for the thing itself with a deadline, or use testing/synctest"})
			case (x.Name == "t" || x.Name == "b" || x.Name == "tb") && (name == "Skip" || name == "Skipf" || name == "SkipNow"):
				ps = append(ps, problem{s.path, tr.line(n), "a test skips itself", "let scripts/setup bring what it needs, or take the test out"})
			}
			return true
		})
	}
	return ps
}

// usesSynctest says whether time in a file is the fake time of a bubble.
func usesSynctest(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool {
		return s.Path.Kind == token.STRING && s.Path.Value == `"testing/synctest"`
	})
}

// parallel wants every test to run beside the others: in any order, sharing nothing. A test
// that changes its process (t.Setenv, t.Chdir) cannot and is left alone.
func parallel(tr *tree) []problem {
	var ps []problem
	// Functions that tests call and that do it for them, such as a run over both databases.
	free := map[string]bool{"Parallel": true, "Setenv": true, "Chdir": true}
	for _, s := range tr.gos {
		eachFunc(s, func(f *ast.FuncDecl) {
			if !isTest(f) && calls(f, map[string]bool{"Parallel": true}) {
				free[f.Name.Name] = true
			}
		})
	}
	for _, s := range tr.gos {
		eachFunc(s, func(f *ast.FuncDecl) {
			if s.test && isTest(f) && !calls(f, free) {
				ps = append(ps, problem{s.path, tr.line(f), f.Name.Name + " does not run in parallel",
					"begin it with t.Parallel(), and give it files, ports and names of its own"})
			}
		})
	}
	return ps
}

// eachFunc visits the functions of a file that people write.
func eachFunc(s source, visit func(*ast.FuncDecl)) {
	if s.gen {
		return
	}
	for _, d := range s.syntax.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			visit(f)
		}
	}
}

// calls says whether a function calls one of these, by whatever package or receiver.
func calls(f *ast.FuncDecl, names map[string]bool) bool {
	found := false
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			switch fn := call.Fun.(type) {
			case *ast.Ident:
				found = found || names[fn.Name]
			case *ast.SelectorExpr:
				found = found || names[fn.Sel.Name]
			}
		}
		return !found
	})
	return found
}

// isTest says whether a function is TestXxx(*testing.T).
func isTest(f *ast.FuncDecl) bool {
	if f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") || f.Type.Params.NumFields() != 1 {
		return false
	}
	star, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	sel, ok := star.X.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "T"
}
