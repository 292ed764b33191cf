package cloudwatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/store"
)

// Principal is the service for which this room publishes; the policies of topics name it.
const Principal = "cloudwatch.amazonaws.com"

const (
	queue = "cloudwatch"
	// deadline bounds one call to a topic.
	deadline = 30 * time.Second
	// The wait doubles from the first to the longest, less a random part, for a day.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
	longestAge  = 24 * time.Hour
	// maxSubject is the longest subject of a message.
	maxSubject = 100
)

var topicForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`) })

// actions are what an alarm does when it turns, by the state that it turns into.
func (d *alarmDoc) actions(state string) []string {
	switch state {
	case stateOK:
		return d.OK
	case stateAlarm:
		return d.Alarm
	}
	return d.Insufficient
}

// checkActions refuses what an alarm cannot do here: it publishes to topics of its account and
// Region.
func checkActions(c auth.Caller, in *wire.PutMetricAlarmInput) error {
	topics := arn.New("sns", c.Region, c.Account, "")
	for option, list := range map[string][]string{"AlarmActions": in.AlarmActions, "OKActions": in.OKActions, "InsufficientDataActions": in.InsufficientDataActions} {
		for i, action := range list {
			if name, ok := strings.CutPrefix(action, topics); !ok || !topicForm().MatchString(name) {
				return invalid("The action %.300s in %s is not offered by this server: an alarm publishes to topics of its account and Region, %sNAME.", action, option, topics)
			}
			if slices.Contains(list[:i], action) {
				return invalid("The action %s is in %s twice.", action, option)
			}
		}
	}
	return nil
}

// parcel is what is kept of a message on its way to a topic.
type parcel struct {
	Alarm   string `json:"alarm"`
	Topic   string `json:"topic"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// timeForm is a time as messages of alarms have it.
const timeForm = "2006-01-02T15:04:05.000-0700"

// dimension is one of a trigger, in the order that AWS writes it.
type dimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

// trigger is what a message tells of what the alarm watches.
type trigger struct {
	MetricName                       string
	Namespace                        string
	StatisticType                    string
	Statistic                        string
	Unit                             *string
	Dimensions                       []dimension
	Period                           int32
	EvaluationPeriods                int
	DatapointsToAlarm                int
	ComparisonOperator               string
	Threshold                        float64
	TreatMissingData                 string
	EvaluateLowSampleCountPercentile string
}

// message is what topics are told of an alarm that turned.
type message struct {
	AlarmName                          string
	AlarmDescription                   *string
	AWSAccountId                       string
	AlarmConfigurationUpdatedTimestamp string
	NewStateValue                      string
	NewStateReason                     string
	StateChangeTime                    string
	Region                             string
	AlarmArn                           string
	OldStateValue                      string
	OKActions                          []string
	AlarmActions                       []string
	InsufficientDataActions            []string
	Trigger                            trigger
}

// statisticName is a statistic as messages have it.
func statisticName(name string) string {
	if name == "SampleCount" {
		return "SAMPLE_COUNT"
	}
	return strings.ToUpper(name)
}

