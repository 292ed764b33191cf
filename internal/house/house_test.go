package house

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// A problem is one broken rule at one place, with the way to mend it.
type problem struct {
	path string
	line int
	text string
	mend string
}

func (p problem) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", p.path, max(p.line, 1), p.text, p.mend)
}

// A rule finds the places of a tree where it is broken.
type rule struct {
	name string
	find func(*tree) []problem
}

var rules = []rule{
	{"imports", imports},
	{"purity", purity},
	{"size", size},
	{"package-comment", packageComment},
	{"doc-comment", docComment},
	{"names", names},
	{"interfaces", interfaces},
	{"finished", finished},
	{"parallel", parallel},
	{"migrations", migrations},
	{"workplace", workplace},
	{"guarded", guarded},
	{"ground", ground},
	{"records", records},
	{"links", links},
	{"divergences", divergences},
}

func TestHouse(t *testing.T) {
	t.Parallel()
	tr, err := loadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			for _, p := range r.find(tr) {
				t.Error(p)
			}
		})
	}
}

// TestRulesCatch runs the rules on small trees that break them. The comment of an archive
// holds the expected problems, one a line: the rule, the place and words of the text.
func TestRulesCatch(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(archives) == 0 {
		t.Fatalf("no archives: %v", err)
	}
	caught := map[string]bool{}
	for _, name := range archives {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Split(strings.TrimSpace(string(txtar.Parse(data).Comment)), "\n")
		tr, err := loadArchive(data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		only := map[string]bool{}
		for _, line := range want {
			only[strings.Fields(line)[0]] = true
		}
		var got []string
		for _, r := range rules {
			if !only[r.name] {
				continue
			}
			for _, p := range r.find(tr) {
				caught[r.name] = true
				got = append(got, fmt.Sprintf("%s %s", r.name, p))
			}
		}
		for _, line := range want {
			rule, rest, _ := strings.Cut(line, " ")
			place, words, _ := strings.Cut(rest, " ")
			i := slices.IndexFunc(got, func(g string) bool {
				return strings.HasPrefix(g, rule+" "+place+": ") && strings.Contains(g, words)
			})
			if i < 0 {
				t.Errorf("%s: not found: %s", name, line)
				continue
			}
			got = slices.Delete(got, i, i+1)
		}
		for _, g := range got {
			t.Errorf("%s: not expected: %s", name, g)
		}
	}
	for _, r := range rules {
		if !caught[r.name] {
			t.Errorf("no archive in testdata breaks the rule %q", r.name)
		}
	}
}
