package app

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"penstock/internal/seal"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// The first start makes a key that only its owner can read, later ones keep it, and a server
// without the key of a database does not start on it.
func TestMasterKey(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		run := func(data, key string) error {
			cfg := Default()
			cfg.Data, cfg.Listen, cfg.Database, cfg.MasterKey, cfg.Log = data, "127.0.0.1:0", url, key, slog.New(slog.DiscardHandler)
			a, err := Start(t.Context(), cfg)
			if err == nil {
				err = a.Close()
			}
			return err
		}
		data := t.TempDir()
		own := filepath.Join(data, "master.key")
		if err := run(data, ""); err != nil {
			t.Fatal(err)
		}
		made, err := os.ReadFile(own)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(own); err != nil || info.Mode().Perm() != 0o600 {
			t.Error(info.Mode(), err)
		}
		if err := run(data, ""); err != nil {
			t.Error(err)
		}
		if again, err := os.ReadFile(own); err != nil || string(again) != string(made) {
			t.Error("another start made another key", err)
		}

		// Another folder has another key.
		other := t.TempDir()
		if err := run(other, ""); !errors.Is(err, store.ErrForeignKey) || !strings.Contains(err.Error(), "--master-key") {
			t.Error(err)
		}
		if err := run(other, own); err != nil {
			t.Error(err)
		}

		// A file of one's own: in good form, and closed to others.
		mine := filepath.Join(other, "mine")
		for text, want := range map[string]string{"": "there is no key", "hunter2": "line 1 is not a key", string(seal.Fresh()): "add that key to"} {
			if err := os.WriteFile(mine, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := run(other, mine); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Error(err)
			}
		}
		if err := os.Chmod(mine, 0o640); err != nil {
			t.Fatal(err)
		}
		if err := run(other, mine); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Error(err)
		}
		if err := run(other, filepath.Join(other, "nowhere")); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
}
