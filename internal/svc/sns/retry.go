package sns

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"time"
)

// retries is how an endpoint that fails is called again, as SNS's delivery policies say it.
type retries struct {
	Min      int    `json:"minDelayTarget"`
	Max      int    `json:"maxDelayTarget"`
	Retries  int    `json:"numRetries"`
	AtMax    int    `json:"numMaxDelayRetries"`
	AtOnce   int    `json:"numNoDelayRetries"`
	AtMin    int    `json:"numMinDelayRetries"`
	Function string `json:"backoffFunction"`
}

// standard are the retries that SNS gives HTTP endpoints.
var standard = retries{Min: 20, Max: 20, Retries: 3, Function: "linear"}

// delivery is a delivery policy: of a topic, with "http" around it, or of a subscription.
type delivery struct {
	retries
	contentType string
	// locked says that subscriptions have no policies of their own.
	locked bool
}

const standardType = "text/plain; charset=UTF-8"

type request struct {
	ContentType string `json:"headerContentType,omitempty"`
}

// parseDelivery reads a delivery policy; an empty text is the standard.
func parseDelivery(text string) (delivery, error) {
	d := delivery{retries: standard, contentType: standardType}
	if text == "" {
		return d, nil
	}
	var p struct {
		HTTP *struct {
			Retries *json.RawMessage `json:"defaultHealthyRetryPolicy"`
			Request *request         `json:"defaultRequestPolicy"`
			Locked  bool             `json:"disableSubscriptionOverrides"`
			// Throttle is read and refused: this server does not throttle.
			Throttle *json.RawMessage `json:"defaultThrottlePolicy"`
		} `json:"http"`
		Retries  *json.RawMessage `json:"healthyRetryPolicy"`
		Request  *request         `json:"requestPolicy"`
		Throttle *json.RawMessage `json:"throttlePolicy"`
	}
	if err := strict([]byte(text), &p); err != nil {
		return d, errors.New("it is not a delivery policy")
	}
	own, req, throttle := p.Retries, p.Request, p.Throttle
	if p.HTTP != nil {
		own, req, throttle, d.locked = p.HTTP.Retries, p.HTTP.Request, p.HTTP.Throttle, p.HTTP.Locked
	}
	if throttle != nil && string(*throttle) != "null" {
		return d, errors.New("this server does not throttle deliveries; take the throttle policy out")
	}
	if req != nil && req.ContentType != "" {
		for _, r := range req.ContentType {
			if r < ' ' || r > '~' {
				return d, errors.New("headerContentType is not valid")
			}
		}
		d.contentType = req.ContentType
	}
	if own == nil {
		return d, nil
	}
	if err := strict(*own, &d.retries); err != nil {
		return d, errors.New("the retry policy is not valid")
	}
	r := d.retries
	switch {
	case r.Min < 1 || r.Max < r.Min || r.Max > 3600:
		return d, errors.New("delays are from 1 to 3600 seconds, and the least is not more than the most")
	case r.Retries < 0 || r.Retries > 100:
		return d, errors.New("numRetries is from 0 to 100")
	case r.AtMax < 0 || r.AtOnce < 0 || r.AtMin < 0 || max(r.AtMax, r.AtOnce, r.AtMin, r.AtMax+r.AtOnce+r.AtMin) > r.Retries:
		return d, errors.New("the retries of the phases are together not more than numRetries")
	}
	switch r.Function {
	case "linear", "arithmetic", "geometric", "exponential":
		return d, nil
	}
	return d, errors.New("backoffFunction is linear, arithmetic, geometric or exponential")
}

// strict decodes one JSON value without unknown members, after which nothing follows.
func strict(text []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// wait is how long to wait before a retry, counted from 0; false if there is none.
func (r retries) wait(n int) (time.Duration, bool) {
	if n >= r.Retries {
		return 0, false
	}
	seconds := float64(r.Max)
	backoff := r.Retries - r.AtOnce - r.AtMin - r.AtMax
	switch at := n - r.AtOnce - r.AtMin; {
	case n < r.AtOnce:
		seconds = 0
	case at < 0:
		seconds = float64(r.Min)
	case at < backoff:
		part := 0.0
		if backoff > 1 {
			part = float64(at) / float64(backoff-1)
		}
		low, high := float64(r.Min), float64(r.Max)
		switch r.Function {
		case "arithmetic":
			seconds = low + (high-low)*part*part
		case "geometric", "exponential":
			seconds = low * math.Pow(high/low, part)
		default:
			seconds = low + (high-low)*part
		}
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// topicText writes the policy in force for a topic, and subscriptionText for a subscription.
func (d delivery) topicText() string {
	return text(map[string]any{"http": map[string]any{
		"defaultHealthyRetryPolicy": d.retries, "disableSubscriptionOverrides": d.locked, "defaultRequestPolicy": request{d.contentType},
	}})
}

func (d delivery) subscriptionText() string {
	return text(map[string]any{"healthyRetryPolicy": d.retries, "requestPolicy": request{d.contentType}})
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("sns: " + err.Error()) // our own structures
	}
	return string(b)
}
