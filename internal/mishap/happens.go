//go:build mishap

package mishap

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	// point and left are PENSTOCK_MISHAP: a point, a space, and at which time it is reached.
	point, left = chosen(os.Getenv("PENSTOCK_MISHAP"))
	// clockFile is PENSTOCK_MISHAP_CLOCK: a file with how far the clock is off, like -1h. It is
	// replaced in one step when the clock is set.
	clockFile = os.Getenv("PENSTOCK_MISHAP_CLOCK")
)

func chosen(text string) (Point, *atomic.Int64) {
	name, count, _ := strings.Cut(text, " ")
	n := new(atomic.Int64)
	n.Store(1)
	if times, err := strconv.ParseInt(count, 10, 64); err == nil {
		n.Store(times)
	}
	return Point(name), n
}

// At kills the process if p is the point that PENSTOCK_MISHAP names, at the time it says.
func At(p Point) {
	if p == point && left.Add(-1) == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing follows
	}
}

// Clock gives the clock that PENSTOCK_MISHAP_CLOCK sets; nil without it. A file that cannot
// be read leaves the clock as it is.
func Clock() func() time.Time {
	if clockFile == "" {
		return nil
	}
	return func() time.Time {
		text, _ := os.ReadFile(clockFile)
		off, _ := time.ParseDuration(strings.TrimSpace(string(text)))
		return time.Now().Add(off)
	}
}
