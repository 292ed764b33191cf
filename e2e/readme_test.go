package e2e

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come: only one that fails waits so long, and a
// machine may be slow and have other things to do.
const patience = 10 * time.Minute

// TestReadme does what the README says, word for word. Each block of commands is repeated
// until it succeeds, as a reader would who comes back a moment later, so a block that
// waits for the pipeline must do no harm before that.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) < 5 {
		t.Fatalf("%d blocks of commands in the README", len(blocks))
	}
	checkout := readmeCheckout(t)
	env := readmeServer(t, checkout)
	for _, b := range blocks {
		out := runBlock(t, checkout, env, b)
		if want := "Hello from commit "; strings.Contains(b, "s3://releases/index.html") && !regexp.MustCompile(want+"[0-9a-f]{40}").MatchString(out) {
			t.Errorf("the deployed page names no commit:\n%s", out)
		}
	}
}

// consoleBlocks gives the commands of each ```console block of a page, a line each: what
// follows "$ ". Other lines of such a block are output, shown for the reader.
func consoleBlocks(page string) []string {
	var blocks []string
	for _, part := range strings.Split(page, "\n```console\n")[1:] {
		body, _, _ := strings.Cut(part, "\n```")
		var commands []string
		for line := range strings.Lines(body + "\n") {
			if c, ok := strings.CutPrefix(line, "$ "); ok {
				commands = append(commands, c)
			}
		}
		blocks = append(blocks, strings.Join(commands, ""))
	}
	return blocks
}

func TestConsoleBlocks(t *testing.T) {
	t.Parallel()
	got := consoleBlocks("a\n```console\n$ one\nsaid\n$ two 'x'\n```\n```\nnot this\n```\n```console\n$ three\n```\n")
	if len(got) != 2 || got[0] != "one\ntwo 'x'\n" || got[1] != "three\n" {
		t.Fatalf("%q", got)
	}
}

// readmeCheckout makes a folder that looks like a checkout in which `make build` has run.
func readmeCheckout(t *testing.T) string {
	t.Helper()
	checkout := filepath.Join(t.TempDir(), "penstock")
	bin := os.Getenv("PENSTOCK_BIN")
	if bin == "" {
		bin = filepath.Join(t.TempDir(), "penstock")
		build := exec.Command("go", "build", "-o", bin, "../cmd/penstock")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	docs, err := filepath.Abs(filepath.Join("..", "docs"))
	if err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"bin/penstock": bin, "docs": docs} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(checkout, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(checkout, link)); err != nil {
			t.Fatal(err)
		}
	}
	return checkout
}

// readmeServer starts `bin/penstock serve` on a free port and gives the environment in
// which the README's commands find it.
func readmeServer(t *testing.T, checkout string) []string {
	t.Helper()
	home := t.TempDir()
	path := os.Getenv("PATH")
	if venv, err := filepath.Abs(filepath.Join("..", ".venv", "bin")); err == nil {
		path = venv + string(os.PathListSeparator) + path
	}
	env := []string{
		"PATH=" + path, "HOME=" + home, "LC_ALL=C.UTF-8", "AWS_PAGER=", "NO_COLOR=1",
		"PENSTOCK_LISTEN=127.0.0.1:0", "PENSTOCK_DATA=" + filepath.Join(home, "data"),
		"GIT_AUTHOR_NAME=Reader", "GIT_AUTHOR_EMAIL=reader@example.org",
		"GIT_COMMITTER_NAME=Reader", "GIT_COMMITTER_EMAIL=reader@example.org",
		"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1",
	}
	ctx, stop := context.WithCancel(context.Background())
	serve := exec.CommandContext(ctx, "bin/penstock", "serve")
	serve.Dir, serve.Env = checkout, env
	serve.Cancel = func() error { return serve.Process.Signal(os.Interrupt) }
	serve.WaitDelay = patience
	var log strings.Builder
	serve.Stderr = &log
	stdout, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "penstock: ready on ") {
				close(ready)
				break
			}
		}
		io.Copy(io.Discard, stdout)
		serve.Wait()
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("the server said:\n%s", log.String())
		}
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatal("the server ended before it was ready")
	case <-time.After(patience):
		t.Fatal("the server was not ready in time")
	}
	return env
}

// runBlock runs a block in a shell of its own, in the environment that the README's reader
// has by then, until it succeeds, and gives what it printed.
func runBlock(t *testing.T, dir string, env []string, block string) string {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	first := ""
	for {
		sh := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", `eval "$(bin/penstock env)"`+"\n"+block)
		sh.Dir, sh.Env, sh.WaitDelay = dir, env, drain
		out, err := sh.CombinedOutput()
		if err == nil {
			return string(out)
		}
		if first == "" {
			first = err.Error() + "\n" + string(out)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("this never succeeded:\n%s\nat first: %s\nat last: %v\n%s", block, first, err, out)
		}
	}
}
