// Package blobtest is the conformance suite of blob stores: every implementation of
// [blob.Store] passes it before anything is kept in it.
package blobtest

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"penstock/internal/blob"
)

// Run checks the store that open gives, an empty one at each call. The tests run in
// parallel; open registers with t.Cleanup what is to be undone.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for name, f := range map[string]func(*testing.T, blob.Store){
		"round trip": roundTrip, "ranges": ranges, "missing": missing, "replace": replace,
		"failed put": failedPut, "keys": keys, "open readers": openReaders,
		"walk": walk, "cancelled": cancelled, "at once": atOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, open(t))
		})
	}
}

func content(n int) []byte {
	b := make([]byte, n)
	src := rand.NewPCG(1, uint64(n))
	for i := range b {
		b[i] = byte(src.Uint64())
	}
	return b
}

func put(t *testing.T, s blob.Store, key string, b []byte) {
	t.Helper()
	n, err := s.Put(t.Context(), key, bytes.NewReader(b))
	if err != nil || n != int64(len(b)) {
		t.Fatalf("Put(%q) of %d bytes = %d, %v", key, len(b), n, err)
	}
}

func get(t *testing.T, s blob.Store, key string, off, n int64) []byte {
	t.Helper()
	r, err := s.Get(t.Context(), key, off, n)
	if err != nil {
		t.Fatalf("Get(%q, %d, %d): %v", key, off, n, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("reading %q: %v", key, err)
	}
	return b
}

func roundTrip(t *testing.T, s blob.Store) {
	for _, n := range []int{0, 1, 4095, 1 << 20, 3<<20 + 7} {
		key, want := fmt.Sprint("size-", n), content(n)
		m, h := md5.New(), sha256.New()
		// One byte less per read than a block is big: no implementation may rely on full reads.
		got, err := s.Put(t.Context(), key, iotest.HalfReader(bytes.NewReader(want)), m, h)
		if err != nil || got != int64(n) {
			t.Fatalf("Put of %d bytes = %d, %v", n, got, err)
		}
		if sum := md5.Sum(want); !bytes.Equal(m.Sum(nil), sum[:]) {
			t.Errorf("%d bytes: the MD5 was not fed what was read", n)
		}
		if sum := sha256.Sum256(want); !bytes.Equal(h.Sum(nil), sum[:]) {
			t.Errorf("%d bytes: the SHA-256 was not fed what was read", n)
		}
		if !bytes.Equal(get(t, s, key, 0, -1), want) {
			t.Errorf("%d bytes came back changed", n)
		}
		if size, err := s.Size(t.Context(), key); err != nil || size != int64(n) {
			t.Errorf("Size = %d, %v; want %d", size, err, n)
		}
	}
}

func ranges(t *testing.T, s blob.Store) {
	want := content(1000)
	put(t, s, "k", want)
	for _, c := range []struct{ off, n, end int64 }{
		{0, 10, 10}, {0, 0, 0}, {10, 20, 30}, {999, 1, 1000}, {990, 100, 1000}, {500, -1, 1000},
	} {
		if got := get(t, s, "k", c.off, c.n); !bytes.Equal(got, want[c.off:c.end]) {
			t.Errorf("Get(%d, %d) gave %d bytes, or others", c.off, c.n, len(got))
		}
	}
	for _, off := range []int64{-1, 1000, 5000} {
		if r, err := s.Get(t.Context(), "k", off, 1); !errors.Is(err, blob.ErrRange) {
			t.Errorf("Get from %d: %v, %v; want ErrRange", off, r, err)
		}
	}
}

func missing(t *testing.T, s blob.Store) {
	if _, err := s.Get(t.Context(), "nothing", 0, -1); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Get: %v, want ErrNotExist", err)
	}
	if _, err := s.Size(t.Context(), "nothing"); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Size: %v, want ErrNotExist", err)
	}
	if err := s.Delete(t.Context(), "nothing"); err != nil {
		t.Errorf("Delete: %v, want nil", err)
	}
	put(t, s, "k", content(5))
	for range 2 {
		if err := s.Delete(t.Context(), "k"); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if _, err := s.Get(t.Context(), "k", 0, -1); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("Get after Delete: %v, want ErrNotExist", err)
	}
}

