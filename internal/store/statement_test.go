package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// statement is one text that the package gives to a database.
type statement struct {
	at   string
	text string
	// parameters is how many it has.
	parameters int
}

// source is the package's own source, as far as statements are made of it.
type source struct {
	t         *testing.T
	files     *token.FileSet
	constants map[string]ast.Expr
	functions map[string]*ast.FuncDecl
	// calls are the calls of each function by another of the package.
	calls map[string][]call
}

type call struct {
	in   *ast.FuncDecl
	call *ast.CallExpr
}

const (
	// anyList stands for what inList writes.
	anyList = "(\x00)"
	// up and down mark what a page's direction decides: a statement has one of them.
	up, down = "\x01", "\x02"
	// manyRows stands for the rows that insertMany adds.
	manyRows = "\x03"
)

// statements reads all statements out of the package's source: each text that is given to
// exec, one, query or all, with whatever its parts can be.
func statements(t *testing.T) []statement {
	t.Helper()
	s := &source{t: t, files: token.NewFileSet(), constants: map[string]ast.Expr{}, functions: map[string]*ast.FuncDecl{}, calls: map[string][]call{}}
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(s.files, name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		s.declare(file)
	}
	var out []statement
	for _, query := range []struct {
		function string
		argument int
	}{{"exec", 1}, {"one", 1}, {"all", 2}} {
		for _, c := range s.calls[query.function] {
			for _, text := range s.values(c.in, c.call.Args[query.argument]) {
				if strings.Contains(text, up) && strings.Contains(text, down) || strings.Contains(text, "pg_advisory") {
					continue // a page goes one way; the locks read nothing
				}
				if strings.HasSuffix(text, manyRows) { // as the others that insert
					continue
				}
				text = strings.NewReplacer(up, "", down, "", anyList, "($98, $99)").Replace(strings.Join(strings.Fields(text), " "))
				text, n := renumber(text)
				out = append(out, statement{s.files.Position(c.call.Pos()).String(), text, n})
			}
		}
	}
	if len(out) < 200 {
		t.Fatalf("the source has %d statements: they are not found any more", len(out))
	}
	return out
}

var parameter = regexp.MustCompile(`\$\d+`)

// renumber leaves no gap between the numbers of the parameters, and counts them.
func renumber(text string) (string, int) {
	numbers := map[string]string{}
	for _, name := range parameter.FindAllString(text, -1) {
		if numbers[name] == "" {
			numbers[name] = "$" + strconv.Itoa(len(numbers)+1)
		}
	}
	return parameter.ReplaceAllStringFunc(text, func(name string) string { return numbers[name] }), len(numbers)
}

func (s *source) declare(file *ast.File) {
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.CONST {
					for i, name := range v.Names {
						if i < len(v.Values) {
							s.constants[name.Name] = v.Values[i]
						}
					}
				}
			}
		case *ast.FuncDecl:
			s.functions[d.Name.Name] = d
			ast.Inspect(d, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					name := called(c)
					// The query functions themselves pass on what they are given.
					if d.Name.Name != "one" && d.Name.Name != "all" {
						s.calls[name] = append(s.calls[name], call{d, c})
					}
				}
				return true
			})
		}
	}
}

// called is the name of the function or method that is called.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.IndexExpr:
		if id, ok := f.X.(*ast.Ident); ok {
			return id.Name
		}
	}
	return ""
}

// values are the texts that an expression inside a function can have.
func (s *source) values(in *ast.FuncDecl, e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil {
			return []string{text}
		}
	case *ast.ParenExpr:
		return s.values(in, e.X)
	case *ast.BinaryExpr:
		var out []string
		for _, a := range s.values(in, e.X) {
			for _, b := range s.values(in, e.Y) {
				out = append(out, a+b)
			}
		}
		return out
	case *ast.CallExpr:
		switch called(e) {
		case "forUpdate", "skipLocked": // locks change no plan
			return []string{""}
		case "eachOf":
			var out []string
			for _, text := range s.values(in, e.Args[1]) {
				text = strings.NewReplacer("?", "0", "$q", "$97").Replace(text)
				out = append(out, text+" UNION ALL "+text)
			}
			return out
		case "inList":
			return []string{anyList}
		case "places":
			return []string{manyRows}
		case "placeholder": // of n+1 and the like: any number that nothing else has
			if sum, ok := e.Args[0].(*ast.BinaryExpr); ok {
				return []string{"$9" + sum.Y.(*ast.BasicLit).Value}
			}
		}
	case *ast.Ident:
		if in.Name.Name == "LookupAudit" && e.Name == "where" { // built up from what is asked for: the page after a first
			return []string{"account = $1 AND region = $2 AND at >= $3 AND at <= $4 AND (at < $5 OR at = $5 AND id < $6) ORDER BY at DESC, id DESC LIMIT $7"}
		}
		if out := s.variable(in, e.Name); len(out) > 0 {
			return out
		}
		if c := s.constants[e.Name]; c != nil {
			return s.values(in, c)
		}
	}
	s.t.Errorf("%s: what this part of a statement can be is not understood: teach it to this test", s.files.Position(e.Pos()))
	return nil
}

// variable gives what is assigned to a local variable or given for a parameter.
func (s *source) variable(in *ast.FuncDecl, name string) []string {
	var out []string
	add := func(texts ...string) {
		for _, text := range texts {
			if !slices.Contains(out, text) {
				out = append(out, text)
			}
		}
	}
	ast.Inspect(in, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for i, left := range n.Lhs {
				if id, ok := left.(*ast.Ident); ok && id.Name == name {
					if n.Tok == token.ADD_ASSIGN {
						for _, before := range slices.Clone(out) {
							for _, more := range s.values(in, n.Rhs[0]) {
								add(before + more)
							}
						}
						continue
					}
					if c, ok := n.Rhs[0].(*ast.CallExpr); ok && called(c) == "direction" {
						add([][]string{{up + ">", down + "<"}, {up + "ASC", down + "DESC"}}[i]...)
						continue
					}
					add(s.values(in, n.Rhs[min(i, len(n.Rhs)-1)])...)
				}
			}
		case *ast.RangeStmt:
			if id, ok := n.Value.(*ast.Ident); ok && id.Name == name {
				if lit, ok := n.X.(*ast.CompositeLit); ok {
					for _, e := range lit.Elts {
						add(s.values(in, e)...)
					}
				}
			}
		}
		return true
	})
	position := 0
	for _, field := range in.Type.Params.List {
		for _, p := range field.Names {
			if p.Name == name {
				for _, c := range s.calls[in.Name.Name] {
					add(s.values(c.in, c.call.Args[position])...)
				}
			}
			position++
		}
	}
	return out
}
