package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// clock is a time that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) option(cfg *store.Config) {
	cfg.Clock = func() time.Time {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.now
	}
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// eachAt is storetest.Each with a clock of the subtest's own.
func eachAt(t *testing.T, f func(t *testing.T, db *store.DB, c *clock)) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		c := newClock()
		f(t, storetest.Open(t, url, c.option), c)
	})
}

var (
	builtIn = pipeline.ActionTypeID{Category: "Test", Owner: "AWS", Provider: "Built", Version: "1"}
	queue   = store.Queue("", "", builtIn)
)

func insertJobs(t *testing.T, db *store.DB, typ pipeline.ActionTypeID, n int, prefix, query string, after time.Duration) {
	t.Helper()
	inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
		for i := range n {
			j := engine.Job{ID: pipeline.JobID(fmt.Sprintf("%s%03d", prefix, i)), Account: testAccount, Region: testRegion, Type: typ,
				Configuration: map[string]string{"secret": "☃"}, Deadline: tx.Now().Add(time.Hour)}
			if err := tx.InsertJob(ctx, "p", j, query, tx.Now().Add(after)); err != nil {
				return err
			}
		}
		return nil
	})
}

func claim(t *testing.T, db *store.DB, node string, limit int, busy ...pipeline.JobID) []*store.JobRow {
	t.Helper()
	return claimLapsed(t, db, node, limit, nil, busy...)
}

// leases are those on the built-in jobs, as they are now.
func leases(t *testing.T, db *store.DB) (list []store.Lease) {
	t.Helper()
	if err := db.View(t.Context(), func(tx *store.Tx) (err error) {
		list, err = tx.Leases(t.Context(), []string{queue})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

func claimLapsed(t *testing.T, db *store.DB, node string, limit int, lapsed []store.Lease, busy ...pipeline.JobID) []*store.JobRow {
	t.Helper()
	var rows []*store.JobRow
	except := map[pipeline.JobID]bool{}
	for _, id := range busy {
		except[id] = true
	}
	inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.ClaimJobs(ctx, []string{queue, "another"}, node, limit, time.Minute, except, lapsed)
		return err
	})
	return rows
}

func dispatch(t *testing.T, db *store.DB, queue, query string, limit int) []*store.JobRow {
	t.Helper()
	var rows []*store.JobRow
	inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		rows, err = tx.DispatchJobs(ctx, queue, query, limit, time.Minute)
		return err
	})
	return rows
}

func ids(rows []*store.JobRow) (out []string) {
	for _, r := range rows {
		out = append(out, string(r.ID))
	}
	return out
}

