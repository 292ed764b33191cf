package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// Room is kept where the disk's promise matters, once, and a database is not full because an
// earlier run left its room behind.
func TestReserve(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "p.db")
	for range 2 {
		db, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + path})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path + ".reserve"); err != nil || info.Size() != 8<<20 || info.Mode().Perm() != 0o600 || db.Full() {
			t.Errorf("%v %v, full: %v", info, err, db.Full())
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if db := storetest.Postgres(t); db.Full() {
		t.Error("PostgreSQL's disk is not ours to watch")
	}
}