func replace(t *testing.T, s blob.Store) {
	put(t, s, "k", content(100))
	put(t, s, "k", content(7))
	if got := get(t, s, "k", 0, -1); !bytes.Equal(got, content(7)) {
		t.Errorf("after replacing: %d bytes, or others", len(got))
	}
}

func failedPut(t *testing.T, s blob.Store) {
	put(t, s, "k", content(9))
	broken := errors.New("the sender went away")
	for _, key := range []string{"k", "new"} {
		_, err := s.Put(t.Context(), key, io.MultiReader(bytes.NewReader(content(1<<20)), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Errorf("Put: %v; the reader's error must be found in it", err)
		}
	}
	if got := get(t, s, "k", 0, -1); !bytes.Equal(got, content(9)) {
		t.Errorf("a failed Put changed what was there")
	}
	if _, err := s.Size(t.Context(), "new"); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("a failed Put left something: %v", err)
	}
}

func keys(t *testing.T, s blob.Store) {
	all := []string{
		"a", "A", "..", ".", "../x", "/etc/passwd", "a/b", "a\\b", "a\x00b", "tmp", "é", "e\u0301",
		" ", "con", "-rf", strings.Repeat("k", blob.MaxKey), "\xff\xfe", "a?b=c#d", "%2e%2e",
	}
	for _, k := range all {
		put(t, s, k, []byte("value of "+k))
	}
	for _, k := range all {
		if got := string(get(t, s, k, 0, -1)); got != "value of "+k {
			t.Errorf("key %q holds %q", k, got)
		}
	}
	for _, k := range []string{"", strings.Repeat("k", blob.MaxKey+1)} {
		_, err1 := s.Put(t.Context(), k, strings.NewReader("x"))
		_, err2 := s.Get(t.Context(), k, 0, -1)
		_, err3 := s.Size(t.Context(), k)
		for _, err := range []error{err1, err2, err3, s.Delete(t.Context(), k)} {
			if !errors.Is(err, blob.ErrKey) {
				t.Errorf("a key of %d bytes: %v, want ErrKey", len(k), err)
			}
		}
	}
}

func openReaders(t *testing.T, s blob.Store) {
	want := content(2 << 20)
	put(t, s, "k", want)
	r, err := s.Get(t.Context(), "k", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	put(t, s, "k", []byte("other"))
	if err := s.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(append(head, rest...), want) {
		t.Errorf("a reader opened before lost its bytes: %d, %v", len(rest), err)
	}
}

func walk(t *testing.T, s blob.Store) {
	want := map[string]int64{}
	for i := range 40 {
		key := fmt.Sprint("key/", i)
		want[key] = int64(i)
		put(t, s, key, content(i))
	}
	put(t, s, "gone", content(3))
	if err := s.Delete(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	err := s.Walk(t.Context(), func(e blob.Entry) error {
		if size, ok := want[e.Key]; !ok || size != e.Size || e.Modified.IsZero() {
			t.Errorf("Walk shows %+v", e)
		}
		delete(want, e.Key)
		return nil
	})
	if err != nil || len(want) > 0 {
		t.Errorf("Walk: %v, left out %v", err, want)
	}
	stop := errors.New("enough")
	if err := s.Walk(t.Context(), func(blob.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Walk: %v, want the error of its function", err)
	}
}

func cancelled(t *testing.T, s blob.Store) {
	put(t, s, "k", content(5))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err1 := s.Put(ctx, "new", strings.NewReader("x"))
	_, err2 := s.Get(ctx, "k", 0, -1)
	for _, err := range []error{err1, err2, s.Delete(ctx, "k"), s.Walk(ctx, func(blob.Entry) error { return nil })} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("with an ended context: %v", err)
		}
	}
	if _, err := s.Size(t.Context(), "new"); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("a cancelled Put left something: %v", err)
	}
}

func atOnce(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			body := content(10_000 + i)
			for range 5 {
				if _, err := s.Put(t.Context(), "shared", bytes.NewReader(body)); err != nil {
					t.Error(err)
				}
				r, err := s.Get(t.Context(), "shared", 0, -1)
				if err != nil {
					t.Error(err)
					continue
				}
				got, err := io.ReadAll(r)
				r.Close()
				if err != nil || !bytes.Equal(got, content(len(got))) {
					t.Errorf("a mixture was read: %d bytes, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
}