// S-317: however many ask at once, each job has one owner, and none is left.
func TestManyClaimEachJobOnce(t *testing.T) {
	t.Parallel()
	const jobs = 120
	for _, how := range []string{"claim", "dispatch"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				insertJobs(t, db, builtIn, jobs, "j", "", 0)
				var mu sync.Mutex
				owners := map[pipeline.JobID]string{}
				g, ctx := errgroup.WithContext(t.Context())
				for i := range 12 {
					g.Go(func() error {
						for node := fmt.Sprint("node", i); ; {
							var rows []*store.JobRow
							if err := db.Update(ctx, func(tx *store.Tx) (err error) {
								if how == "claim" {
									rows, err = tx.ClaimJobs(ctx, []string{queue}, node, 3, time.Minute, nil, nil)
								} else {
									rows, err = tx.DispatchJobs(ctx, queue, "", 3, time.Minute)
								}
								return err
							}); err != nil {
								return err
							}
							mu.Lock()
							for _, r := range rows {
								if other := owners[r.ID]; other != "" {
									t.Errorf("%s was given to %s and to %s", r.ID, other, node)
								}
								owners[r.ID] = node
							}
							n := len(owners)
							mu.Unlock()
							if n >= jobs || t.Failed() {
								return nil
							}
						}
					})
				}
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A lease keeps others out, whatever any clock says, as long as it is renewed; once somebody has
// found that it is not, the job goes to them with a higher fencing number, and the first cannot
// renew it (S-315).
func TestLeasesAndFences(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		ctx := t.Context()
		insertJobs(t, db, builtIn, 1, "j", "", 0)
		first := claim(t, db, "n1", 5)
		if len(first) != 1 || first[0].Status != engine.JobInProgress || first[0].Node != "n1" || first[0].Fence != 1 || first[0].Configuration["secret"] != "☃" || first[0].PipelineID != "p" {
			t.Fatalf("claimed %+v", first)
		}
		renew := func(node string, fence int64) (lost []pipeline.JobID) {
			inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
				lost, err = tx.RenewLeases(ctx, node, map[pipeline.JobID]int64{"j000": fence}, time.Minute)
				return err
			})
			return lost
		}
		before := leases(t, db)
		c.pass(50 * time.Second)
		if lost := renew("n1", 1); lost != nil {
			t.Errorf("lost %v", lost)
		}
		if got := claimLapsed(t, db, "n2", 5, before); got != nil {
			t.Fatalf("a renewed lease was taken: %v", ids(got))
		}
		for _, jump := range []time.Duration{2 * time.Hour, -4 * time.Hour} {
			c.pass(jump)
			if got := claim(t, db, "n2", 5); got != nil {
				t.Fatalf("a lease was taken because a clock was set: %v", ids(got))
			}
		}
		c.pass(2 * time.Hour)
		lapsed := leases(t, db)
		if len(lapsed) != 1 || len(before) != 1 || lapsed[0] == before[0] {
			t.Fatalf("leases %v, then %v", before, lapsed)
		}
		if got := claimLapsed(t, db, "n1", 5, lapsed, "j000"); got != nil {
			t.Fatalf("a job was given to the server that is still at work on it")
		}
		claimable := func(want bool, queues ...string) {
			if err := db.View(ctx, func(tx *store.Tx) error {
				if due, err := tx.ClaimableJobs(ctx, queues); due != want || err != nil {
					t.Errorf("claimable of %s: %v %v", queues, due, err)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		claimable(false, queue)
		if got := claimLapsed(t, db, "n2", 5, lapsed); len(got) != 1 || got[0].Fence != 2 || got[0].Node != "n2" {
			t.Fatalf("after the lease: %+v", got)
		}
		if got := claimLapsed(t, db, "n3", 5, lapsed); got != nil {
			t.Fatalf("two servers took a lapsed lease")
		}
		if lost := renew("n1", 1); !slices.Equal(lost, []pipeline.JobID{"j000"}) {
			t.Errorf("the first holder renewed what it had lost")
		}
		if lost := renew("n2", 1); len(lost) != 1 {
			t.Errorf("a lease was renewed with an old fencing number")
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			for node, fence := range map[string]int64{"n1": 1, "n2": 2} {
				lost, err := tx.LostLeases(ctx, node, map[pipeline.JobID]int64{"j000": fence, "never": 1})
				if want := map[string]int{"n1": 2, "n2": 1}[node]; len(lost) != want || err != nil {
					t.Errorf("%s has lost %v %v", node, lost, err)
				}
			}
			return tx.ReleaseLeases(ctx, "n1") // which holds nothing
		})
		claimable(false, queue)
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.ReleaseLeases(ctx, "n2") })
		claimable(true, queue)
		claimable(false, "another")                                 // a server that cannot do it
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error { // one that has no provider for it
			if rows, err := tx.ClaimJobs(ctx, []string{"another"}, "n3", 5, time.Minute, nil, nil); len(rows) > 0 || err != nil {
				t.Errorf("claimed %v %v", ids(rows), err)
			}
			return nil
		})
		if got := claim(t, db, "n2", 5); len(got) != 1 || got[0].Fence != 3 { // it came back
			t.Fatalf("let go: %+v", got)
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error { return tx.EndJob(ctx, "j000", engine.JobSucceeded) })
		c.pass(time.Hour)
		if got := claim(t, db, "n1", 5); got != nil {
			t.Errorf("an ended job was handed out")
		}
		if lost := renew("n2", 3); len(lost) != 1 {
			t.Errorf("the lease of an ended job was renewed")
		}
		row := job(t, db, "j000")
		if row.Status != engine.JobSucceeded || row.Node != "" {
			t.Errorf("ended: %+v", row)
		}
	})
}

func job(t *testing.T, db *store.DB, id pipeline.JobID) *store.JobRow {
	t.Helper()
	var row *store.JobRow
	inTx(t, db, func(ctx context.Context, tx *store.Tx) (err error) {
		row, err = tx.LockJob(ctx, id)
		if again, err := tx.Job(ctx, id); err != nil || again.Status != row.Status || again.Fence != row.Fence {
			t.Errorf("%+v %v", again, err)
		}
		if _, err := tx.Job(ctx, "nothing"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("no job: %v", err)
		}
		return err
	})
	return row
}

// After a restart of the only server its jobs are there again; those of workers elsewhere
// stay theirs.
func TestDropLeases(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		insertJobs(t, db, builtIn, 2, "in", "", 0)
		insertJobs(t, db, workType, 2, "out", "", 0)
		out := store.Queue(testAccount, testRegion, workType)
		if n := len(claim(t, db, "n1", 5)) + len(dispatch(t, db, out, "", 5)); n != 4 {
			t.Fatal(n)
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(tx.AcknowledgeJob(ctx, "out000"), tx.DropLeases(ctx))
		})
		c.pass(time.Microsecond)
		if got := claim(t, db, "n2", 5); !slices.Equal(ids(got), []string{"in000", "in001"}) || got[0].Fence != 2 {
			t.Errorf("after the restart: %v", ids(got))
		}
		if got := dispatch(t, db, out, "", 5); got != nil {
			t.Errorf("handed out again: %v", ids(got))
		}
		c.pass(time.Minute)
		if got := dispatch(t, db, out, "", 5); !slices.Equal(ids(got), []string{"out001"}) { // S-317
			t.Errorf("after the window: %v", ids(got))
		}
	})
}

