package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"penstock/internal/app"
)

// N-13: a connection is made, completed with secrets from files, and listed.
func TestConnectionCommands(t *testing.T) {
	t.Parallel()
	cfg := app.Default()
	cfg.Data, cfg.Listen, cfg.Log = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", slog.New(slog.DiscardHandler)
	a, err := app.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	penstock := func(args ...string) int {
		return run(t.Context(), append(args, "--data", cfg.Data, "--json"))
	}
	if code := penstock("connection", "create", "c", "--provider", "GitHub"); code != 0 {
		t.Fatalf("create: exit code %d", code)
	}
	list := func() connectionRow {
		var out struct{ Connections []connectionRow }
		if err := app.CallConnections(t.Context(), configFor(a.Credentials()), "ListConnections", struct{}{}, &out); err != nil || len(out.Connections) != 1 {
			t.Fatalf("%+v %v", out, err)
		}
		return out.Connections[0]
	}
	made := list()
	if made.ConnectionStatus != "PENDING" || made.ConnectionName != "c" {
		t.Errorf("%+v", made)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("a secret of the team\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code := penstock("connection", "complete", made.ConnectionArn, "--token-file", file, "--webhook-secret-file", file); code != 0 {
		t.Errorf("complete: exit code %d", code)
	}
	if got := list(); got.ConnectionStatus != "AVAILABLE" {
		t.Errorf("%+v", got)
	}
	for want, args := range map[int][]string{0: {"connection", "list"}, exitUsage: {"connection", "complete"}, exitFailed: {"connection", "complete", made.ConnectionArn + "x"}} {
		if code := penstock(args...); code != want {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
	if text, err := readSecret(file); err != nil || text != "a secret of the team" {
		t.Errorf("%q %v", text, err)
	}
}
