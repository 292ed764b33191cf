package watch

import (
	"context"
	"errors"
	"time"

	"github.com/aws/smithy-go"
)

const (
	// interval is how often the server is asked. One that is down is asked less often, and
	// given up after patience.
	interval = 250 * time.Millisecond
	patience = 30 * time.Second
)

// Follow reads again and again, gives each snapshot to show, and returns the one at which
// show says that this is enough. A server that cannot be reached is asked again for a while,
// because it may be starting anew; what the server refuses is returned.
func Follow(ctx context.Context, read func(context.Context) (*Snapshot, error), show func(*Snapshot) (enough bool)) (*Snapshot, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var missed time.Time
	for {
		s, err := read(ctx)
		var refused smithy.APIError
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil:
			missed = time.Time{}
			if show(s) {
				return s, nil
			}
		case errors.As(err, &refused) && refused.ErrorFault() != smithy.FaultServer:
			return nil, err
		case missed.IsZero():
			missed = time.Now()
		case time.Since(missed) > patience:
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
	}
}
