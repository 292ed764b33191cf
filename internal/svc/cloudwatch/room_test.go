package cloudwatch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

var ann = auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/ann"}

// bench is a room at a time of its own, and a caller who may do everything.
type bench struct {
	*testing.T
	*Room
	ctx context.Context
	now time.Time
	// clock is now for other goroutines.
	clock atomic.Int64
}

func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	b.clock.Store(b.now.UnixNano())
}

func each(t *testing.T, f func(b *bench)) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, url string) {
		b := &bench{T: t, ctx: auth.Trusted(t.Context(), ann), now: time.Date(2026, 3, 2, 12, 0, 30, 0, time.UTC)}
		b.pass(0)
		b.Room = New(Deps{DB: storetest.Open(t, url, func(c *store.Config) { c.Clock = func() time.Time { return time.Unix(0, b.clock.Load()).UTC() } })})
		f(b)
	})
}

func (b *bench) refused(code string, err error) {
	b.Helper()
	if fault.Code(err) != code || err != nil && code == "" {
		b.Errorf("%v, want %q", err, code)
	}
}

// put puts values of now.
func (b *bench) put(name string, values ...float64) {
	b.Helper()
	_, err := b.PutMetricData(b.ctx, &wire.PutMetricDataInput{Namespace: "app", MetricData: []wire.MetricDatum{{MetricName: name, Values: values}}})
	b.refused("", err)
}

// watch makes an alarm on more than two errors in a minute, in two of three minutes.
func (b *bench) watch(name string, change ...func(*wire.PutMetricAlarmInput)) error {
	in := &wire.PutMetricAlarmInput{AlarmName: name, Namespace: "app", MetricName: "errors", Statistic: "Sum", Period: new(int32(60)), EvaluationPeriods: new(int32(3)),
		DatapointsToAlarm: new(int32(2)), Threshold: new(2.0), ComparisonOperator: "GreaterThanThreshold"}
	for _, f := range change {
		f(in)
	}
	_, err := b.PutMetricAlarm(b.ctx, in)
	return err
}

// state gives the state of an alarm after all that is due was looked at.
func (b *bench) state(name string) string {
	b.Helper()
	if _, err := b.due(b.ctx); err != nil {
		b.Fatal(err)
	}
	return b.shown(name).StateValue
}

func (b *bench) shown(name string) wire.MetricAlarm {
	b.Helper()
	out, err := b.DescribeAlarms(b.ctx, &wire.DescribeAlarmsInput{AlarmNames: []string{name}})
	if err != nil || len(out.MetricAlarms) != 1 {
		b.Fatal(out, err)
	}
	return out.MetricAlarms[0]
}

func (b *bench) want(what, got, want string) {
	b.Helper()
	if got != want {
		b.Errorf("%s: %s, want %s", what, got, want)
	}
}

