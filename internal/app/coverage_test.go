package app

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"penstock/internal/svc/s3"
)

var update = flag.Bool("update", false, "write docs/api-coverage.md anew")

// offered gives the operations of a room that have behaviour, and those that are refused as
// unknown, in the order of the alphabet.
func offered(t *testing.T, a *App, m *published, room int) (behave, refused []string) {
	s := a.rooms.services[room]
	keys := stranger(t, a, "coverage-"+s.Name)
	for _, op := range m.Operations {
		if s.Operations[op.Name] == nil {
			continue
		}
		r, body := request(t, s, m, op)
		if notOffered(a.ask(t, &keys, s.Scope, r, body).Body.String()) {
			refused = append(refused, op.Name)
		} else {
			behave = append(behave, op.Name)
		}
	}
	slices.Sort(behave)
	slices.Sort(refused)
	return behave, refused
}

func notOffered(answer string) bool {
	return strings.Contains(answer, "is not offered by this penstock server") || strings.Contains(answer, "Could not find operation")
}

// N-18: docs/api-coverage.md says of every room which operations it has, as the server itself
// answers. `go test ./internal/app -run TestAPICoverage -update` writes it anew.
func TestAPICoverage(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	all := models(t)
	var b strings.Builder
	b.WriteString(`# API coverage

Which operations each room of the server has, written by a test that asks the server itself. An
operation that is not listed is refused as the protocol refuses an unknown one; none is accepted
and then not done. Where one behaves otherwise than AWS's, [divergences.md](divergences.md) says so.
The last column counts the published operations and the few of our own, such as ExplainPipeline.

| room | operations | of |
|---|---|---|
`)
	var lists strings.Builder
	pipelines := 0
	for i, s := range a.rooms.services {
		behave, refused := offered(t, a, all[strings.Replace(s.Name, "codestarconnections", "codeconnections", 1)], i)
		if s.Name == "codepipeline" {
			pipelines = len(behave)
		}
		fmt.Fprintf(&b, "| %s | %d | %d |\n", s.Name, len(behave), len(behave)+len(refused))
		fmt.Fprintf(&lists, "\n## %s\n\n%s\n", s.Name, paragraph(behave))
	}
	names := s3.Operations()
	slices.Sort(names)
	fmt.Fprintf(&b, "| s3 | %d | |\n", len(names))
	fmt.Fprintf(&lists, "\n## s3\n\n%s\n", paragraph(names))
	b.WriteString(lists.String())

	if pipelines != 45 { // the published 44 and ExplainPipeline
		t.Errorf("%d operations of CodePipeline have behaviour", pipelines)
	}
	file := filepath.Join("..", "..", "docs", "api-coverage.md")
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != b.String() {
		t.Errorf("docs/api-coverage.md is not what the server answers: go test ./internal/app -run TestAPICoverage -update")
	}
}

// paragraph joins words by commas, in lines of a readable length.
func paragraph(words []string) string {
	var out, line string
	for i, w := range words {
		if i < len(words)-1 {
			w += ","
		}
		if line != "" && len(line)+len(w) > 96 {
			out, line = out+line+"\n", ""
		}
		if line != "" {
			line += " "
		}
		line += w
	}
	return out + line
}
