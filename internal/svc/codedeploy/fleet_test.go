package codedeploy

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// E.1: percentages are rounded up, MOST_CONCURRENCY keeps all but so many.
func TestMinimumOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind           string
		value, n, want int
	}{
		{fleetPercent, 50, 9, 5}, {fleetPercent, 50, 8, 4}, {fleetPercent, 40, 9, 4}, {fleetPercent, 85, 10, 9}, {fleetPercent, 0, 9, 0}, {fleetPercent, 100, 9, 9}, {fleetPercent, 1, 1, 1},
		{fleetPercent, 50, 0, 0}, {hostCount, 6, 9, 6}, {hostCount, 0, 9, 0}, {hostCount, 3, 2, 3}, {mostConcurrency, 1, 9, 8}, {mostConcurrency, 1, 1, 0}, {mostConcurrency, 1, 0, 0},
	} {
		if got := minimumOf(c.kind, c.value, c.n); got != c.want {
			t.Errorf("%d instances, %s %d: %d, want %d", c.n, c.kind, c.value, got, c.want)
		}
	}
}

// fleet is a deployment to so many instances, of which the first are not healthy.
type fleet struct {
	members []member
	minimum int
	// batches are how many were begun at a time, most the largest number in progress.
	batches []int
	most    int
	last    decision
}

func newFleet(n, unhealthy, minimum int) *fleet {
	f := &fleet{minimum: minimum}
	for i := range n {
		f.members = append(f.members, member{pending, i >= unhealthy})
	}
	return f
}

func (f *fleet) places(status string) (list []int) {
	for i, m := range f.members {
		if m.status == status {
			list = append(list, i)
		}
	}
	return list
}

// healthy counts those that are in service and well.
func (f *fleet) healthy() (n int) {
	for _, m := range f.members {
		if m.status == succeeded || m.status == pending && m.healthy || m.status == skipped && m.healthy {
			n++
		}
	}
	return n
}

func (f *fleet) step() decision {
	f.last = decide(f.members, f.minimum)
	for _, i := range f.last.begin {
		f.members[i].status = inProgress
	}
	if f.last.skip {
		for _, i := range f.places(pending) {
			f.members[i].status = skipped
		}
	}
	if len(f.last.begin) > 0 {
		f.batches = append(f.batches, len(f.last.begin))
	}
	f.most = max(f.most, len(f.places(inProgress)))
	return f.last
}

// play deploys; the instance of each number in failing fails. One ends at a time, in their order.
func (f *fleet) play(failing ...int) string {
	for range 10_000 {
		if d := f.step(); d.end != "" {
			return d.end + d.code
		}
		i := f.places(inProgress)[0]
		if f.members[i].status = succeeded; slices.Contains(failing, i) {
			f.members[i].status = failed
		}
	}
	return "goes on for ever"
}

