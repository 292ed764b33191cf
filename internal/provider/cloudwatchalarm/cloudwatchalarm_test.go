package cloudwatchalarm

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/api"
	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/awswire"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, New())
}

// alarms is a room whose alarms have the states of their names; others do not exist.
type alarms struct{ wire.Unimplemented }

func (alarms) DescribeAlarms(_ context.Context, in *wire.DescribeAlarmsInput) (*wire.DescribeAlarmsOutput, error) {
	out := &wire.DescribeAlarmsOutput{}
	switch name := in.AlarmNames[0]; name {
	case "OK", "ALARM", "INSUFFICIENT_DATA":
		out.MetricAlarms = []wire.MetricAlarm{{AlarmName: name, StateValue: name, StateReason: "as it is called"}}
	case "composite":
		if slices.Contains(in.AlarmTypes, "CompositeAlarm") {
			out.CompositeAlarms = []wire.CompositeAlarm{{AlarmName: name, StateValue: "ALARM"}}
		}
	case "denied":
		return nil, fault.New("AccessDeniedException", "not you")
	}
	return out, nil
}

// run looks at a time, given a configuration in pairs and a token.
func run(t *testing.T, at time.Time, token string, configuration map[string]string) provider.Result {
	t.Helper()
	srv := httptest.NewServer(awswire.New(awswire.Config{
		Authenticate: func(r *http.Request, _ string, _ []byte) (context.Context, error) { return r.Context(), nil },
		Services:     []*api.Service{wire.New(alarms{})},
	}))
	t.Cleanup(srv.Close)
	job := providertest.Job(New().Types()[0])
	job.Configuration, job.ContinuationToken = configuration, token
	job.Env.AWS = aws.Config{Region: "eu-west-1", BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }}
	return Provider{now: func() time.Time { return at }}.Run(t.Context(), job)
}

var noon = time.Date(2026, 3, 2, 12, 0, 0, 500, time.UTC)

// P-49, S-212: an alarm in none of the states lets the rule succeed at once, another fails it.
func TestStates(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, states, code string }{
		{"OK", "", ""}, {"INSUFFICIENT_DATA", "", ""}, {"ALARM", "", pipeline.JobFailed}, {"composite", "", pipeline.JobFailed},
		{"ALARM", "OK", ""}, {"ALARM", " OK, ALARM ", pipeline.JobFailed}, {"INSUFFICIENT_DATA", "ALARM,INSUFFICIENT_DATA", pipeline.JobFailed},
		{"none", "", pipeline.ConfigurationError}, {"", "", pipeline.ConfigurationError}, {"OK", "RED", pipeline.ConfigurationError}, {"denied", "", pipeline.PermissionError},
	} {
		r := run(t, noon, "", map[string]string{"AlarmName": c.name, "AlarmStates": c.states})
		switch {
		case r.Continue != "":
			t.Errorf("%+v waits", c)
		case (r.Error != nil) != (c.code != ""), r.Error != nil && r.Error.Code != c.code:
			t.Errorf("%+v: %+v", c, r.Error)
		case c.name == "ALARM" && r.Error != nil && !strings.Contains(r.Error.Message, "as it is called"):
			t.Error(r.Error.Message)
		}
	}
	for _, minutes := range []string{"-1", "1.5", "soon", "86401"} {
		if r := run(t, noon, "", map[string]string{"AlarmName": "OK", "WaitTime": minutes}); r.Error == nil || r.Error.Code != pipeline.ConfigurationError {
			t.Errorf("%s: %+v", minutes, r)
		}
	}
}

// Q-21, P-49: an alarm has WaitTime to leave the states, from the first look on.
func TestWaitTime(t *testing.T) {
	t.Parallel()
	configuration := map[string]string{"AlarmName": "ALARM", "WaitTime": "2"}
	at, token, looks := noon, "", 0
	for {
		r := run(t, at, token, configuration)
		if r.Error != nil {
			if took := at.Sub(noon); r.Error.Code != pipeline.JobFailed || took < 2*time.Minute || took > 2*time.Minute+2*time.Second {
				t.Errorf("%s: %+v", took, r.Error)
			}
			break
		}
		if looks++; r.After <= 0 || r.After > between || looks > 20 || token != "" && r.Continue != token {
			t.Fatalf("%+v", r)
		}
		at, token = at.Add(r.After), r.Continue
	}
	if looks < 8 {
		t.Errorf("%d looks", looks)
	}
	configuration["AlarmName"] = "OK" // it has recovered
	if r := run(t, noon.Add(time.Minute), token, configuration); r.Error != nil || r.Continue != "" {
		t.Errorf("%+v", r)
	}
	if r := run(t, noon, "soon", map[string]string{"AlarmName": "ALARM", "WaitTime": "2"}); r.Error == nil {
		t.Errorf("%+v", r)
	}
}
