package cloudwatch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	day      = 24 * 60 * 60
	maxSpan  = 7 * day // of the periods that an alarm counts, if they are an hour or longer
	allNamed = 100     // how many alarms are described at once
)

// alarmDoc is what an alarm's row keeps beside its columns.
type alarmDoc struct {
	Description string  `json:"description,omitempty"`
	Namespace   string  `json:"namespace"`
	MetricName  string  `json:"metricName"`
	Dimensions  string  `json:"dimensions"`
	Statistic   string  `json:"statistic"`
	Unit        string  `json:"unit,omitempty"`
	Period      int32   `json:"period"`
	Count       int     `json:"evaluationPeriods"`
	Needed      int     `json:"datapointsToAlarm"`
	Threshold   float64 `json:"threshold"`
	Comparison  string  `json:"comparisonOperator"`
	Missing     string  `json:"treatMissingData"`
	Enabled     bool    `json:"actionsEnabled"`

	OK           []string          `json:"okActions,omitempty"`
	Alarm        []string          `json:"alarmActions,omitempty"`
	Insufficient []string          `json:"insufficientDataActions,omitempty"`
	Tags         map[string]string `json:"tags,omitempty"`

	Reason       string    `json:"reason"`
	ReasonData   string    `json:"reasonData,omitempty"`
	Configured   time.Time `json:"configured"`
	Updated      time.Time `json:"updated"`
	Transitioned time.Time `json:"transitioned"`
}

// end is when the period of a time is over.
func (d *alarmDoc) end(now time.Time) time.Time {
	return time.Unix((now.Unix()/int64(d.Period)+1)*int64(d.Period), 0)
}

// turn puts an alarm into a state.
func (d *alarmDoc) turn(row *store.MetricAlarm, now time.Time, state, reason, data string) {
	if state != row.State {
		d.Transitioned = now
	}
	row.State, d.Reason, d.ReasonData, d.Updated = state, reason, data, now
}

func opened(row store.MetricAlarm, err error) (store.MetricAlarm, alarmDoc, error) {
	var d alarmDoc
	if err == nil {
		if err = json.Unmarshal([]byte(row.Doc), &d); err != nil {
			err = fmt.Errorf("cloudwatch: the alarm %s: %w", row.Name, err)
		}
	}
	return row, d, err
}

func save(ctx context.Context, tx *store.Tx, row store.MetricAlarm, d alarmDoc) error {
	text, err := json.Marshal(d)
	if err != nil {
		return err
	}
	row.Doc = string(text)
	return tx.PutMetricAlarm(ctx, row)
}

// alarmARN names an alarm.
func alarmARN(c auth.Caller, name string) string {
	return arn.New("cloudwatch", c.Region, c.Account, "alarm:"+name)
}

// allow authorises an operation on alarms.
func allow(ctx context.Context, operation string, names ...string) (auth.Caller, error) {
	c := auth.From(ctx)
	for _, name := range names {
		if err := auth.Check(ctx, "cloudwatch:"+operation, alarmARN(c, name)); err != nil {
			return c, err
		}
	}
	return c, nil
}

func invalid(format string, args ...any) error {
	return fault.New("ValidationError", format, args...)
}

// checkAlarm refuses what this server cannot watch, and what is not whole.
func checkAlarm(in *wire.PutMetricAlarmInput) error {
	for option, set := range map[string]bool{
		"Metrics": len(in.Metrics) > 0, "ThresholdMetricId": in.ThresholdMetricId != "", "EvaluationCriteria": in.EvaluationCriteria != nil,
		"EvaluationInterval": in.EvaluationInterval != nil, "ExtendedStatistic": in.ExtendedStatistic != "",
		"EvaluateLowSampleCountPercentile": in.EvaluateLowSampleCountPercentile != "",
	} {
		if set {
			return invalid("The parameter %s of PutMetricAlarm is not offered by this server: an alarm has one metric with a Statistic and a Threshold.", option)
		}
	}
	for option, set := range map[string]bool{
		"MetricName": in.MetricName != "", "Namespace": in.Namespace != "", "Statistic": in.Statistic != "", "Period": in.Period != nil,
		"EvaluationPeriods": in.EvaluationPeriods != nil, "Threshold": in.Threshold != nil, "ComparisonOperator": in.ComparisonOperator != "",
	} {
		if !set {
			return invalid("The parameter %s is required.", option)
		}
	}
	period, count := int64(*in.Period), int64(*in.EvaluationPeriods)
	switch {
	case strings.HasPrefix(in.AlarmName, " ") || strings.HasSuffix(in.AlarmName, " ") || strings.ContainsFunc(in.AlarmName, func(c rune) bool { return c < ' ' || c == 0x7f }):
		return invalid("The AlarmName must not begin or end with a space or have control characters.")
	case period < 60 || period%60 != 0 || period > maxSpan:
		return invalid("Period %d must be a multiple of 60: this server keeps data by the minute.", period)
	case count*period > maxSpan || period < 3600 && count*period > day:
		return invalid("EvaluationPeriods times Period must not be more than one day, or seven days if the Period is an hour or longer; it is %d seconds.", count*period)
	case in.DatapointsToAlarm != nil && int64(*in.DatapointsToAlarm) > count:
		return invalid("DatapointsToAlarm %d must not be greater than EvaluationPeriods %d.", *in.DatapointsToAlarm, count)
	case !slices.Contains([]string{"", asMissing, asIgnored, asBreaching, asNotBreaching}, in.TreatMissingData):
		return invalid("TreatMissingData %.100s must be one of breaching, notBreaching, ignore and missing.", in.TreatMissingData)
	case !strings.HasSuffix(in.ComparisonOperator, "ToThreshold") && in.ComparisonOperator != "GreaterThanThreshold" && in.ComparisonOperator != "LessThanThreshold":
		return invalid("ComparisonOperator %s is not offered by this server: it has no bands.", in.ComparisonOperator)
	}
	return nil
}

