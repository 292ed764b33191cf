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

// Follow asks for an execution again and again, gives each answer to show, and returns the
// last one when the execution has ended. A server that cannot be reached is asked again for
// a while, because it may be starting anew; what the server refuses is returned.
func Follow(ctx context.Context, c *Client, name, execution string, show func(*Snapshot)) (*Snapshot, error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var missed time.Time
	for {
		s, err := c.Execution(ctx, name, execution)
		var refused smithy.APIError
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil:
			missed = time.Time{}
			show(s)
			if s.Over() {
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
