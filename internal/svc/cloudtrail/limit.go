package cloudtrail

import (
	"sync"
	"time"
)

const (
	// Refusals that are recorded in a minute: of one caller, of one address without a caller,
	// and of all addresses together.
	callerRefusals  = 60
	addressRefusals = 10
	strangeRefusals = 30
)

// limiter counts the refusals of a minute. The zero value is ready.
type limiter struct {
	mu     sync.Mutex
	minute time.Time
	counts map[string]int
	all    int
	// omitted counts those that were not recorded since left gave them last.
	omitted int
}

// allow says whether another refusal is to be recorded.
func (l *limiter) allow(now time.Time, who string, stranger bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if minute := now.Truncate(time.Minute); minute != l.minute {
		l.minute, l.counts, l.all = minute, map[string]int{}, 0
	}
	most := callerRefusals
	if stranger {
		most = addressRefusals
	}
	if stranger && l.all >= strangeRefusals || l.counts[who] >= most {
		l.omitted++
		return false
	}
	if stranger {
		l.all++
	}
	l.counts[who]++
	return true
}

// left gives how many refusals were not recorded since it was asked last, once their minute is
// over.
func (l *limiter) left(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.omitted == 0 || now.Truncate(time.Minute).Equal(l.minute) {
		return 0
	}
	n := l.omitted
	l.omitted = 0
	return n
}