// S-304 to S-306: oldest first, matching jobs only, not before their time, and again with a
// new nonce when nobody acknowledged.
func TestDispatch(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		ctx := t.Context()
		out := store.Queue(testAccount, testRegion, workType)
		insertJobs(t, db, workType, 1, "b", "", 0)
		c.pass(time.Second)
		insertJobs(t, db, workType, 2, "a", "", 0)
		insertJobs(t, db, workType, 1, "q", "query", 0)
		insertJobs(t, db, workType, 1, "later", "", 30*time.Second)
		waiting := func(queue, query string) (yes bool) {
			if err := db.View(ctx, func(tx *store.Tx) (err error) {
				yes, err = tx.JobsWaiting(ctx, queue, query)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return yes
		}
		if !waiting(out, "") || !waiting(out, "query") || waiting(out, "other") || waiting(store.Queue(testAccount, "us-east-1", workType), "") ||
			waiting(store.Queue("222222222222", testRegion, workType), "") {
			t.Error("what waits")
		}
		first := dispatch(t, db, out, "", 2)
		if !slices.Equal(ids(first), []string{"b000", "a000"}) || first[0].Nonce == first[1].Nonce || len(first[0].Nonce) < 16 || first[0].Status != engine.JobDispatched {
			t.Fatalf("first %+v", first)
		}
		if got := dispatch(t, db, out, "", 5); !slices.Equal(ids(got), []string{"a001"}) {
			t.Errorf("then %v", ids(got))
		}
		if waiting(out, "") {
			t.Error("nothing waits")
		}
		if got := dispatch(t, db, out, "query", 5); !slices.Equal(ids(got), []string{"q000"}) {
			t.Errorf("with a query %v", ids(got))
		}
		inTx(t, db, func(ctx context.Context, tx *store.Tx) error {
			at, err := tx.NextJobAt(ctx, []string{out})
			if want := tx.Now().Add(30 * time.Second); !at.Equal(want) {
				t.Errorf("next at %v, want %v", at, want)
			}
			if none, err := tx.NextJobAt(ctx, []string{"another"}); !none.IsZero() || err != nil {
				t.Errorf("next of no queue: %v %v", none, err)
			}
			return errors.Join(err, tx.AcknowledgeJob(ctx, "a000"))
		})
		c.pass(30 * time.Second)
		if got := dispatch(t, db, out, "", 5); !slices.Equal(ids(got), []string{"later000"}) {
			t.Errorf("after 30 s %v", ids(got))
		}
		c.pass(30*time.Second - time.Microsecond)
		if waiting(out, "") {
			t.Error("the window is not over")
		}
		c.pass(time.Microsecond)
		again := dispatch(t, db, out, "", 5)
		if !slices.Equal(ids(again), []string{"a001", "b000"}) || again[1].Nonce == first[0].Nonce || again[1].Fence != 2 {
			t.Errorf("again %v", ids(again))
		}
	})
}

// Waits that were begun before the clock was set back are over; those begun since are not.
func TestClockSetBack(t *testing.T) {
	eachAt(t, func(t *testing.T, db *store.DB, c *clock) {
		ctx, out := t.Context(), store.Queue(testAccount, testRegion, workType)
		for _, typ := range []pipeline.ActionTypeID{builtIn, workType} {
			insertJobs(t, db, typ, 2, typ.Owner, "", 0)
		}
		c.pass(time.Microsecond)
		insertJobs(t, db, builtIn, 1, "continued", "", 30*time.Second)
		if first := dispatch(t, db, out, "", 1); !slices.Equal(ids(first), []string{"Custom000"}) {
			t.Fatal(ids(first))
		}
		c.pass(-time.Hour)
		if err := db.View(ctx, func(tx *store.Tx) error {
			due, err := tx.ClaimableJobs(ctx, []string{queue})
			waiting, err2 := tx.JobsWaiting(ctx, out, "")
			if !due || !waiting {
				t.Errorf("claimable %v, waiting %v", due, waiting)
			}
			return errors.Join(err, err2)
		}); err != nil {
			t.Fatal(err)
		}
		if got := claim(t, db, "n", 2); !slices.Equal(ids(got), []string{"AWS000", "AWS001"}) { // S-304
			t.Errorf("claimed %v", ids(got))
		}
		if got := claim(t, db, "n", 9); !slices.Equal(ids(got), []string{"continued000"}) {
			t.Errorf("then %v", ids(got))
		}
		if got := dispatch(t, db, out, "", 9); !slices.Equal(ids(got), []string{"Custom001", "Custom000"}) {
			t.Errorf("dispatched %v", ids(got))
		}
		insertJobs(t, db, builtIn, 1, "since", "", 30*time.Second)
		if got := append(claim(t, db, "n", 9), dispatch(t, db, out, "", 9)...); len(got) > 0 {
			t.Errorf("too early: %v", ids(got))
		}
		c.pass(time.Minute)
		if got := append(claim(t, db, "n", 9), dispatch(t, db, out, "", 9)...); !slices.Equal(ids(got), []string{"since000", "Custom000", "Custom001"}) {
			t.Errorf("in time: %v", ids(got))
		}
	})
}