// PutMetricAlarm makes an alarm or changes one, whose state then stays.
func (r *Room) PutMetricAlarm(ctx context.Context, in *wire.PutMetricAlarmInput) (*wire.PutMetricAlarmOutput, error) {
	c, err := allow(ctx, "PutMetricAlarm", in.AlarmName)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(checkAlarm(in), checkActions(c, in)); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := auth.Check(ctx, "cloudwatch:TagResource", alarmARN(c, in.AlarmName)); err != nil {
			return nil, err
		}
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	m, err := metric(c, in.Namespace, in.MetricName, in.Dimensions)
	if err != nil {
		return nil, err
	}
	needed := *in.EvaluationPeriods
	if in.DatapointsToAlarm != nil {
		needed = *in.DatapointsToAlarm
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, old, err := opened(tx.LockMetricAlarm(ctx, c.Account, c.Region, in.AlarmName))
		fresh := errors.Is(err, store.ErrNotFound)
		if err != nil && !fresh {
			return err
		}
		d := alarmDoc{
			Description: in.AlarmDescription, Namespace: in.Namespace, MetricName: in.MetricName, Dimensions: m.Dimensions, Statistic: in.Statistic, Unit: in.Unit,
			Period: *in.Period, Count: int(*in.EvaluationPeriods), Needed: int(needed), Threshold: *in.Threshold, Comparison: in.ComparisonOperator,
			Missing: cmp.Or(in.TreatMissingData, asMissing), Enabled: in.ActionsEnabled == nil || *in.ActionsEnabled,
			OK: in.OKActions, Alarm: in.AlarmActions, Insufficient: in.InsufficientDataActions, Tags: old.Tags,
			Reason: old.Reason, ReasonData: old.ReasonData, Configured: tx.Now(), Updated: old.Updated, Transitioned: old.Transitioned,
		}
		if fresh {
			d.Tags = tags // those of an alarm that is there are not changed
			row = store.MetricAlarm{Account: c.Account, Region: c.Region, Name: in.AlarmName}
			d.turn(&row, tx.Now(), insufficient, "Unchecked: Initial alarm creation", "")
			if err := tx.LockAccount(ctx, c.Account); err != nil {
				return err
			}
			n, err := tx.CountMetricAlarms(ctx, c.Account, c.Region)
			if err == nil && n >= maxAlarms {
				err = fault.New("LimitExceededFault", "There can be %d alarms in an account and Region.", maxAlarms)
			}
			if err != nil {
				return err
			}
		}
		row.Metric, row.Next = m.ID(), tx.Now()
		return save(ctx, tx, row, d)
	})
}