// E.1: the predefined configurations and those of the guide's examples.
func TestDecide(t *testing.T) {
	t.Parallel()
	half := minimumOf(fleetPercent, 50, 9)
	one := minimumOf(mostConcurrency, 1, 3)
	for name, c := range map[string]struct {
		n, unhealthy, minimum int
		failing               []int
		want                  string
		most, skipped         int
	}{
		"all at once":                                  {9, 9, 0, nil, succeeded, 9, 0},
		"all at once, one is enough":                   {3, 3, 0, []int{0, 1}, succeeded, 3, 0},
		"all at once, one must succeed":                {3, 0, 0, []int{0, 1, 2}, failed + healthConstraints, 3, 0},
		"half at a time, up to four of nine":           {9, 0, half, nil, succeeded, 4, 0},
		"half at a time, five of nine are enough":      {9, 0, half, []int{5, 6, 7, 8}, succeeded, 4, 0},
		"half at a time, after four failures":          {9, 9, half, []int{0, 1, 2, 3}, failed + healthConstraints, 4, 5},
		"one at a time":                                {3, 3, one, nil, succeeded, 1, 0},
		"one at a time, the first fails":               {3, 0, one, []int{0}, failed + healthConstraints, 1, 2},
		"one at a time, the last may fail":             {3, 0, one, []int{2}, succeeded, 1, 0},
		"one at a time, the only one must not":         {1, 0, 0, []int{0}, failed + healthConstraints, 1, 0},
		"six of nine":                                  {9, 0, 6, nil, succeeded, 3, 0},
		"six of nine, two failures and work left":      {9, 0, 6, []int{0, 1}, succeeded, 3, 0},
		"six of nine, three failures and work left":    {9, 0, 6, []int{0, 1, 2}, failed + healthConstraints, 3, 6},
		"85 percent of ten, one failure":               {10, 0, minimumOf(fleetPercent, 85, 10), []int{0}, failed + healthConstraints, 1, 9},
		"more than there are":                          {2, 2, 3, nil, failed + healthImpossible, 0, 2},
		"nobody":                                       {0, 0, 0, nil, failed + noInstances, 0, 0},
		"all must stay healthy and are":                {2, 0, 2, nil, failed + healthImpossible, 0, 2},
		"all must be healthy and none is, one by one":  {3, 3, 3, nil, succeeded, 1, 0},
		"all must be healthy, one is, the rest is not": {3, 2, 3, nil, failed + healthConstraints, 1, 1},
		"all must be healthy and one cannot be":        {3, 3, 3, []int{0}, failed + healthConstraints, 1, 2},
	} {
		f := newFleet(c.n, c.unhealthy, c.minimum)
		if got := f.play(c.failing...); got != c.want || f.most != c.most || len(f.places(skipped)) != c.skipped {
			t.Errorf("%s: %s with at most %d at a time and %d skipped; want %s, %d, %d (batches %v)", name, got, f.most, len(f.places(skipped)), c.want, c.most, c.skipped, f.batches)
		}
	}
}

// E.1: whatever fails, in whatever order the instances report, as many as the minimum stay healthy
// unless fewer were from the beginning; the deployment ends, and as its instances did.
func TestDecideKeepsTheMinimum(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		kind := rapid.SampledFrom([]string{hostCount, fleetPercent, mostConcurrency}).Draw(t, "kind")
		value := 1
		switch kind {
		case hostCount:
			value = rapid.IntRange(0, n+1).Draw(t, "count")
		case fleetPercent:
			value = rapid.IntRange(0, 100).Draw(t, "percent")
		}
		minimum := minimumOf(kind, value, n)
		f := newFleet(n, rapid.IntRange(0, n).Draw(t, "unhealthy"), minimum)
		least := min(minimum, f.healthy())
		for steps := 0; ; steps++ {
			d := f.step()
			if f.healthy() < least {
				t.Fatalf("%d of %d are healthy, %d are to be: %s", f.healthy(), n, least, f)
			}
			if f.most > max(n-minimum, 1) {
				t.Fatalf("%d at a time: %s", f.most, f)
			}
			busy := f.places(inProgress)
			if d.end != "" {
				if len(busy) > 0 || len(f.places(pending)) > 0 {
					t.Fatalf("it ended before its instances: %s", f)
				}
				break
			}
			if len(busy) == 0 || steps > 3*n {
				t.Fatalf("nothing will ever happen again: %s", f)
			}
			i := rapid.SampledFrom(busy).Draw(t, "who")
			f.members[i].status = rapid.SampledFrom([]string{succeeded, succeeded, failed}).Draw(t, "how")
		}
		good, bad := len(f.places(succeeded)), len(f.places(failed))
		if want := len(f.places(skipped)) == 0 && good > 0 && n-bad >= minimum; (f.last.end == succeeded) != want || (f.last.code == "") != want {
			t.Fatalf("it ended as %+v: %s", f.last, f)
		}
		if kind == mostConcurrency && n > 1 && (f.last.end == succeeded) != (bad == 0 || bad == 1 && len(f.places(skipped)) == 0) {
			t.Fatalf("one at a time: %s", f)
		}
	})
}

func (f *fleet) String() string { return fmt.Sprintf("minimum %d, %+v", f.minimum, f.members) }
