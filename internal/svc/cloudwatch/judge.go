package cloudwatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"penstock/internal/store"
)

// The states of an alarm.
const (
	stateOK      = "OK"
	stateAlarm   = "ALARM"
	insufficient = "INSUFFICIENT_DATA"
)

// What an alarm does about periods without data.
const (
	asMissing      = "missing"
	asIgnored      = "ignore"
	asBreaching    = "breaching"
	asNotBreaching = "notBreaching"
)

// spare is how many periods more than it counts an alarm looks back for data.
const spare = 2

// point is a period as an alarm sees it.
type point struct{ there, breaching bool }

// judge gives the state that follows from the points, newest first, of which an alarm counts n
// and needs m breaching ones. Missing points are filled in only where there are fewer than n.
func judge(points []point, n, m int, missing, state string) string {
	real, breaching, oldest := 0, 0, 0
	for i, p := range points {
		if !p.there || real == n {
			continue
		}
		real++
		if p.breaching {
			breaching++
			oldest = i + 1
		}
	}
	fill := n - real
	switch {
	case breaching >= m:
		return stateAlarm
	case fill == 0:
		return stateOK
	case missing == asBreaching && breaching+fill >= m:
		return stateAlarm
	case missing == asBreaching, missing == asNotBreaching:
		return stateOK
	case real == 0 && missing == asMissing:
		return insufficient
	case real == 0:
		return state
	case breaching < real:
		return stateOK
	case missing == asIgnored:
		return state
	case oldest >= m: // nothing but breaching points, for as long as it takes
		return stateAlarm
	}
	return stateOK
}

// breaches compares a value with the threshold.
func (d *alarmDoc) breaches(v float64) bool {
	switch d.Comparison {
	case "GreaterThanThreshold":
		return v > d.Threshold
	case "GreaterThanOrEqualToThreshold":
		return v >= d.Threshold
	case "LessThanThreshold":
		return v < d.Threshold
	}
	return v <= d.Threshold
}

// certain says whether a period that is not over breaches whatever is still to come.
func (d *alarmDoc) certain(m store.Minute) bool {
	v, _ := statistic(d.Statistic, m)
	if !d.breaches(v) {
		return false
	}
	if strings.HasPrefix(d.Comparison, "Less") {
		return d.Statistic == "Minimum"
	}
	return d.Statistic == "Maximum" || d.Statistic == "SampleCount" || d.Statistic == "Sum" && m.Least >= 0
}

// look evaluates an alarm that is due and sets when it is looked at next, in one transaction.
// Periods that are over count, and the one under way if it is sure to breach.
func (r *Room) look(ctx context.Context, tx *store.Tx, seen store.MetricAlarm) error {
	row, d, err := opened(tx.LockMetricAlarm(ctx, seen.Account, seen.Region, seen.Name))
	if errors.Is(err, store.ErrNotFound) || err == nil && !row.Next.Equal(seen.Next) {
		return nil // somebody else has looked, changed or removed it
	}
	if err != nil {
		return err
	}
	length := int64(d.Period) / 60
	current := store.MinuteOf(tx.Now()) / length * length
	list, err := tx.Periods(ctx, row.Metric, d.Unit, current-int64(d.Count+spare)*length, current+length, length)
	if err != nil {
		return err
	}
	by := map[int64]store.Minute{}
	for _, m := range merged(list) {
		by[m.Minute] = m
	}
	newest := current - length
	if m, ok := by[current]; ok && d.certain(m) {
		newest = current
	}
	points := make([]point, d.Count+spare)
	var values []string
	for i := range points {
		if m, ok := by[newest-int64(i)*length]; ok {
			v, _ := statistic(d.Statistic, m)
			points[i] = point{true, d.breaches(v)}
			values = append(values, fmt.Sprintf("%g (%s)", v, timeOf(m.Minute).Format(time.RFC3339)))
		}
	}
	row.Next = d.end(tx.Now())
	from := row.State
	state := judge(points, d.Count, d.Needed, d.Missing, row.State)
	if state != row.State {
		reason := fmt.Sprintf("Threshold Crossed: of the data points [%s], %d of %d have to be %s %g.", strings.Join(values[:min(len(values), 5)], ", "), d.Needed, d.Count, d.Comparison, d.Threshold)
		switch {
		case state == insufficient:
			reason = fmt.Sprintf("Insufficient Data: there are no data points in %d periods.", len(points))
		case len(values) == 0:
			reason = fmt.Sprintf("There are no data points in %d periods, which are treated as %s.", len(points), d.Missing)
		}
		d.turn(&row, tx.Now(), state, reason, "")
	}
	return errors.Join(save(ctx, tx, row, d), act(ctx, tx, row, &d, from))
}

// batch is how many alarms are looked at at a time.
const batch = 100

// Run evaluates alarms and tells topics of those that turned, until ctx ends.
func (r *Room) Run(ctx context.Context) error {
	var delivers sync.WaitGroup
	defer delivers.Wait()
	delivers.Go(func() { _ = r.courier.Run(ctx) }) // which ends with ctx, and with nothing else
	r.deps.DB.Look(ctx, store.TopicAlarms, r.due)
	return nil
}

// due evaluates the alarms whose time has come and says when to look again.
func (r *Room) due(ctx context.Context) (time.Duration, error) {
	for {
		var rows []store.MetricAlarm
		var now time.Time
		if err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
			now = tx.Now()
			rows, err = tx.DueMetricAlarms(ctx, batch)
			return err
		}); err != nil {
			return 0, err
		}
		for _, row := range rows {
			if wait := row.Next.Sub(now); wait > 0 {
				return wait, nil
			}
			if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error { return r.look(ctx, tx, row) }); err != nil {
				return 0, err
			}
		}
		if len(rows) < batch {
			if len(rows) == 0 {
				return store.Nap, nil
			}
			continue // those just looked at have new times
		}
	}
}
