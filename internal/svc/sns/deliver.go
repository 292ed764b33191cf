package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/egress"
	"penstock/internal/store"
)

// deadline is how long an endpoint may take to answer.
const deadline = 15 * time.Second

// hostOf is what endpoints share that are slow together: a host, or the mail server.
func hostOf(protocol, endpoint string) string {
	switch {
	case isMail(protocol):
		return "smtp"
	case protocol == toFunction:
		return protocol
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return endpoint
	}
	return u.Scheme + "://" + u.Host
}

// later is a failure after which the endpoint's delivery policy says when to call again.
type later struct {
	error
	policy delivery
}

// Unwrap gives the failure, which may be one that trying again does not mend.
func (l later) Unwrap() error { return l.error }

// again has the waits of the policy in force, which deliver has put beside the failure.
func again(d store.Delivery, err error) (time.Duration, bool) {
	p := delivery{retries: standard}
	var l later
	if errors.As(err, &l) {
		p = l.policy
	}
	wait, ok := p.wait(d.Attempts)
	if wait > time.Second { // so that those who failed together do not come back together
		wait += time.Duration(rand.Int64N(int64(wait) / 10))
	}
	return wait, ok
}

// confirmation asks an endpoint whether it wants a topic's messages.
func (r *Room) confirmation(tx *store.Tx, s store.Subscription, doc subscriptionDoc) store.Delivery {
	arn := topicARN(s.Account, s.Region, s.Topic)
	m := message{
		Type: typeConfirmation, ID: auth.NewUUID(), Topic: arn, Time: tx.Now().Format("2006-01-02T15:04:05.000Z"), Token: doc.Token,
		Text: "You have chosen to subscribe to the topic " + arn + ".\nTo confirm the subscription, visit the SubscribeURL included in this message.",
	}
	return m.to(s, doc)
}

// deliver posts a message to its subscriber.
func (r *Room) deliver(ctx context.Context, d store.Delivery) error {
	var m message
	if err := json.Unmarshal([]byte(d.Doc), &m); err != nil {
		return courier.GiveUp(err)
	}
	var s store.Subscription
	var doc subscriptionDoc
	var about topicDoc
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		if s, doc, err = opened(tx.GetSubscription(ctx, m.Subscription)); err == nil {
			_, about, err = topic(tx.GetTopic(ctx, s.Account, s.Region, s.Topic))
		}
		return err
	})
	switch {
	case isGone(err):
		return nil // nobody wants it any more
	case err != nil:
		return err
	case m.Type == typeConfirmation && (s.Confirmed || doc.Token != m.Token):
		return nil // answered, or asked anew
	}
	if isMail(doc.Protocol) {
		if err := r.mail(ctx, &m, s, doc, about); err != nil {
			return later{err, delivery{retries: mailed}}
		}
		return nil
	}
	if doc.Protocol == toFunction {
		if err := r.tell(ctx, &m, s, about); err != nil {
			return later{err, delivery{retries: invoked}}
		}
		return nil
	}
	p, err := inForce(about, doc)
	if err != nil {
		return courier.GiveUp(err)
	}
	if err := r.post(ctx, &m, s, doc, about, p); err != nil {
		return later{err, p}
	}
	return nil
}

// inForce is the delivery policy of a subscription: its own, or the topic's.
func inForce(about topicDoc, doc subscriptionDoc) (delivery, error) {
	p, err := parseDelivery(about.Attributes["DeliveryPolicy"])
	if own := doc.Attributes["DeliveryPolicy"]; own != "" && err == nil && !p.locked {
		return parseDelivery(own)
	}
	return p, err
}

func (r *Room) post(ctx context.Context, m *message, s store.Subscription, doc subscriptionDoc, about topicDoc, p delivery) error {
	raw := m.Type == typeNotification && doc.Attributes["RawMessageDelivery"] == "true"
	body := m.Text
	if !raw {
		signer, err := r.signing(ctx)
		if err != nil {
			return err
		}
		if body, err = m.envelope(signer, about.Attributes["SignatureVersion"], r.deps.PublicURL()+pathPrefix, subscriptionARN(s)); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Endpoint, strings.NewReader(body))
	if err != nil {
		return courier.GiveUp(err)
	}
	h := req.Header
	h.Set("User-Agent", "Amazon Simple Notification Service Agent")
	h.Set("Content-Type", p.contentType)
	h["x-amz-sns-message-type"] = []string{m.Type}
	h["x-amz-sns-message-id"] = []string{m.ID}
	h["x-amz-sns-topic-arn"] = []string{m.Topic}
	if m.Type == typeNotification {
		h["x-amz-sns-subscription-arn"] = []string{subscriptionARN(s)}
	}
	if raw {
		h["x-amz-sns-rawdelivery"] = []string{"true"}
	}
	answer, err := r.client.Do(req)
	if err != nil {
		var address *url.Error
		if errors.As(err, &address) {
			err = address.Err // without the URL, which may hold a password
		}
		if errors.Is(err, egress.ErrPrivate) {
			return courier.GiveUp(err)
		}
		return err
	}
	defer answer.Body.Close()
	// What it says does not matter; a little is read so that the connection serves again.
	_, _ = io.CopyN(io.Discard, answer.Body, 4<<10)
	switch code := answer.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests || code >= 500:
		return fmt.Errorf("the endpoint answered %s", answer.Status)
	default:
		return courier.GiveUp(fmt.Errorf("the endpoint answered %s, which is not tried again", answer.Status))
	}
}