// N-17: data in, statistics out.
func TestMetrics(t *testing.T) {
	each(t, func(b *bench) {
		host := func(v string) []wire.Dimension {
			return []wire.Dimension{{Name: "b", Value: "2"}, {Name: "a", Value: v}}
		}
		at := func(minutes int) *time.Time { return new(b.now.Add(time.Duration(minutes) * time.Minute)) }
		_, err := b.PutMetricData(b.ctx, &wire.PutMetricDataInput{Namespace: "app", MetricData: []wire.MetricDatum{
			{MetricName: "time", Dimensions: host("1"), Timestamp: at(-9), Unit: "Seconds", Value: new(4.0)},
			{MetricName: "time", Dimensions: []wire.Dimension{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, Timestamp: at(-9), Unit: "Seconds", Values: []float64{1, 2}, Counts: []float64{2, 1}},
			{MetricName: "time", Dimensions: host("1"), Timestamp: at(-2), Unit: "Count", StatisticValues: &wire.StatisticSet{SampleCount: new(10.0), Sum: new(50.0), Minimum: new(-3.0), Maximum: new(9.0)}},
			{MetricName: "time", Dimensions: host("9"), Value: new(7.0)},
		}})
		b.refused("", err)
		stats := func(length int32, unit string) string {
			out, err := b.GetMetricStatistics(b.ctx, &wire.GetMetricStatisticsInput{Namespace: "app", MetricName: "time", Dimensions: host("1"), StartTime: at(-10), EndTime: at(0), Period: &length, Unit: unit,
				Statistics: []string{"SampleCount", "Average", "Sum", "Minimum", "Maximum"}})
			if err != nil {
				return fault.Code(err)
			}
			text := ""
			for _, p := range out.Datapoints {
				text += fmt.Sprintf("%s %g %g %g %g %g %s;", p.Timestamp.Format("15:04:05"), *p.SampleCount, *p.Average, *p.Sum, *p.Minimum, *p.Maximum, p.Unit)
			}
			return text
		}
		b.want("minutes", stats(60, ""), "11:51:00 4 2 8 1 4 Seconds;11:58:00 10 5 50 -3 9 Count;")
		b.want("a period from the start on", stats(600, ""), "11:50:00 10 5 50 -3 9 Count;11:50:00 4 2 8 1 4 Seconds;")
		b.want("a unit", stats(600, "Count"), "11:50:00 10 5 50 -3 9 Count;")
		b.want("seconds", stats(30, ""), "InvalidParameterValueException")
		_, err = b.GetMetricStatistics(b.ctx, &wire.GetMetricStatisticsInput{Namespace: "app", MetricName: "time", StartTime: at(-1500), EndTime: at(0), Period: new(int32(60)), Statistics: []string{"Sum"}})
		b.refused("InvalidParameterCombinationException", err)

		query := func(change func(*wire.MetricDataQuery), scan string) string {
			q := wire.MetricDataQuery{Id: "q", MetricStat: &wire.MetricStat{Metric: &wire.Metric{Namespace: "app", MetricName: "time", Dimensions: host("1")}, Period: new(int32(420)), Stat: "Sum"}}
			change(&q)
			out, err := b.GetMetricData(b.ctx, &wire.GetMetricDataInput{StartTime: at(-10), EndTime: at(0), ScanBy: scan, MetricDataQueries: []wire.MetricDataQuery{q}})
			if err != nil {
				return fault.Code(err)
			}
			text := ""
			for _, r := range out.MetricDataResults {
				text += fmt.Sprintf("%s %s %s %v", r.Id, r.Label, r.StatusCode, r.Values)
				for _, at := range r.Timestamps {
					text += at.Format(" 15:04")
				}
			}
			return text
		}
		b.want("periods of seven minutes", query(func(*wire.MetricDataQuery) {}, ""), "q time Complete [50 8] 11:55 11:48")
		b.want("backwards", query(func(q *wire.MetricDataQuery) { q.Label = "l" }, "TimestampAscending"), "q l Complete [8 50] 11:48 11:55")
		b.want("units joined", query(func(q *wire.MetricDataQuery) { q.MetricStat.Period, q.MetricStat.Stat = new(int32(86400)), "Average" }, ""), fmt.Sprintf("q time Complete [%v] 00:00", 58.0/14))
		b.want("not asked for", query(func(q *wire.MetricDataQuery) { q.ReturnData = new(false) }, ""), "")
		b.want("an expression", query(func(q *wire.MetricDataQuery) { q.MetricStat, q.Expression = nil, "a+b" }, ""), "InvalidParameterValueException")
		b.want("a percentile", query(func(q *wire.MetricDataQuery) { q.MetricStat.Stat = "p99" }, ""), "InvalidParameterValueException")
		b.want("a period of an expression", query(func(q *wire.MetricDataQuery) { q.Period = new(int32(60)) }, ""), "InvalidParameterValueException")
		b.want("a label to be computed", query(func(q *wire.MetricDataQuery) { q.Label = "${MAX}" }, ""), "InvalidParameterValueException")

		list := func(in wire.ListMetricsInput) (text string) {
			out, err := b.ListMetrics(b.ctx, &in)
			b.refused("", err)
			for _, m := range out.Metrics {
				text += m.Namespace + " " + m.MetricName + fmt.Sprintln(m.Dimensions)
			}
			return text
		}
		b.want("a dimension", list(wire.ListMetricsInput{Dimensions: []wire.DimensionFilter{{Name: "a", Value: "9"}, {Name: "b"}}}), "app time[{a 9} {b 2}]\n")
		b.want("nothing", list(wire.ListMetricsInput{Namespace: "other"})+list(wire.ListMetricsInput{MetricName: "x"})+list(wire.ListMetricsInput{Dimensions: []wire.DimensionFilter{{Name: "c"}}}), "")
		if all := list(wire.ListMetricsInput{RecentlyActive: "PT3H"}); strings.Count(all, "\n") != 2 {
			b.Error(all)
		}
		for _, in := range []wire.ListMetricsInput{{IncludeLinkedAccounts: new(true)}, {OwningAccount: "111111111111"}} {
			_, err := b.ListMetrics(b.ctx, &in)
			b.refused("InvalidParameterValueException", err)
		}
		b.pass(4 * time.Hour)
		b.want("asleep", list(wire.ListMetricsInput{RecentlyActive: "PT3H"}), "")
	})
}

// N-17: lists go on where the page before ended.
func TestPages(t *testing.T) {
	each(t, func(b *bench) {
		for i := range 2 {
			var data []wire.MetricDatum
			for j := range page/2 + 1 {
				data = append(data, wire.MetricDatum{MetricName: "m", Dimensions: []wire.Dimension{{Name: "n", Value: fmt.Sprint(i, j)}}, Value: new(1.0)})
			}
			_, err := b.PutMetricData(b.ctx, &wire.PutMetricDataInput{Namespace: "app", MetricData: data})
			b.refused("", err)
		}
		seen := map[string]bool{}
		in := &wire.ListMetricsInput{}
		for pages := 1; ; pages++ {
			out, err := b.ListMetrics(b.ctx, in)
			b.refused("", err)
			for _, m := range out.Metrics {
				seen[m.Dimensions[0].Value] = true
			}
			if in.NextToken = out.NextToken; in.NextToken == "" {
				if len(seen) != page+2 || pages != 2 {
					b.Errorf("%d in %d pages", len(seen), pages)
				}
				break
			}
		}
		for _, name := range []string{"c", "a", "b"} {
			b.refused("", b.watch(name))
		}
		for _, named := range [][]string{nil, {"c", "b", "a", "none"}} {
			names := ""
			describe := &wire.DescribeAlarmsInput{AlarmNames: named, MaxRecords: new(int32(2))}
			for {
				out, err := b.DescribeAlarms(b.ctx, describe)
				b.refused("", err)
				for _, a := range out.MetricAlarms {
					names += a.AlarmName
				}
				if names += ","; out.NextToken == "" {
					break
				}
				describe.NextToken = out.NextToken
			}
			b.want("pages", names, "ab,c,")
		}
		for _, token := range []string{"!", "bnVsbA", "IlwAdTAwMDAi", "eyJhIjoxfQ", "IlwiXHUwMDAwIg"} {
			if _, err := b.ListMetrics(b.ctx, &wire.ListMetricsInput{NextToken: token}); token != "bnVsbA" && fault.Code(err) != "InvalidNextToken" {
				b.Errorf("%s: %v", token, err)
			}
		}
	})
}

// N-17: data that cannot be are refused, all of the request.
func TestBadData(t *testing.T) {
	each(t, func(b *bench) {
		for code, data := range map[string][]wire.MetricDatum{
			"InvalidParameterCombinationException": {{}, {Value: new(1.0), Values: []float64{1}}},
			"InvalidParameterValueException": {
				{Value: new(1e200)}, {Values: []float64{1}, Counts: []float64{0}}, {Values: []float64{1}, Counts: []float64{1, 2}}, {Values: slices.Repeat([]float64{1}, 151)},
				{Value: new(1.0), Timestamp: new(b.now.Add(-15 * 24 * time.Hour))}, {Value: new(1.0), Timestamp: new(b.now.Add(3 * time.Hour))}, {Value: new(1.0), StorageResolution: new(int32(7))},
				{Value: new(1.0), Dimensions: []wire.Dimension{{Name: "a", Value: "1"}, {Name: "a", Value: "2"}}},
				{StatisticValues: &wire.StatisticSet{SampleCount: new(1.0), Sum: new(1.0), Minimum: new(2.0), Maximum: new(1.0)}},
			},
		} {
			for _, d := range data {
				d.MetricName = "m"
				_, err := b.PutMetricData(b.ctx, &wire.PutMetricDataInput{Namespace: "app", MetricData: []wire.MetricDatum{{MetricName: "good", Value: new(1.0)}, d}})
				b.refused(code, err)
			}
		}
		for code, in := range map[string]*wire.PutMetricDataInput{
			"MissingRequiredParameterException": {Namespace: "app"},
			"InvalidParameterValueException":    {Namespace: "AWS/CodePipeline", MetricData: []wire.MetricDatum{{MetricName: "m", Value: new(1.0)}}},
		} {
			_, err := b.PutMetricData(b.ctx, in)
			b.refused(code, err)
		}
		if out, err := b.ListMetrics(b.ctx, &wire.ListMetricsInput{}); err != nil || len(out.Metrics) != 0 {
			b.Error(out, err)
		}
	})
}

// N-17: an alarm follows its metric, when data come in and when periods end.
func TestAlarm(t *testing.T) {
	each(t, func(b *bench) {
		b.refused("", b.watch("a"))
		first := b.shown("a")
		b.want("at first", first.StateValue+" "+first.StateReason, "INSUFFICIENT_DATA Unchecked: Initial alarm creation")
		b.want("ARN", first.AlarmArn, "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a")
		b.want("without data", b.state("a"), insufficient)
		b.put("errors", 1)
		b.want("a minute that is not over", b.state("a"), insufficient)
		b.pass(time.Minute)
		b.want("a good minute", b.state("a"), stateOK)
		b.put("errors", 2, 1)
		b.want("a bad one", b.state("a"), stateOK)
		b.pass(time.Minute)
		b.put("errors", 3)
		b.want("two bad ones, of which one is not over", b.state("a"), stateAlarm)
		got := b.shown("a")
		if !strings.Contains(got.StateReason, "Threshold Crossed") || !got.StateTransitionedTimestamp.Equal(b.now) {
			b.Errorf("%+v", got)
		}
		wait, err := b.due(b.ctx)
		if err != nil || wait != 30*time.Second {
			b.Error(wait, err)
		}
		b.pass(10 * time.Minute)
		b.want("no data any more", b.state("a"), insufficient)

		_, err = b.SetAlarmState(b.ctx, &wire.SetAlarmStateInput{AlarmName: "a", StateValue: stateAlarm, StateReason: "a drill", StateReasonData: "{}"})
		b.refused("", err)
		b.want("set", b.state("a")+" "+b.shown("a").StateReason, "ALARM a drill")
		b.refused("", b.watch("a", func(in *wire.PutMetricAlarmInput) { in.AlarmDescription = "new" }))
		b.want("changed", b.shown("a").StateValue+" "+b.shown("a").AlarmDescription, "ALARM new")
		b.pass(time.Minute)
		b.want("until the next look", b.state("a"), insufficient)
		_, err = b.SetAlarmState(b.ctx, &wire.SetAlarmStateInput{AlarmName: "a", StateValue: stateOK, StateReasonData: "{"})
		b.refused("InvalidFormatFault", err)
		_, err = b.SetAlarmState(b.ctx, &wire.SetAlarmStateInput{AlarmName: "none", StateValue: stateOK})
		b.refused("ResourceNotFound", err)
		_, err = b.DeleteAlarms(b.ctx, &wire.DeleteAlarmsInput{AlarmNames: []string{"a", "none"}})
		b.refused("ResourceNotFound", err)
		b.shown("a")
		_, err = b.DeleteAlarms(b.ctx, &wire.DeleteAlarmsInput{AlarmNames: []string{"a", "a"}})
		b.refused("", err)
		out, err := b.DescribeAlarms(b.ctx, &wire.DescribeAlarmsInput{AlarmNamePrefix: "a"})
		if err != nil || len(out.MetricAlarms) != 0 {
			b.Error(out, err)
		}
	})
}

// N-17: Run looks by itself, at once when data come in.
func TestRun(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := &bench{T: t, ctx: auth.Trusted(t.Context(), ann), Room: New(Deps{DB: db})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Room.Run(ctx) }()
		b.refused("", b.watch("a", func(in *wire.PutMetricAlarmInput) {
			in.Period, in.EvaluationPeriods, in.DatapointsToAlarm = new(int32(86400)), new(int32(1)), nil
		}))
		b.put("errors", 3)
		for deadline := time.Now().Add(5 * time.Minute); b.shown("a").StateValue != stateAlarm; {
			if time.Now().After(deadline) {
				t.Fatal("the alarm does not go off")
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// N-17: what an alarm cannot be here is refused.
func TestBadAlarms(t *testing.T) {
	each(t, func(b *bench) {
		for what, f := range map[string]func(*wire.PutMetricAlarmInput){
			"seconds": func(in *wire.PutMetricAlarmInput) { in.Period = new(int32(10)) }, "more than a day": func(in *wire.PutMetricAlarmInput) { in.EvaluationPeriods = new(int32(1441)) },
			"more than a week": func(in *wire.PutMetricAlarmInput) { in.Period, in.EvaluationPeriods = new(int32(86400)), new(int32(8)) },
			"no statistic":     func(in *wire.PutMetricAlarmInput) { in.Statistic = "" }, "no threshold": func(in *wire.PutMetricAlarmInput) { in.Threshold = nil },
			"a percentile": func(in *wire.PutMetricAlarmInput) { in.ExtendedStatistic = "p99" }, "a band": func(in *wire.PutMetricAlarmInput) { in.ComparisonOperator = "LessThanLowerThreshold" },
			"four of three": func(in *wire.PutMetricAlarmInput) { in.DatapointsToAlarm = new(int32(4)) }, "missing data": func(in *wire.PutMetricAlarmInput) { in.TreatMissingData = "well" },
			"a name":  func(in *wire.PutMetricAlarmInput) { in.AlarmName = " a" },
			"metrics": func(in *wire.PutMetricAlarmInput) { in.Metrics = []wire.MetricDataQuery{{Id: "q"}} },
		} {
			if err := b.watch("x", f); fault.Code(err) != "ValidationError" {
				b.Errorf("%s: %v", what, err)
			}
		}
		_, err := b.DescribeAlarms(b.ctx, &wire.DescribeAlarmsInput{ActionPrefix: "arn"})
		b.refused("ValidationError", err)
	})
}

// N-17: missing data, after the two tables of the user guide; points are oldest first, 0 is
// good, X bad and - missing. The columns are missing, ignore, breaching and notBreaching.
func TestMissingData(t *testing.T) {
	t.Parallel()
	const stays = "stays"
	for _, c := range []struct {
		points string
		m      int
		want   [4]string
	}{
		{"0-X-X", 3, [4]string{stateOK, stateOK, stateOK, stateOK}},
		{"----0", 3, [4]string{stateOK, stateOK, stateOK, stateOK}},
		{"-----", 3, [4]string{insufficient, stays, stateAlarm, stateOK}},
		{"0XX-X", 3, [4]string{stateAlarm, stateAlarm, stateAlarm, stateAlarm}},
		{"--X--", 3, [4]string{stateAlarm, stays, stateAlarm, stateOK}},
		{"0-X-X", 2, [4]string{stateAlarm, stateAlarm, stateAlarm, stateAlarm}},
		{"00X0X", 2, [4]string{stateAlarm, stateAlarm, stateAlarm, stateAlarm}},
		{"0-X--", 2, [4]string{stateOK, stateOK, stateAlarm, stateOK}},
		{"----0", 2, [4]string{stateOK, stateOK, stateAlarm, stateOK}},
		{"---X-", 2, [4]string{stateAlarm, stays, stateAlarm, stateOK}},
	} {
		var points []point
		for _, p := range c.points {
			points = slices.Insert(points, 0, point{p != '-', p == 'X'})
		}
		for i, missing := range []string{asMissing, asIgnored, asBreaching, asNotBreaching} {
			if got := judge(points, 3, c.m, missing, stays); got != c.want[i] {
				t.Errorf("%s, %d of 3, %s: %s, want %s", c.points, c.m, missing, got, c.want[i])
			}
		}
	}
}

// N-17: permissions on metrics are for everything or a namespace, those on alarms for each.
func TestPermissions(t *testing.T) {
	each(t, func(b *bench) {
		b.refused("", b.watch("a"))
		may := func(statement string) context.Context {
			ctx, err := auth.Limited(b.T.Context(), ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow",`+statement+`}]}`)
			if err != nil {
				b.Fatal(err)
			}
			return ctx
		}
		b.ctx = may(`"Action":"cloudwatch:*","Resource":"arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"`)
		const denied = "AccessDeniedException"
		b.refused("", b.watch("a"))
		b.refused(denied, b.watch("b"))
		b.shown("a")
		_, err := b.DescribeAlarms(b.ctx, &wire.DescribeAlarmsInput{})
		b.refused(denied, err)
		_, err = b.DescribeAlarms(b.ctx, &wire.DescribeAlarmsInput{AlarmNames: []string{"a", "b"}})
		b.refused(denied, err)
		_, err = b.DeleteAlarms(b.ctx, &wire.DeleteAlarmsInput{AlarmNames: []string{"a", "b"}})
		b.refused(denied, err)
		_, err = b.SetAlarmState(b.ctx, &wire.SetAlarmStateInput{AlarmName: "b", StateValue: stateOK})
		b.refused(denied, err)
		_, err = b.ListMetrics(b.ctx, &wire.ListMetricsInput{})
		b.refused(denied, err)
		b.ctx = may(`"Action":"cloudwatch:PutMetricData","Resource":"*","Condition":{"StringEquals":{"cloudwatch:namespace":"app"}}`)
		b.put("errors", 1)
		_, err = b.PutMetricData(b.ctx, &wire.PutMetricDataInput{Namespace: "other", MetricData: []wire.MetricDatum{{MetricName: "m", Value: new(1.0)}}})
		b.refused(denied, err)
	})
}
