package courier_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"penstock/internal/courier"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

func put(t *testing.T, db *store.DB, id, lane, target string) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx *store.Tx) error {
		return tx.InsertDelivery(t.Context(), store.Delivery{Queue: "q", ID: id, Lane: lane, Target: target, Doc: "{}"})
	}); err != nil {
		t.Fatal(err)
	}
}

// run starts a courier and gives what it hands over; stop ends it.
func run(t *testing.T, db *store.DB, answer func(ctx context.Context, d store.Delivery) error) (seen <-chan store.Delivery, stop func()) {
	t.Helper()
	told := make(chan store.Delivery, 1000)
	c := courier.New(courier.Config{
		DB: db, Queue: "q", Deadline: 20 * time.Second, Log: slog.New(slog.DiscardHandler),
		Deliver: func(ctx context.Context, d store.Delivery) error {
			told <- d
			return answer(ctx, d)
		},
		Again: func(d store.Delivery, _ error) (time.Duration, bool) { return time.Millisecond, d.Attempts < 3 },
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return told, stop
}

func next(t *testing.T, seen <-chan store.Delivery) store.Delivery {
	t.Helper()
	select {
	case d := <-seen:
		return d
	case <-time.After(patience):
		t.Fatal("nothing is delivered")
		panic("not reached")
	}
}

// S-340, S-350: each is handed over, in the order of its lane, again after a failure, and not
// any more when that is of no use.
func TestOrderAndRetries(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for i := range 5 {
			put(t, db, strconv.Itoa(i), "lane", "target")
		}
		seen, _ := run(t, db, func(_ context.Context, d store.Delivery) error {
			switch {
			case d.ID == "1" && d.Attempts < 2:
				return errors.New("not now")
			case d.ID == "2":
				return courier.GiveUp(errors.New("never"))
			case d.ID == "3" && d.Attempts == 0:
				panic("a mistake")
			case d.ID == "3":
				return errors.New("always")
			}
			return nil
		})
		for _, want := range []string{"0", "1", "1", "1", "2", "3", "3", "3", "3", "4"} {
			if d := next(t, seen); d.ID != want {
				t.Fatalf("%s, not %s", d.ID, want)
			}
		}
		put(t, db, "later", "lane", "target")
		if d := next(t, seen); d.ID != "later" {
			t.Fatal(d.ID)
		}
	})
}

// A target that does not answer holds up its own lanes only (S-340).
func TestDeadTarget(t *testing.T) {
	t.Parallel()
	db := storetest.SQLite(t)
	for i := range 100 {
		put(t, db, "dead"+strconv.Itoa(i), "dead"+strconv.Itoa(i), "dead")
	}
	put(t, db, "alive", "alive", "alive")
	seen, _ := run(t, db, func(ctx context.Context, d store.Delivery) error {
		if d.Target == "dead" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	for n := 0; ; n++ {
		d := next(t, seen)
		if d.ID == "alive" {
			break
		}
		if n > 20 {
			t.Fatal("too many for one target")
		}
	}
}

// What was cut short by the end of a server comes again at the next start.
func TestRestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		put(t, db, "one", "lane", "target")
		seen, stop := run(t, db, func(ctx context.Context, _ store.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		})
		next(t, seen)
		stop()
		if err := db.Update(t.Context(), func(tx *store.Tx) error { return tx.ReleaseDeliveries(t.Context()) }); err != nil {
			t.Fatal(err)
		}
		seen, _ = run(t, db, func(context.Context, store.Delivery) error { return nil })
		if d := next(t, seen); d.ID != "one" {
			t.Fatal(d.ID)
		}
	})
}

// N-15: which addresses are the internet.
func TestPublic(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "2606:2800:220:1:248:1893:25c8:1946": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "127.8.8.8": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.1.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false, "240.0.0.1": false,
		"::1": false, "::": false, "fe80::1": false, "fd00::1": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001::1": false, "::127.0.0.1": false, "fec0::1": false,
	} {
		if got := courier.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if courier.Public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

// N-15: the guard looks at the address that is dialled, whatever name led to it, and no
// redirect leads around it.
func TestClient(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.RedirectHandler("http://169.254.169.254/", http.StatusFound))
	t.Cleanup(srv.Close)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]"} {
		answer, err := courier.Client(false).Get("http://" + host + ":" + port)
		if err == nil {
			answer.Body.Close()
		}
		if !errors.Is(err, courier.ErrPrivate) {
			t.Errorf("%s: %v", host, err)
		}
	}
	answer, err := courier.Client(true).Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusFound {
		t.Error(answer.Status)
	}
}
