// Package cloudwatch is the part of CloudWatch that a release needs (N-17): metrics, and alarms
// on one metric.
//
// Data are kept by the minute. An alarm's row says when it is looked at again: when the next of
// its periods is over, or at once when data come in.
package cloudwatch

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	wire "penstock/internal/api/cloudwatch"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// KeepData is how long data are kept, and a metric without new ones.
const KeepData = 15 * 24 * time.Hour

const (
	maxMetrics = 10_000 // of an account and Region
	maxAlarms  = 5_000  // of an account and Region
	maxData    = 1000   // of one PutMetricData
	maxValues  = 150    // of one datum
	// oldest and newest bound the times of data.
	oldest = 14 * 24 * time.Hour
	newest = 2 * time.Hour
)

// Deps is what the room works with.
type Deps struct {
	DB *store.DB
	// AWS gives the configuration for publishing to a topic as this service, for an alarm.
	AWS func(account, region, alarm, topic string) aws.Config
	Log *slog.Logger
}

// Room has the metrics and the alarms. It is safe for concurrent use.
type Room struct {
	wire.Unimplemented
	deps    Deps
	courier *courier.Courier
}

var _ wire.Service = (*Room)(nil)

// New makes the room. Run must be running for alarms to change by themselves and for topics to be told.
func New(deps Deps) *Room {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	r := &Room{deps: deps}
	r.courier = courier.New(courier.Config{DB: deps.DB, Queue: queue, Deliver: r.deliver, Deadline: deadline, Again: again, Log: deps.Log})
	return r
}

// everything authorises an operation that is about no resource.
func everything(ctx context.Context, operation string) (auth.Caller, error) {
	return auth.From(ctx), auth.Check(ctx, "cloudwatch:"+operation, "*")
}

func wrong(format string, args ...any) error {
	return fault.New("InvalidParameterValueException", format, args...)
}

// dimensions gives the text of dimensions: sorted by name, each name once.
func dimensions(list []wire.Dimension) (string, error) {
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b wire.Dimension) int { return strings.Compare(a.Name, b.Name) })
	pairs := make([][2]string, len(sorted))
	for i, d := range sorted {
		if i > 0 && sorted[i-1].Name == d.Name {
			return "", wrong("The dimension %s is there twice.", d.Name)
		}
		pairs[i] = [2]string{d.Name, d.Value}
	}
	text, err := json.Marshal(pairs)
	return string(text), err
}

// listed is dimensions backwards.
func listed(text string) ([]wire.Dimension, error) {
	var pairs [][2]string
	if err := json.Unmarshal([]byte(text), &pairs); err != nil {
		return nil, err
	}
	list := make([]wire.Dimension, len(pairs))
	for i, p := range pairs {
		list[i] = wire.Dimension{Name: p[0], Value: p[1]}
	}
	return list, nil
}

func metric(c auth.Caller, namespace, name string, list []wire.Dimension) (store.Metric, error) {
	text, err := dimensions(list)
	return store.Metric{Account: c.Account, Region: c.Region, Namespace: namespace, Name: name, Dimensions: text}, err
}

// W-26: a page begins behind the last key of the one before.
func pageToken(key any) (string, error) {
	text, err := json.Marshal(key)
	return base64.RawURLEncoding.EncodeToString(text), err
}

func parsePageToken(token string, key any) error {
	if token == "" {
		return nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || bytes.Contains(text, []byte(`\u0000`)) || json.Unmarshal(text, key) != nil {
		return fault.New("InvalidNextToken", "The next token is not valid. Use the one of the answer before, with the same request.")
	}
	return nil
}
