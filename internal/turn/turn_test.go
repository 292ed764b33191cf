package turn

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := New(4)
		take := func(account string) func() {
			ctx, stop := context.WithTimeout(t.Context(), time.Second)
			defer stop()
			leave, err := turns.Take(ctx, account)
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			return leave
		}
		first, second, third := take("a"), take("a"), take("a")
		if third == nil || take("a") != nil {
			t.Error("an account does not have three quarters of the places, or more")
		}
		last := take("b")
		if last == nil || take("c") != nil {
			t.Error("others do not have the place that is left, or more")
		}
		// Who waits comes next.
		go func() {
			synctest.Wait()
			first()
		}()
		if first = take("d"); first == nil {
			t.Error("a place that was given back is not taken")
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := turns.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for _, leave := range []func(){first, second, third, last} {
			leave()
		}
		if len(turns.of) > 0 {
			t.Errorf("%d accounts are not forgotten", len(turns.of))
		}
	})
}
