//go:build !mishap

package mishap

import "time"

// At does nothing.
func At(Point) {}

// Clock gives no other clock than the machine's.
func Clock() func() time.Time { return nil }
