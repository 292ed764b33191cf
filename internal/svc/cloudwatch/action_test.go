package cloudwatch

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const topic = "arn:aws:sns:us-east-1:000000000000:oncall"

// N-17: an alarm that turns tells the topics of its new state, whoever turned it, and nobody
// while its actions are disabled.
func TestActions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		told := make(chan url.Values, 10)
		busy := true
		sns := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := r.ParseForm(); err != nil || busy { // the first attempt fails
				busy = false
				http.Error(w, "busy", http.StatusServiceUnavailable)
				return
			}
			told <- r.Form
			_, _ = w.Write([]byte(`<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`))
		}))
		t.Cleanup(sns.Close)
		b := &bench{T: t, ctx: auth.Trusted(t.Context(), ann), Room: New(Deps{DB: db, AWS: func(account, region, alarm, to string) aws.Config {
			if account != "000000000000" || region != "us-east-1" || !strings.HasSuffix(alarm, ":alarm:a") || to != topic {
				t.Error(account, region, alarm, to)
			}
			return aws.Config{Region: region, BaseEndpoint: &sns.URL, HTTPClient: sns.Client(), RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
		}})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Room.Run(ctx) }()
		next := func(from, to string) (m message) {
			t.Helper()
			select {
			case form := <-told:
				if err := json.Unmarshal([]byte(form.Get("Message")), &m); err != nil {
					t.Fatal(err)
				}
				if m.OldStateValue != from || m.NewStateValue != to || form.Get("TopicArn") != topic || form.Get("Subject") != to+`: "a" in us-east-1` {
					t.Errorf("%v", form)
				}
			case <-time.After(5 * time.Minute):
				t.Fatal("nobody is told")
			}
			return m
		}
		b.refused("", b.watch("a", func(in *wire.PutMetricAlarmInput) {
			in.Period, in.EvaluationPeriods, in.DatapointsToAlarm = new(int32(86400)), new(int32(1)), nil
			in.AlarmActions, in.OKActions, in.Dimensions = []string{topic}, []string{topic}, []wire.Dimension{{Name: "host", Value: "x"}}
		}))
		set := func(state string) {
			t.Helper()
			_, err := b.SetAlarmState(b.ctx, &wire.SetAlarmStateInput{AlarmName: "a", StateValue: state, StateReason: "a drill"})
			b.refused("", err)
		}
		_, err := b.PutMetricData(b.ctx, &wire.PutMetricDataInput{Namespace: "app", MetricData: []wire.MetricDatum{{MetricName: "errors", Value: new(3.0), Dimensions: []wire.Dimension{{Name: "host", Value: "x"}}}}})
		b.refused("", err)
		m := next(insufficient, stateAlarm)
		text, err := json.Marshal(m.Trigger)
		b.refused("", err)
		b.want("trigger", string(text), `{"MetricName":"errors","Namespace":"app","StatisticType":"Statistic","Statistic":"SUM","Unit":null,"Dimensions":[{"value":"x","name":"host"}],"Period":86400,`+
			`"EvaluationPeriods":1,"DatapointsToAlarm":1,"ComparisonOperator":"GreaterThanThreshold","Threshold":2,"TreatMissingData":"missing","EvaluateLowSampleCountPercentile":""}`)
		if at, err := time.Parse(timeForm, m.StateChangeTime); err != nil || time.Since(at) > time.Hour || m.AlarmArn != "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a" || m.AlarmActions[0] != topic || m.InsufficientDataActions == nil {
			t.Errorf("%+v %v", m, err)
		}
		set(stateAlarm) // does not turn
		set(insufficient)
		set(stateOK)
		b.want("reason", next(insufficient, stateOK).NewStateReason, "a drill")
		_, err = b.DisableAlarmActions(b.ctx, &wire.DisableAlarmActionsInput{AlarmNames: []string{"a", "none"}})
		b.refused("", err)
		set(stateAlarm)
		_, err = b.EnableAlarmActions(b.ctx, &wire.EnableAlarmActionsInput{AlarmNames: []string{"a"}})
		b.refused("", err)
		set(stateOK)
		next(stateAlarm, stateOK)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(told) > 0 {
			t.Errorf("%v", <-told)
		}
	})
}

