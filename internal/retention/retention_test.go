package retention_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"penstock/internal/retention"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m, func() error { return goleak.Find() }) }

func update(t testing.TB, db *store.DB, f func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatal(err)
	}
}

func tokens(t testing.TB, db *store.DB, n int, prefix string) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx *store.Tx) error {
		for i := range n {
			if err := tx.PutStartToken(ctx, "p", store.StartToken{Token: fmt.Sprint(prefix, i), Execution: "e", Arguments: "[]"}, 10000*time.Hour); err != nil {
				return err
			}
		}
		return nil
	})
}

func known(t testing.TB, db *store.DB, token string) bool {
	t.Helper()
	err := db.View(t.Context(), func(tx *store.Tx) error {
		_, err := tx.FindStartToken(t.Context(), "p", token)
		return err
	})
	return err == nil
}

var aDay = []retention.Life{{Kind: store.StartTokens, Keep: 24 * time.Hour}}

// A server removes what is too old within the hour, and nothing in its first minute (S-103).
func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		ctx, stop := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		log := &lines{}
		ended.Go(func() {
			if err := retention.New(retention.Config{DB: db, Lives: aDay, Log: slog.New(log)}).Run(ctx); err != nil {
				t.Error(err)
			}
		})
		tokens(t, db, 250, "old")
		time.Sleep(59 * time.Second)
		before := db.Stats().Updates
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if before != 1 || db.Stats().Updates == before {
			t.Errorf("%d updates in the first minute, %d after it", before, db.Stats().Updates)
		}
		time.Sleep(23 * time.Hour)
		tokens(t, db, 1, "young")
		if !known(t, db, "old0") {
			t.Error("a token was forgotten too early")
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for _, token := range []string{"old0", "old249"} {
			if known(t, db, token) {
				t.Errorf("%s is remembered for more than a day and an hour", token)
			}
		}
		if !known(t, db, "young0") {
			t.Error("a token was forgotten too early")
		}
		if got := log.all(); len(got) != 1 || got[0] != "retention: removed what is kept no longer [start tokens=250]" {
			t.Errorf("the log has %q", got)
		}
		stop()
		ended.Wait()
	})
}

// Of several servers one does the work of an hour; when it is gone another does.
func TestOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := storetest.SQLite(t)
		first, stop := context.WithCancel(t.Context())
		all, stopAll := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		for _, ctx := range []context.Context{first, all, all} {
			ended.Go(func() {
				_ = retention.New(retention.Config{DB: db, Lives: aDay, Log: slog.New(slog.DiscardHandler)}).Run(ctx)
			})
		}
		updates := func() int64 { synctest.Wait(); return db.Stats().Updates }
		time.Sleep(30 * time.Minute)
		// Three asked, one of them removed nothing in one transaction.
		if n := updates(); n != 4 {
			t.Errorf("%d updates", n)
		}
		stop()
		time.Sleep(time.Hour)
		if n := updates(); n != 7 {
			t.Errorf("%d updates after one has gone", n)
		}
		stopAll()
		ended.Wait()
	})
}

// lines keeps a log.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.text...)
}

func (l *lines) Enabled(context.Context, slog.Level) bool { return true }
func (l *lines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *lines) WithGroup(string) slog.Handler            { return l }

func (l *lines) Handle(_ context.Context, r slog.Record) error {
	var attrs []slog.Attr
	r.Attrs(func(a slog.Attr) bool { attrs = append(attrs, a); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, fmt.Sprint(r.Message, " ", attrs))
	return nil
}
