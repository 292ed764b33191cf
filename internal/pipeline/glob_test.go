package pipeline

import (
	"errors"
	"regexp/syntax"
	"slices"
	"strings"
	"testing"
)

// S-270: the syntax of Java's file systems. The first three are where other glob libraries
// answer differently.
func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"**/README.md", "README.md", false},
		{"feature/**", "feature", false},
		{"foo**bar", "foo/x/bar", true},
		{"**/README.md", "a/README.md", true},
		{"**/README.md", "a/b/README.md", true},
		{"**", "a/b/c", true},
		{"**", "", true},
		{"*", "main", true},
		{"*", "a/b", false},
		{"dir/**", "dir/a/b", true},
		{"dir/*", "dir/a", true},
		{"dir/*", "dir/a/b", false},
		{"*.md", "x.md", true},
		{"*.md", "x.md\n", false},
		{"**.md", "a\nb/x.md", true},
		{"feature-?", "feature-1", true},
		{"feature-?", "feature-/", false},
		{"feature-?", "feature-", false},
		{"?", "é", true},
		{"[abc]x", "bx", true},
		{"[abc]x", "dx", false},
		{"[a-c]x", "cx", true},
		{"[!a-c]x", "dx", true},
		{"[!a-c]x", "ax", false},
		{"[!a]x", "/x", false},
		{"[+-9]", "/", false},
		{"[+-9]", ".", true},
		{"[+-9]", "5", true},
		{"[*?\\]", "*", true},
		{"[*?\\]", "\\", true},
		{"[*?\\]", "x", false},
		{"[-a]", "-", true},
		{"[!-a]", "-", false},
		{"[!-a]", "b", true},
		{"[a-]", "-", true},
		{"[a-]", "a", true},
		{"[^a]", "^", true},
		{"[^a]", "b", false},
		{"[a&&b]", "&", true},
		{"[[]", "[", true},
		{"{main,release/*}", "release/1", true},
		{"{main,release/*}", "main", true},
		{"{main,release/*}", "dev", false},
		{"{,x}", "", true},
		{"a{b", "", false},
		{"a,b", "a,b", true},
		{"a}", "a}", true},
		{`\*`, "*", true},
		{`\*`, "x", false},
		{`\{a\}`, "{a}", true},
		{`\d`, "d", true},
		{`\d`, "7", false},
		{"a.b", "axb", false},
		{"(a|b)+^$", "(a|b)+^$", true},
		{"main", "maintenance", false},
		{"Main", "main", false},
	} {
		g, err := CompileGlob(c.pattern)
		if c.pattern == "a{b" {
			if err == nil {
				t.Errorf("%q compiles", c.pattern)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
		} else if got := g.Match(c.name); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.name, got)
		}
	}
}

// S-270: what the syntax refuses is refused, and so is what a definition cannot have (S-258).
func TestGlobRefused(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{`a\`, "[a", "[", "[]", "[!]", "[a/b]", "[b-a]", "[a--", "[^-a]", "{a", "{a,{b}}", "{a{b}", strings.Repeat("a", 256)} {
		if _, err := CompileGlob(pattern); err == nil {
			t.Errorf("%q compiles", pattern)
		}
	}
}

// S-270: a pattern made to explode takes no more steps than any other. An expression takes one
// for each of its instructions and each character of the name, at most.
func TestGlobIsLinear(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{strings.Repeat("*a", 127), strings.Repeat("**a", 84), strings.Repeat("{a,a*}", 41), strings.Repeat("?*", 126), strings.Repeat("[!b]", 63)} {
		g, err := CompileGlob(pattern + "b")
		if err != nil {
			t.Fatal(err)
		}
		if g.Match(strings.Repeat("a", 4096)) {
			t.Errorf("%q matches", pattern)
		}
		parsed, err := syntax.Parse(g.re.String(), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil || len(program.Inst) > 4*(len(pattern)+2) {
			t.Errorf("%q has %d instructions: %v", pattern, len(program.Inst), err)
		}
	}
}

// twinGlob matches by a table of all that a pattern could reach, one element after the other: what
// the documentation of Java's file systems says, without an expression in between.
func twinGlob(pattern, name []rune) bool {
	reached := make([]bool, len(name)+1)
	reached[0] = true
	step := func(from []bool, takes func(r rune) bool, many bool) []bool {
		to := make([]bool, len(from))
		for i := range to {
			to[i] = many && from[i] || i > 0 && takes(name[i-1]) && (from[i-1] || many && to[i-1])
		}
		return to
	}
	inName := func(r rune) bool { return r != '/' }
	var begun, done []bool // of a group: where it began, and where its alternatives so far end
	end := func() {
		for i := range done {
			done[i] = done[i] || reached[i]
		}
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*' && i+1 < len(pattern) && pattern[i+1] == '*':
			i++
			reached = step(reached, func(rune) bool { return true }, true)
		case c == '*':
			reached = step(reached, inName, true)
		case c == '?':
			reached = step(reached, inName, false)
		case c == '{':
			begun, done = reached, make([]bool, len(reached))
		case c == ',' && begun != nil:
			end()
			reached = begun
		case c == '}' && begun != nil:
			end()
			reached, begun = done, nil
		case c == '[':
			set := pattern[i+1 : i+1+slices.Index(pattern[i+1:], ']')]
			i += len(set) + 1
			reached = step(reached, func(r rune) bool { return r != '/' && twinSet(set, r) }, false)
		default:
			if c == '\\' {
				i++
				c = pattern[i]
			}
			reached = step(reached, func(r rune) bool { return r == c }, false)
		}
	}
	return reached[len(name)]
}

func twinSet(set []rune, r rune) bool {
	negated := set[0] == '!'
	if negated {
		set = set[1:]
	}
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= r && r <= set[i+2] {
				return !negated
			}
			i += 2
		} else if set[i] == r {
			return !negated
		}
	}
	return negated
}

// S-270: no pattern panics or gives an expression that does not compile, and what matches is what
// matches by the table.
func FuzzGlob(f *testing.F) {
	for _, pattern := range []string{"**/*.go", "[!a-z]?", "{a,b}", `\[`, "[^-]", "[\x00-\U0010ffff]", "\xff", "[\xff-a]", "a{*/,?,}b}", `[!-a\]*`, "[a-c-e]/[--/", "***", "[*-/]{[!,]},}", "[+--a]{?,\\}}"} {
		f.Add(pattern, "a/b.go")
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		g, err := CompileGlob(pattern)
		if wrong := new(syntax.Error); errors.As(err, &wrong) {
			t.Fatalf("%q: %v", pattern, err)
		}
		if err != nil || len(name) > 5000 { // the table would take too long
			return
		}
		if got, want := g.Match(name), twinGlob([]rune(pattern), []rune(name)); got != want {
			t.Fatalf("%q on %q: %v, and by the table %v", pattern, name, got, want)
		}
	})
}