// N-17: an alarm does nothing but publish to topics of its account and Region.
func TestBadActions(t *testing.T) {
	each(t, func(b *bench) {
		for _, action := range []string{"arn:aws:automate:us-east-1:ec2:stop", "arn:aws:sns:us-east-1:111111111111:t", "arn:aws:sns:eu-west-1:000000000000:t",
			"arn:aws:sns:us-east-1:000000000000:", "arn:aws:sns:us-east-1:000000000000:t:s", "arn:aws:lambda:us-east-1:000000000000:function:f"} {
			for _, f := range []func(*wire.PutMetricAlarmInput){
				func(in *wire.PutMetricAlarmInput) { in.AlarmActions = []string{topic, action} },
				func(in *wire.PutMetricAlarmInput) { in.OKActions = []string{action} },
				func(in *wire.PutMetricAlarmInput) { in.InsufficientDataActions = []string{action} },
			} {
				if err := b.watch("x", f); fault.Code(err) != "ValidationError" || !strings.Contains(err.Error(), action) {
					b.Errorf("%s: %v", action, err)
				}
			}
		}
		b.refused("ValidationError", b.watch("x", func(in *wire.PutMetricAlarmInput) { in.OKActions = []string{topic, topic} }))
		// S-356: the topics of a Region are in its partition.
		far := ann
		far.Region = "cn-north-1"
		b.ctx = auth.Trusted(b.Context(), far)
		b.refused("", b.watch("x", func(in *wire.PutMetricAlarmInput) {
			in.OKActions = []string{"arn:aws-cn:sns:cn-north-1:000000000000:t"}
		}))
		b.refused("ValidationError", b.watch("x", func(in *wire.PutMetricAlarmInput) { in.OKActions = []string{"arn:aws:sns:cn-north-1:000000000000:t"} }))
	})
}

// The subject of a message is as SNS takes it, whatever the alarm is called.
func TestSubject(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"é\"":                    `INSUFFICIENT_DATA: "?"" in us-east-1`,
		strings.Repeat("x", 255): `INSUFFICIENT_DATA: "` + strings.Repeat("x", 63) + `..." in us-east-1`,
	} {
		if got := subject(store.MetricAlarm{Region: "us-east-1", Name: name, State: insufficient}); got != want || len(got) > maxSubject {
			t.Errorf("%s, not %s", got, want)
		}
	}
	if got := subject(store.MetricAlarm{Region: strings.Repeat("r", 90), Name: "a", State: stateOK}); len(got) != maxSubject {
		t.Error(got)
	}
}

// N-17: alarms have tags, from the start or later; those of an alarm stay when it is changed.
func TestTags(t *testing.T) {
	each(t, func(b *bench) {
		const name = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a"
		tags := func(more ...string) func(*wire.PutMetricAlarmInput) {
			return func(in *wire.PutMetricAlarmInput) {
				for _, key := range more {
					in.Tags = append(in.Tags, wire.Tag{Key: key, Value: "v"})
				}
			}
		}
		list := func() (text string) {
			out, err := b.ListTagsForResource(b.ctx, &wire.ListTagsForResourceInput{ResourceARN: name})
			if err != nil {
				return fault.Code(err)
			}
			for _, t := range out.Tags {
				text += t.Key + "=" + t.Value + " "
			}
			return text
		}
		b.want("none", list(), "ResourceNotFoundException")
		b.refused("", b.watch("a", tags("b", "a")))
		b.refused("", b.watch("a", tags("c")))
		b.want("made with", list(), "a=v b=v ")
		_, err := b.TagResource(b.ctx, &wire.TagResourceInput{ResourceARN: name, Tags: []wire.Tag{{Key: "a", Value: "w"}, {Key: "z"}}})
		b.refused("", err)
		_, err = b.UntagResource(b.ctx, &wire.UntagResourceInput{ResourceARN: name, TagKeys: []string{"b", "none"}})
		b.refused("", err)
		b.want("changed", list(), "a=w z= ")
		for _, bad := range [][]wire.Tag{{{Key: "aws:x"}}, {{Key: "x"}, {Key: "x"}}, make51()} {
			_, err = b.TagResource(b.ctx, &wire.TagResourceInput{ResourceARN: name, Tags: bad})
			b.refused("InvalidParameterValueException", err)
		}
		_, err = b.TagResource(b.ctx, &wire.TagResourceInput{ResourceARN: topic, Tags: []wire.Tag{{Key: "a"}}})
		b.refused("InvalidParameterValueException", err)
		_, err = b.UntagResource(b.ctx, &wire.UntagResourceInput{ResourceARN: name + "x", TagKeys: []string{"b"}})
		b.refused("ResourceNotFoundException", err)
		may, err := auth.Limited(b.T.Context(), ann, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudwatch:PutMetricAlarm","Resource":"*"}]}`)
		b.refused("", err)
		b.ctx = may
		b.refused("AccessDeniedException", b.watch("n", tags("a")))
		b.want("not allowed", list(), "AccessDeniedException")
	})
}

func make51() (list []wire.Tag) {
	for i := range 51 {
		list = append(list, wire.Tag{Key: string(rune('A' + i))})
	}
	return list
}