func some(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func listOf(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// act puts the messages about an alarm that turned from a state on their way. They leave when
// the transaction is committed.
func act(ctx context.Context, tx *store.Tx, row store.MetricAlarm, d *alarmDoc, from string) error {
	topics := d.actions(row.State)
	if !d.Enabled || row.State == from || len(topics) == 0 {
		return nil
	}
	of, err := listed(d.Dimensions)
	if err != nil {
		return err
	}
	alarm := alarmARN(auth.Caller{Account: row.Account, Region: row.Region}, row.Name)
	m := message{
		AlarmName: row.Name, AlarmDescription: some(d.Description), AWSAccountId: row.Account, AlarmConfigurationUpdatedTimestamp: d.Configured.UTC().Format(timeForm),
		NewStateValue: row.State, NewStateReason: d.Reason, StateChangeTime: d.Transitioned.UTC().Format(timeForm), Region: row.Region, AlarmArn: alarm, OldStateValue: from,
		OKActions: listOf(d.OK), AlarmActions: listOf(d.Alarm), InsufficientDataActions: listOf(d.Insufficient),
		Trigger: trigger{MetricName: d.MetricName, Namespace: d.Namespace, StatisticType: "Statistic", Statistic: statisticName(d.Statistic), Unit: some(d.Unit), Dimensions: []dimension{},
			Period: d.Period, EvaluationPeriods: d.Count, DatapointsToAlarm: d.Needed, ComparisonOperator: d.Comparison, Threshold: d.Threshold, TreatMissingData: d.Missing},
	}
	for _, one := range of {
		m.Trigger.Dimensions = append(m.Trigger.Dimensions, dimension{Value: one.Value, Name: one.Name})
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		doc, err := json.Marshal(parcel{alarm, topic, subject(row), string(text)})
		if err != nil {
			return err
		}
		if err := tx.InsertDelivery(ctx, store.Delivery{Queue: queue, ID: derived(alarm, topic, m.StateChangeTime, from, row.State), Lane: derived(alarm, topic), Target: topic, Doc: string(doc)}); err != nil {
			return err
		}
	}
	return nil
}

// subject is what mail of an alarm begins with. A subject is plain ASCII and not long; the text
// has the whole name.
func subject(row store.MetricAlarm) string {
	name := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, row.Name)
	begin, end := row.State+`: "`, `" in `+row.Region
	if room := maxSubject - len(begin) - len(end); room > 3 && len(name) > room {
		name = name[:room-3] + "..."
	}
	text := begin + name + end
	return text[:min(len(text), maxSubject)]
}

func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:20])
}

func again(d store.Delivery, _ error) (time.Duration, bool) {
	wait := min(firstWait<<min(d.Attempts, 20), longestWait)
	wait -= time.Duration(rand.Int64N(int64(wait) / 2))
	return wait, time.Since(d.Created)+wait < longestAge
}

// deliver publishes a message. A topic that is gone or lets nobody in is not tried again.
func (r *Room) deliver(ctx context.Context, d store.Delivery) error {
	var p parcel
	if err := json.Unmarshal([]byte(d.Doc), &p); err != nil {
		return courier.GiveUp(err)
	}
	topic, _ := arn.Parse(p.Topic)
	_, err := sns.NewFromConfig(r.deps.AWS(topic.Account, topic.Region, p.Alarm, p.Topic)).Publish(ctx, &sns.PublishInput{TopicArn: &p.Topic, Subject: &p.Subject, Message: &p.Text, MessageGroupId: &d.Lane})
	var refusal smithy.APIError
	var answer *smithyhttp.ResponseError
	if errors.As(err, &refusal) && errors.As(err, &answer) && answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500 &&
		!strings.Contains(refusal.ErrorCode(), "Throttl") && !strings.HasPrefix(refusal.ErrorCode(), "ExpiredToken") && !strings.HasPrefix(refusal.ErrorCode(), "RequestExpired") {
		return courier.GiveUp(err)
	}
	return err
}

// DisableAlarmActions lets alarms turn in silence. Those that are not there are no error, as in
// AWS.
func (r *Room) DisableAlarmActions(ctx context.Context, in *wire.DisableAlarmActionsInput) (*wire.DisableAlarmActionsOutput, error) {
	return nil, r.enable(ctx, "DisableAlarmActions", in.AlarmNames, false)
}

// EnableAlarmActions lets alarms tell their topics again.
func (r *Room) EnableAlarmActions(ctx context.Context, in *wire.EnableAlarmActionsInput) (*wire.EnableAlarmActionsOutput, error) {
	return nil, r.enable(ctx, "EnableAlarmActions", in.AlarmNames, true)
}

func (r *Room) enable(ctx context.Context, operation string, names []string, enabled bool) error {
	c, err := allow(ctx, operation, names...)
	if err != nil {
		return err
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
			row, d, err := opened(tx.LockMetricAlarm(ctx, c.Account, c.Region, name))
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			d.Enabled = enabled
			if err := save(ctx, tx, row, d); err != nil {
				return err
			}
		}
		return nil
	})
}
