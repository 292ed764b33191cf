package cloudwatch

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// maxPoints is how many data points GetMetricStatistics gives, and maxAllPoints
	// GetMetricData.
	maxPoints    = 1440
	maxAllPoints = 100_800
	maxQueries   = 500
	// page is how many metrics are listed at once, and looked of those that dimensions are
	// asked of.
	page = 500
	// active is what recently active metrics have data of.
	active = 3 * time.Hour
)

// span is a checked time range, in minutes.
type span struct{ from, end, length int64 }

func (s span) points() int64 { return (s.end - s.from + s.length - 1) / s.length }

// spanOf checks a time range and a period. The seconds of the start do not count, and what the
// end cuts is in it.
func spanOf(start, end *time.Time, period int32) (span, error) {
	switch {
	case !start.Before(*end):
		return span{}, wrong("The parameter StartTime must be less than the parameter EndTime.")
	case period < 60 || period%60 != 0:
		return span{}, wrong("The parameter Period must be a multiple of 60: this server keeps data by the minute.")
	}
	return span{store.MinuteOf(*start), store.MinuteOf(end.Add(time.Minute - 1)), int64(period) / 60}, nil
}

// statistic gives a statistic of a period; false if it is none of those there are.
func statistic(name string, m store.Minute) (float64, bool) {
	switch name {
	case "SampleCount":
		return m.Samples, true
	case "Average":
		return m.Total / m.Samples, true
	case "Sum":
		return m.Total, true
	case "Minimum":
		return m.Least, true
	case "Maximum":
		return m.Most, true
	}
	return 0, false
}

// merged joins what a period has in several units.
func merged(list []store.Minute) (out []store.Minute) {
	for _, m := range list {
		if last := len(out) - 1; last >= 0 && out[last].Minute == m.Minute {
			o := &out[last]
			o.Samples, o.Total, o.Least, o.Most = o.Samples+m.Samples, o.Total+m.Total, min(o.Least, m.Least), max(o.Most, m.Most)
			continue
		}
		out = append(out, m)
	}
	return out
}

func timeOf(minute int64) *time.Time { return new(time.Unix(minute*60, 0).UTC()) }

// GetMetricStatistics gives statistics of a metric, by period from the start on and by unit.
func (r *Room) GetMetricStatistics(ctx context.Context, in *wire.GetMetricStatisticsInput) (*wire.GetMetricStatisticsOutput, error) {
	c, err := everything(ctx, "GetMetricStatistics")
	if err != nil {
		return nil, err
	}
	s, err := spanOf(in.StartTime, in.EndTime, *in.Period)
	switch {
	case err != nil:
		return nil, err
	case len(in.ExtendedStatistics) > 0:
		return nil, wrong("ExtendedStatistics are not offered by this server: it keeps sums, not samples.")
	case len(in.Statistics) == 0:
		return nil, fault.New("MissingRequiredParameterException", "The parameter Statistics is required.")
	case s.points() > maxPoints:
		return nil, fault.New("InvalidParameterCombinationException", "You have requested up to %d datapoints, which exceeds the limit of %d. "+
			"You may reduce the datapoints requested by increasing Period, or decreasing the time range.", s.points(), maxPoints)
	}
	m, err := metric(c, in.Namespace, in.MetricName, in.Dimensions)
	if err != nil {
		return nil, err
	}
	out := &wire.GetMetricStatisticsOutput{Label: in.MetricName, Datapoints: []wire.Datapoint{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list, err := tx.Periods(ctx, m.ID(), in.Unit, s.from, s.end, s.length)
		out.Datapoints = make([]wire.Datapoint, len(list))
		for i, p := range list {
			d := wire.Datapoint{Timestamp: timeOf(p.Minute), Unit: p.Unit}
			for _, name := range in.Statistics {
				v, _ := statistic(name, p)
				switch name {
				case "SampleCount":
					d.SampleCount = &v
				case "Average":
					d.Average = &v
				case "Sum":
					d.Sum = &v
				case "Minimum":
					d.Minimum = &v
				case "Maximum":
					d.Maximum = &v
				}
			}
			out.Datapoints[i] = d
		}
		return err
	})
}

