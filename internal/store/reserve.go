package store

import (
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"time"
)

const (
	// reserveSize is the room for thousands of small transactions.
	reserveSize = 8 << 20
	// reservePause is how often a full disk is looked at.
	reservePause = time.Second
)

// reserve is a file that keeps room beside a SQLite database for what must work although the
// disk is full: people stop executions and answer approvals, workers report what they did. It
// is given up when the disk is full and taken again when there is space. The nil reserve
// keeps nothing.
type reserve struct {
	path string

	mu     sync.Mutex
	given  bool
	looked time.Time
}

// newReserve takes the room, or finds it taken.
func newReserve(path string) *reserve {
	r := &reserve{path: path}
	if info, err := os.Stat(path); err != nil || info.Size() < reserveSize {
		r.given = r.take(reserveSize) != nil
	}
	return r
}

// take makes the file if there is as much room, of which it keeps its size.
func (r *reserve) take(room int64) (err error) {
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(r.path))
		}
	}()
	defer f.Close()
	// Chance, because zeros take no room on some file systems.
	block := make([]byte, 1<<20)
	_, _ = rand.Read(block)
	for at := int64(0); at < room; at += int64(len(block)) {
		if _, err := f.WriteAt(block, at); err != nil {
			return err
		}
	}
	return f.Truncate(reserveSize)
}

// give gives the room up. It says whether there was, or just has been, some to use.
func (r *reserve) give() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.given {
		r.given, r.looked = true, time.Now()
		if err := os.Remove(r.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	return true
}

// full says that the room is given up. Now and then it looks whether there is twice as much
// again: less would be used up at once.
func (r *reserve) full() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.given && time.Since(r.looked) >= reservePause {
		r.looked = time.Now()
		r.given = r.take(2*reserveSize) != nil
	}
	return r.given
}
