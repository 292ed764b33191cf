package cloudwatch

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// sample is what a metric had in a minute.
type sample struct {
	metric store.Metric
	id     string
	store.Minute
}

// PutMetricData keeps data.
func (r *Room) PutMetricData(ctx context.Context, in *wire.PutMetricDataInput) (*wire.PutMetricDataOutput, error) {
	c := auth.From(ctx)
	if err := auth.CheckWith(ctx, "cloudwatch:PutMetricData", "*", auth.Attributes{"cloudwatch:namespace": {in.Namespace}}); err != nil {
		return nil, err
	}
	switch {
	case len(in.EntityMetricData) > 0:
		return nil, wrong("EntityMetricData is not offered by this server: put the data into MetricData.")
	case strings.HasPrefix(in.Namespace, "AWS/"):
		return nil, wrong("The value %s for parameter Namespace is invalid: namespaces that begin with AWS/ are for services.", in.Namespace)
	case len(in.MetricData) == 0:
		return nil, fault.New("MissingRequiredParameterException", "The parameter MetricData is required.")
	case len(in.MetricData) > maxData:
		return nil, wrong("The collection MetricData must not have a size greater than %d.", maxData)
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		samples := make([]sample, 0, len(in.MetricData))
		for _, d := range in.MetricData {
			s, err := read(d, tx.Now())
			if err != nil {
				return err
			}
			if s.metric, err = metric(c, in.Namespace, d.MetricName, d.Dimensions); err != nil {
				return err
			}
			samples = append(samples, s)
		}
		return put(ctx, tx, samples)
	})
}

// Datum is a value that this server itself has measured, now.
type Datum struct {
	Account, Region, Namespace, Name string
	// Dimensions are names and values, in the order of the names.
	Dimensions [][2]string
	Unit       string
	Value      float64
}

// Record keeps data in a transaction of the caller.
func (r *Room) Record(ctx context.Context, tx *store.Tx, data ...Datum) error {
	samples := make([]sample, len(data))
	for i, d := range data {
		text, err := json.Marshal(append([][2]string{}, d.Dimensions...))
		if err != nil {
			return err
		}
		samples[i] = sample{
			metric: store.Metric{Account: d.Account, Region: d.Region, Namespace: d.Namespace, Name: d.Name, Dimensions: string(text)},
			Minute: store.Minute{Minute: store.MinuteOf(tx.Now()), Unit: d.Unit, Samples: 1, Total: d.Value, Least: d.Value, Most: d.Value},
		}
	}
	_, err := keep(ctx, tx, samples)
	return err
}

// put is keep, within the limit.
func put(ctx context.Context, tx *store.Tx, samples []sample) error {
	fresh, err := keep(ctx, tx, samples)
	if err != nil || fresh.Name == "" {
		return err
	}
	n, err := tx.CountMetrics(ctx, fresh.Account, fresh.Region)
	if err == nil && n > maxMetrics {
		err = fault.New("LimitExceededFault", "There can be %d metrics in an account and Region on this server. A metric ends %d days after its last data.", maxMetrics, int(KeepData.Hours()/24))
	}
	return err
}

// keep keeps samples, in an order in which no two transactions wait for each other, and gives a
// metric that is new.
func keep(ctx context.Context, tx *store.Tx, samples []sample) (fresh store.Metric, err error) {
	for i := range samples {
		samples[i].id = samples[i].metric.ID()
	}
	slices.SortStableFunc(samples, func(a, b sample) int {
		return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.Minute.Minute, b.Minute.Minute), cmp.Compare(a.Unit, b.Unit))
	})
	for _, s := range samples {
		isNew, err := tx.AddMetric(ctx, s.metric, s.Minute.Minute)
		if err != nil {
			return fresh, err
		}
		if isNew {
			fresh = s.metric
		}
		if err := tx.AddMinute(ctx, s.id, s.Minute); err != nil {
			return fresh, err
		}
	}
	return fresh, nil
}

// read checks a datum.
func read(d wire.MetricDatum, now time.Time) (sample, error) {
	s := sample{Minute: store.Minute{Unit: cmp.Or(d.Unit, "None")}}
	at := now
	if d.Timestamp != nil {
		at = *d.Timestamp
	}
	if at.Before(now.Add(-oldest)) || at.After(now.Add(newest)) {
		return s, wrong("The parameter MetricData.member.Timestamp must specify a time no more than two weeks in the past and no more than two hours in the future.")
	}
	if d.StorageResolution != nil && *d.StorageResolution != 1 && *d.StorageResolution != 60 {
		return s, wrong("The parameter MetricData.member.StorageResolution must be 1 or 60.")
	}
	s.Minute.Minute = store.MinuteOf(at)
	s.Least, s.Most = math.Inf(1), math.Inf(-1)
	add := func(value, count float64) {
		s.Samples += count
		s.Total += value * count
		s.Least, s.Most = min(s.Least, value), max(s.Most, value)
	}
	forms := 0
	if d.Value != nil {
		forms++
		add(*d.Value, 1)
	}
	if v := d.StatisticValues; v != nil {
		forms++
		s.Samples, s.Total, s.Least, s.Most = *v.SampleCount, *v.Sum, *v.Minimum, *v.Maximum
	}
	if len(d.Values) > 0 {
		forms++
		if len(d.Values) > maxValues || len(d.Counts) > 0 && len(d.Counts) != len(d.Values) {
			return s, wrong("The parameters MetricData.member.Values and MetricData.member.Counts must be of one size, %d at most.", maxValues)
		}
		for i, v := range d.Values {
			count := 1.0
			if len(d.Counts) > 0 {
				count = d.Counts[i]
			}
			if count <= 0 {
				return s, wrong("The parameter MetricData.member.Counts must have numbers greater than 0.")
			}
			add(v, count)
		}
	}
	if forms != 1 {
		return s, fault.New("InvalidParameterCombinationException", "Each of MetricData must have exactly one of Value, Values and StatisticValues; that of %s has %d.", d.MetricName, forms)
	}
	if s.Samples <= 0 || s.Least > s.Most {
		return s, wrong("The parameter MetricData.member.StatisticValues must have a SampleCount greater than 0, and a Minimum that is not greater than the Maximum.")
	}
	limit := math.Ldexp(1, 360)
	for _, v := range []float64{s.Samples, s.Total, s.Least, s.Most} {
		if math.Abs(v) > limit {
			return s, wrong("The values of %s must be between -2^360 and 2^360.", d.MetricName)
		}
	}
	return s, nil
}
