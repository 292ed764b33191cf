package e2e

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
)

// C-26: the SDK for JavaScript, unmodified, through the life of a pipeline.
func TestJavaScript(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	node, err := filepath.Abs(filepath.Join("..", ".venv", "bin", "node"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, node, "js/lifecycle.mjs")
	cmd.Env = s.environment(t)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
