package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"penstock/internal/app"
)

// hostile is what somebody writes into a name, a message, a reason or a log to reach the terminal
// of who reads it: the title, the clipboard, a line that was there before, the direction of writing.
const hostile = "\x1b]0;owned\x07\x1b]52;c;b3duZWQ=\x07\x1b[2J\x1b[1;1H\x1bP+q544e\x1b\\\u009b31m\r\b\x00\x7f\u202egnihton\u2066\u2028"

// shapes are those of a published model.
type shapes map[string]struct {
	Type                string
	Members             []struct{ Name, Shape string }
	Enum                []string
	Element, Key, Value string
}

// full gives a value with all members and hostile texts; what has a choice is of the kind.
func (s shapes) full(name, kind string, depth int) any {
	v := s[name]
	switch {
	case depth > 9:
		return nil
	case v.Type == "structure":
		out := map[string]any{}
		for _, m := range v.Members {
			if strings.EqualFold(m.Name, "nextToken") || strings.HasPrefix(m.Name, "nextForward") || strings.HasPrefix(m.Name, "nextBackward") {
				continue
			}
			if e := s.full(m.Shape, kind, depth+1); e != nil {
				out[m.Name] = e
			}
		}
		return out
	case v.Type == "list":
		return []any{s.full(v.Element, kind, depth+1)}
	case v.Type == "map":
		return map[string]any{"key" + hostile: s.full(v.Value, kind, depth+1)}
	case v.Type == "boolean":
		return true
	case v.Type != "string":
		return 1
	case slices.Contains(v.Enum, kind):
		return kind
	case len(v.Enum) > 0:
		return v.Enum[0] + hostile
	}
	return "text" + hostile
}

// commanding is set, to its arguments, for the process that is to be one command.
const commanding = "PENSTOCK_TEST_COMMAND"

// liar answers everything with what nobody should see on a terminal.
func liar(t *testing.T) *httptest.Server {
	t.Helper()
	type model struct {
		Operations []struct{ Name, Output string }
		Shapes     shapes
	}
	models := map[string]*model{}
	for prefix, name := range map[string]string{"CodePipeline_20150709": "codepipeline", "Logs_20140328": "logs", "CodeConnections_20231201": "codeconnections", "CloudTrail_20131101": "cloudtrail", "CodeBuild_20161006": "codebuild"} {
		text, err := os.ReadFile(filepath.Join("..", "..", "internal", "api", "models", name+".json"))
		if models[prefix] = new(model); err == nil {
			err = json.Unmarshal(text, models[prefix])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		target, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target")[strings.LastIndexByte(r.Header.Get("X-Amz-Target")[:max(0, strings.LastIndexByte(r.Header.Get("X-Amz-Target"), '.'))], '.')+1:], ".")
		kind := strings.Trim(r.URL.Path, "/")
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		var out any
		if operation == "ExplainPipeline" {
			out = map[string]any{"pipelineExecutionId": "id" + hostile, "facts": []string{"fact" + hostile}, "sourceEvents": []any{map[string]any{"at": 1, "subject": hostile, "outcome": hostile}}}
		}
		if m := models[target]; m != nil && out == nil {
			for _, op := range m.Operations {
				if op.Name == operation && op.Output != "" {
					out = m.Shapes.full(op.Output, kind, 0)
				}
			}
		}
		if out == nil || kind == "Refused" {
			w.WriteHeader(http.StatusBadRequest)
			out = map[string]any{"__type": "ValidationException", "message": "no: " + hostile}
		}
		_ = json.NewEncoder(w).Encode(out)
	}))
	t.Cleanup(server.Close)
	return server
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// W-32, S-38: whatever a server answers, no command writes anything to the terminal but text: every
// command, with every text of every answer hostile, for people and as JSON.
func TestHostileAnswers(t *testing.T) {
	t.Parallel()
	if text := os.Getenv(commanding); text != "" {
		ctx, stop := context.WithTimeout(context.Background(), 60*time.Second)
		defer stop()
		os.Exit(run(ctx, strings.Split(text, "\n")))
	}
	server := liar(t)
	var lines [][]string
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			if slices.Contains([]string{"serve", "demo", "agent", "env", "version", "help", "completion", "validate", "import"}, sub.Name()) {
				continue
			}
			walk(sub, append(slices.Clone(path), sub.Name()))
		}
		if len(path) == 0 || c.RunE == nil || c.HasSubCommands() {
			return
		}
		for n := range 4 {
			args := []string{"text", "S/A", "0"}[:n]
			if c.Args == nil || c.Args(c, args) == nil {
				line := append(slices.Clone(path), args...)
				lines = append(lines, line)
				if c.Flags().Lookup("json") != nil {
					lines = append(lines, append(slices.Clone(line), "--json"))
				}
			}
		}
	}
	walk(newRoot(), nil)
	lines = append(lines, []string{"export", "text", "--format", "cloudformation"}, []string{"export", "text", "--format", "terraform"})
	if len(lines) < 30 {
		t.Errorf("only %d command lines: %q", len(lines), lines)
	}
	work := t.TempDir()
	var turns = make(chan struct{}, 4)
	var wg sync.WaitGroup
	for _, kind := range []string{"Succeeded", "Failed", "Refused"} {
		data := filepath.Join(t.TempDir(), "data")
		text, err := json.Marshal(app.Credentials{URL: server.URL + "/" + kind, AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret", Region: "us-east-1", Account: "000000000000"})
		if err == nil {
			err = errors.Join(os.MkdirAll(data, 0o700), os.WriteFile(filepath.Join(data, "credentials.json"), text, 0o600))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			wg.Go(func() {
				turns <- struct{}{}
				defer func() { <-turns }()
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestHostileAnswers$")
				cmd.Dir = work
				cmd.Env = append(os.Environ(), commanding+"="+strings.Join(append(slices.Clone(line), "--data", data), "\n"), "COLUMNS=200")
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				_ = cmd.Run() // how it ends is not what is asked
				shown := colours.ReplaceAllString(out.String(), "")
				if i := strings.IndexFunc(shown, func(r rune) bool {
					return r != '\n' && r != '\t' && unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028'
				}); i >= 0 {
					t.Errorf("%s: %q writes %q", kind, line, shown[max(0, i-60):min(len(shown), i+60)])
				}
				if strings.Contains(shown, "panic:") || shown == "" && kind == "Refused" {
					t.Errorf("%s: %q: %.2000s", kind, line, shown)
				}
			})
		}
	}
	wg.Wait()
}