// GetMetricData gives one statistic of each of several metrics, by periods that begin at
// multiples of their length.
func (r *Room) GetMetricData(ctx context.Context, in *wire.GetMetricDataInput) (*wire.GetMetricDataOutput, error) {
	c, err := everything(ctx, "GetMetricData")
	if err != nil {
		return nil, err
	}
	type query struct {
		span
		metric store.Metric
	}
	if len(in.MetricDataQueries) > maxQueries {
		return nil, wrong("The collection MetricDataQueries must not have a size greater than %d.", maxQueries)
	}
	queries, total, seen := []query{}, int64(0), map[string]bool{}
	for _, q := range in.MetricDataQueries {
		if q.Expression != "" || q.MetricStat == nil || q.AccountId != "" {
			return nil, wrong("The query %s must have a MetricStat and neither an Expression nor an AccountId: this server does no metric math.", q.Id)
		}
		if q.Period != nil || strings.Contains(q.Label, "${") {
			return nil, wrong("The query %s has a Period, which is that of an Expression, or a Label with a ${…} to be computed. Put the Period into its MetricStat, and plain text into the Label.", q.Id)
		}
		if seen[q.Id] {
			return nil, wrong("The Id %s is there twice.", q.Id)
		}
		seen[q.Id] = true
		s, err := spanOf(in.StartTime, in.EndTime, *q.MetricStat.Period)
		if err != nil {
			return nil, err
		}
		s.from -= s.from % s.length
		if _, ok := statistic(q.MetricStat.Stat, store.Minute{Samples: 1}); !ok {
			return nil, wrong("The Stat %.100s of query %s is not offered by this server: use SampleCount, Average, Sum, Minimum or Maximum.", q.MetricStat.Stat, q.Id)
		}
		m, err := metric(c, q.MetricStat.Metric.Namespace, q.MetricStat.Metric.MetricName, q.MetricStat.Metric.Dimensions)
		if err != nil {
			return nil, err
		}
		if q.ReturnData == nil || *q.ReturnData {
			total += s.points()
		}
		queries = append(queries, query{s, m})
	}
	limit := int64(maxAllPoints)
	if in.MaxDatapoints != nil {
		limit = min(limit, int64(*in.MaxDatapoints))
	}
	if total > limit || in.NextToken != "" {
		return nil, wrong("You have requested up to %d data points in one page, which exceeds the limit of %d. Ask for longer periods or less time.", total, limit)
	}
	out := &wire.GetMetricDataOutput{MetricDataResults: []wire.MetricDataResult{}}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.MetricDataResults = []wire.MetricDataResult{}
		for i, q := range in.MetricDataQueries {
			if q.ReturnData != nil && !*q.ReturnData {
				continue
			}
			list, err := tx.Periods(ctx, queries[i].metric.ID(), q.MetricStat.Unit, queries[i].from, queries[i].end, queries[i].length)
			if err != nil {
				return err
			}
			list = merged(list)
			if in.ScanBy != "TimestampAscending" {
				slices.Reverse(list)
			}
			result := wire.MetricDataResult{Id: q.Id, Label: cmp.Or(q.Label, q.MetricStat.Metric.MetricName), StatusCode: "Complete", Timestamps: []time.Time{}, Values: []float64{}}
			for _, p := range list {
				v, _ := statistic(q.MetricStat.Stat, p)
				result.Timestamps, result.Values = append(result.Timestamps, *timeOf(p.Minute)), append(result.Values, v)
			}
			out.MetricDataResults = append(out.MetricDataResults, result)
		}
		return nil
	})
}

// ListMetrics lists metrics. A page may have fewer than it could, or none, and another after it.
func (r *Room) ListMetrics(ctx context.Context, in *wire.ListMetricsInput) (*wire.ListMetricsOutput, error) {
	c, err := everything(ctx, "ListMetrics")
	if err != nil {
		return nil, err
	}
	if in.OwningAccount != "" || in.IncludeLinkedAccounts != nil && *in.IncludeLinkedAccounts {
		return nil, wrong("IncludeLinkedAccounts and OwningAccount are not offered by this server: accounts see their own metrics.")
	}
	var after store.Metric
	var key [3]string
	if err := parsePageToken(in.NextToken, &key); err != nil {
		return nil, err
	}
	if in.NextToken != "" {
		after = store.Metric{Account: c.Account, Region: c.Region, Namespace: key[0], Name: key[1], Dimensions: key[2]}
	}
	out := &wire.ListMetricsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Metrics = []wire.Metric{}
		since := int64(0)
		if in.RecentlyActive != "" {
			since = store.MinuteOf(tx.Now().Add(-active))
		}
		list, err := tx.ListMetrics(ctx, c.Account, c.Region, in.Namespace, in.MetricName, after, since, page)
		for _, m := range list {
			have, err := listed(m.Dimensions)
			if err != nil {
				return err
			}
			if matches(have, in.Dimensions) {
				out.Metrics = append(out.Metrics, wire.Metric{Namespace: m.Namespace, MetricName: m.Name, Dimensions: have})
			}
		}
		if err == nil && len(list) == page {
			last := list[page-1]
			out.NextToken, err = pageToken([3]string{last.Namespace, last.Name, last.Dimensions})
		}
		return err
	})
}

// matches says whether dimensions have all that are asked for, of a name or of name and value.
func matches(have []wire.Dimension, want []wire.DimensionFilter) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(d wire.Dimension) bool { return d.Name == w.Name && (w.Value == "" || w.Value == d.Value) }) {
			return false
		}
	}
	return true
}
