package app

import "sync"

// hub tells those who wait for a resource that it may have changed. It keeps nothing of
// resources nobody waits for.
type hub struct {
	mu      sync.Mutex
	waiting map[string]chan struct{}
}

// Changed gives a channel that is closed at the next Notify of the resource.
func (h *hub) Changed(arn string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.waiting[arn]
	if c == nil {
		if h.waiting == nil {
			h.waiting = map[string]chan struct{}{}
		}
		c = make(chan struct{})
		h.waiting[arn] = c
	}
	return c
}

// Notify wakes everybody who waits for the resource. It does not block.
func (h *hub) Notify(arn string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.waiting[arn]; c != nil {
		close(c)
		delete(h.waiting, arn)
	}
}