// DescribeAlarms gives alarms by name: those of the names, or page by page those of a prefix.
func (r *Room) DescribeAlarms(ctx context.Context, in *wire.DescribeAlarmsInput) (*wire.DescribeAlarmsOutput, error) {
	names := in.AlarmNames
	if len(names) == 0 {
		names = []string{"*"}
	}
	c, err := allow(ctx, "DescribeAlarms", names...)
	if err != nil {
		return nil, err
	}
	switch {
	case in.ChildrenOfAlarmName != "" || in.ParentsOfAlarmName != "" || in.ActionPrefix != "":
		return nil, invalid("ChildrenOfAlarmName, ParentsOfAlarmName and ActionPrefix are not offered by this server: alarms have no relatives, and are found by name and state.")
	case len(in.AlarmNames) > 0 && in.AlarmNamePrefix != "":
		return nil, invalid("AlarmNamePrefix cannot be there beside AlarmNames.")
	}
	var after string
	if err := parsePageToken(in.NextToken, &after); err != nil {
		return nil, err
	}
	limit := 50
	if len(in.AlarmNames) > 0 {
		limit = allNamed
	}
	if in.MaxRecords != nil {
		limit = int(*in.MaxRecords)
	}
	out := &wire.DescribeAlarmsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		*out = wire.DescribeAlarmsOutput{MetricAlarms: []wire.MetricAlarm{}, CompositeAlarms: []wire.CompositeAlarm{}}
		if len(in.AlarmTypes) > 0 && !slices.Contains(in.AlarmTypes, "MetricAlarm") {
			return nil
		}
		var rows []store.MetricAlarm
		var err error
		if len(in.AlarmNames) > 0 {
			rows, err = tx.MetricAlarmsNamed(ctx, c.Account, c.Region, in.AlarmNames)
			rows = slices.DeleteFunc(rows, func(a store.MetricAlarm) bool {
				return a.Name <= after || in.StateValue != "" && a.State != in.StateValue
			})
		} else {
			rows, err = tx.ListMetricAlarms(ctx, c.Account, c.Region, in.AlarmNamePrefix, after, in.StateValue, limit+1)
		}
		if err == nil && len(rows) > limit {
			rows = rows[:limit]
			out.NextToken, err = pageToken(rows[limit-1].Name)
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			a, err := show(c, row)
			if err != nil {
				return err
			}
			out.MetricAlarms = append(out.MetricAlarms, a)
		}
		return nil
	})
}

// show gives an alarm as the API tells it.
func show(c auth.Caller, row store.MetricAlarm) (wire.MetricAlarm, error) {
	row, d, err := opened(row, nil)
	if err != nil {
		return wire.MetricAlarm{}, err
	}
	list, err := listed(d.Dimensions)
	return wire.MetricAlarm{
		AlarmName: row.Name, AlarmArn: alarmARN(c, row.Name), AlarmDescription: d.Description, AlarmConfigurationUpdatedTimestamp: &d.Configured, ActionsEnabled: &d.Enabled,
		OKActions: listOf(d.OK), AlarmActions: listOf(d.Alarm), InsufficientDataActions: listOf(d.Insufficient),
		StateValue: row.State, StateReason: d.Reason, StateReasonData: d.ReasonData, StateUpdatedTimestamp: &d.Updated, StateTransitionedTimestamp: &d.Transitioned,
		MetricName: d.MetricName, Namespace: d.Namespace, Statistic: d.Statistic, Dimensions: list, Period: &d.Period, Unit: d.Unit,
		EvaluationPeriods: new(int32(d.Count)), DatapointsToAlarm: new(int32(d.Needed)), Threshold: &d.Threshold, ComparisonOperator: d.Comparison, TreatMissingData: d.Missing,
	}, err
}

func noAlarm(name string) error {
	return fault.New("ResourceNotFound", "There is no alarm %s.", name)
}

// SetAlarmState puts an alarm into a state until it is looked at the next time: when the period
// ends, or data come in before that.
func (r *Room) SetAlarmState(ctx context.Context, in *wire.SetAlarmStateInput) (*wire.SetAlarmStateOutput, error) {
	c, err := allow(ctx, "SetAlarmState", in.AlarmName)
	if err != nil {
		return nil, err
	}
	if in.StateReasonData != "" && !json.Valid([]byte(in.StateReasonData)) {
		return nil, fault.New("InvalidFormatFault", "The StateReasonData is not JSON.")
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, d, err := opened(tx.LockMetricAlarm(ctx, c.Account, c.Region, in.AlarmName))
		if errors.Is(err, store.ErrNotFound) {
			return noAlarm(in.AlarmName)
		}
		if err != nil {
			return err
		}
		from := row.State
		d.turn(&row, tx.Now(), in.StateValue, in.StateReason, in.StateReasonData)
		row.Next = d.end(tx.Now())
		return errors.Join(save(ctx, tx, row, d), act(ctx, tx, row, &d, from))
	})
}

// DeleteAlarms removes alarms, all of them or, if one of them is not there, none.
func (r *Room) DeleteAlarms(ctx context.Context, in *wire.DeleteAlarmsInput) (*wire.DeleteAlarmsOutput, error) {
	c, err := allow(ctx, "DeleteAlarms", in.AlarmNames...)
	if err != nil {
		return nil, err
	}
	names := slices.Compact(slices.Sorted(slices.Values(in.AlarmNames)))
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		for _, name := range names {
			err := tx.DeleteMetricAlarm(ctx, c.Account, c.Region, name)
			if errors.Is(err, store.ErrNotFound) {
				err = noAlarm(name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
