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
		first, second := take("a"), take("a")
		if take("a") != nil {
			t.Error("an account has more than half of the places")
		}
		other, last := take("b"), take("c")
		if other == nil || last == nil || take("b") != nil {
			t.Error("others do not have the places that are left, or more")
		}
		// Who waits comes next.
		go func() {
			time.Sleep(time.Millisecond)
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
		for _, leave := range []func(){first, second, other, last} {
			leave()
		}
		if len(turns.of) > 0 {
			t.Errorf("%d accounts are not forgotten", len(turns.of))
		}
	})
}
