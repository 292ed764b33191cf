package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// durable opens a SQLite database that keeps its promise to the disk.
func durable(c *store.Config) { c.Durability = store.Full }

// BenchmarkUpdate is one changed row, durable; compare BenchmarkFsync of the same run.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			db := storetest.SQLite(b, durable)
			ctx := b.Context()
			var n atomic.Int64
			b.SetParallelism(callers) // times GOMAXPROCS
			before := db.Stats()
			b.ResetTimer()
			run := func() {
				i := n.Add(1)
				if err := put(ctx, db, fmt.Sprint("key", i%1000), fmt.Sprint("value", i)); err != nil {
					b.Error(err)
				}
			}
			if callers == 1 {
				for b.Loop() {
					run()
				}
			} else {
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						run()
					}
				})
			}
			after := db.Stats()
			b.ReportMetric(float64(after.Updates-before.Updates)/float64(after.Commits-before.Commits), "updates/commit")
		})
	}
}

// BenchmarkFsync is the disk alone: 4 KiB appended or written over, and made durable.
func BenchmarkFsync(b *testing.B) {
	for _, mode := range []string{"append", "overwrite"} {
		b.Run(mode, func(b *testing.B) {
			f, err := os.Create(filepath.Join(b.TempDir(), "f"))
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			page := make([]byte, 4096)
			at := int64(0)
			for b.Loop() {
				if _, err := f.WriteAt(page, at); err != nil {
					b.Fatal(err)
				}
				if err := f.Sync(); err != nil {
					b.Fatal(err)
				}
				if mode == "append" {
					at += int64(len(page))
				}
			}
		})
	}
}

// BenchmarkView is one row read in a snapshot of its own.
func BenchmarkView(b *testing.B) {
	db := storetest.SQLite(b)
	if err := put(b.Context(), db, "a", "1"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := get(b.Context(), db, "a"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is part of every start of the server.
func BenchmarkOpen(b *testing.B) {
	open := func(b *testing.B, url string) {
		db, err := store.Open(b.Context(), store.Config{URL: url})
		if err != nil {
			b.Fatal(err)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("fresh", func(b *testing.B) {
		dir, n := b.TempDir(), 0
		for b.Loop() {
			n++
			open(b, fmt.Sprintf("sqlite:%s/%d.db", dir, n))
		}
	})
	b.Run("existing", func(b *testing.B) {
		url := storetest.SQLiteURL(b)
		for b.Loop() {
			open(b, url)
		}
	})
}
