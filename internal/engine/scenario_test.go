package engine

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into testdata/*.txt; only commit what you can explain")

// TestScenarios plays the stories of testdata/*.txt. A story is a list of commands, each
// followed by ---- and what came of it: the effects in order, then those lines of the state
// that are not as before. Blank lines separate; # begins a comment. The commands are those
// of (*player).do.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(want), "\n----\n") && !*rewrite {
				t.Fatalf("%s tells no story", file)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("%s plays otherwise; run go test ./internal/engine -rewrite and look at the difference:\n%s", file, difference(string(want), got))
			}
		})
	}
}

func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "", ""
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a, b)
		}
	}
	return ""
}

// play runs a story and gives it back with what happened in place of what was expected.
func play(t *testing.T, text string) string {
	p := newPlayer(t)
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		var input []string
		for line := range strings.SplitSeq(block, "\n") {
			if line == "----" {
				break
			}
			input = append(input, line)
		}
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		out.WriteString(strings.Join(input, "\n") + "\n")
		commands := slices.DeleteFunc(slices.Clone(input), func(l string) bool { return strings.HasPrefix(l, "#") || l == "" })
		if len(commands) > 0 {
			out.WriteString("----\n" + p.do(commands))
		}
	}
	return out.String()
}
