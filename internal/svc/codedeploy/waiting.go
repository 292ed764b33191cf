package codedeploy

import "sync"

// maxPolls is how many requests of one instance wait at the same time.
const maxPolls = 16

// waiting are the agents that wait for a command in this process.
type waiting struct {
	mu    sync.Mutex
	polls map[[3]string]map[chan struct{}]bool
	// over is closed when nobody shall wait any more.
	over  chan struct{}
	ended bool
}

// end gives the channel that is closed when nobody shall wait any more; the caller holds mu.
func (w *waiting) end() chan struct{} {
	if w.over == nil {
		w.over = make(chan struct{})
	}
	return w.over
}

// join gives a channel that receives when there may be a command for an instance, and one that is
// closed when nobody shall wait any more; false if enough wait already. leave ends it.
func (w *waiting) join(account, region, instance string) (woken, over <-chan struct{}, leave func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := [3]string{account, region, instance}
	if len(w.polls[key]) >= maxPolls {
		return nil, nil, nil, false
	}
	if w.polls == nil {
		w.polls = map[[3]string]map[chan struct{}]bool{}
	}
	if w.polls[key] == nil {
		w.polls[key] = map[chan struct{}]bool{}
	}
	ch := make(chan struct{}, 1)
	w.polls[key][ch] = true
	return ch, w.end(), func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.polls[key], ch)
		if len(w.polls[key]) == 0 {
			delete(w.polls, key)
		}
	}, true
}

// wake has those who wait for an instance look again. It does not block.
func (w *waiting) wake(account, region, instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for ch := range w.polls[[3]string{account, region, instance}] {
		select {
		case ch <- struct{}{}:
		default: // it has one waiting
		}
	}
}

// EndPolls answers all who wait for a command, and has nobody wait from then on: the server is
// about to end.
func (r *Room) EndPolls() {
	w := &r.waiting
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		close(w.end())
	}
}
