package codepipeline

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

const (
	// maxDelivery is what GitHub sends at most.
	maxDelivery = 25 << 20
	// maxDeliveries bounds the deliveries that are read at one time, three quarters of them of one
	// account, and with maxDelivery the memory they take.
	maxDeliveries = 8
	// deliveryTime is how long a sender may take for its body.
	deliveryTime = 30 * time.Second
	// turnTime is how long a delivery waits for others.
	turnTime = 10 * time.Second
	// KeepDeliveries is how long the id of a delivery is remembered.
	KeepDeliveries = 30 * 24 * time.Hour
)

// reply is how a delivery is answered: a status and a line for whoever sent it.
type reply struct {
	status int
	text   string
}

func accepted(format string, args ...any) reply {
	return reply{http.StatusOK, fmt.Sprintf(format, args...)}
}

// ServeWebhook answers deliveries to webhooks: 200 if the pipeline was started or the
// delivery is ignored, 403 if it is not from whom it should be, 404 if there is no such
// webhook, or no such pipeline any more (AQ-7).
func (r *Room) ServeWebhook(w http.ResponseWriter, req *http.Request) {
	said, err := r.deliver(w, req)
	if err != nil {
		if req.Context().Err() == nil && r.Log != nil {
			r.Log.ErrorContext(req.Context(), "webhook: the delivery failed", slog.Any("error", err))
		}
		said = reply{http.StatusInternalServerError, "The delivery failed inside the server; send it again."}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(said.status)
	_, _ = io.WriteString(w, said.text+"\n")
}

func (r *Room) deliver(w http.ResponseWriter, req *http.Request) (reply, error) {
	ctx := req.Context()
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return reply{http.StatusMethodNotAllowed, "Webhooks take POST only."}, nil
	}
	token := req.URL.Query().Get("t")
	var hook store.Webhook
	err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		if len(token) > 100 || !plainToken.MatchString(token) {
			return store.ErrNotFound
		}
		hook, err = tx.WebhookByToken(ctx, token)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return reply{http.StatusNotFound, "There is no such webhook."}, nil
	}
	if err != nil {
		return reply{}, err
	}
	d, err := webhookDefinition(hook)
	if err != nil {
		return reply{}, err
	}
	if d.Authentication == allowedIP && !inRange(req.RemoteAddr, d.AuthenticationConfiguration.AllowedIPRange) {
		return r.refuseDelivery(ctx, hook, http.StatusForbidden, "The delivery did not come from the allowed range of addresses.")
	}
	waiting, stop := context.WithTimeout(ctx, turnTime)
	defer stop()
	leave, err := r.deliveries.Take(waiting, hook.Account)
	if err != nil {
		w.Header().Set("Retry-After", "5")
		return reply{http.StatusServiceUnavailable, "Too many deliveries at once; send it again."}, nil
	}
	defer leave()
	// Not every connection has a deadline; the size is bounded in any case.
	wire := http.NewResponseController(w)
	_ = wire.SetReadDeadline(time.Now().Add(deliveryTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxDelivery))
	_ = wire.SetReadDeadline(time.Time{})
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return reply{http.StatusRequestEntityTooLarge, "The delivery is too large."}, nil
	}
	if err != nil {
		return reply{http.StatusBadRequest, "The delivery could not be read."}, nil
	}
	if d.Authentication == githubHMAC && !signedBy(string(hook.Secret), req.Header, body) {
		return r.refuseDelivery(ctx, hook, http.StatusForbidden, "The signature of the delivery does not fit the secret token of the webhook.")
	}
	if req.Header.Get("X-Github-Event") == "ping" {
		return accepted("pong"), nil
	}
	return r.trigger(ctx, hook, d, req.Header, body)
}

var plainToken = regexp.MustCompile(`^[A-Z0-9]+$`)

// trigger starts the target of a delivery that is genuine, if its filters match.
func (r *Room) trigger(ctx context.Context, hook store.Webhook, d *api.WebhookDefinition, header http.Header, body []byte) (reply, error) {
	payload, err := payloadOf(header.Get("Content-Type"), body)
	if err != nil {
		return r.refuseDelivery(ctx, hook, http.StatusBadRequest, "The delivery is neither JSON nor a form with a payload of JSON.")
	}
	said, err := reply{}, error(nil)
	subject := "a delivery to the webhook " + hook.Name
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		if now, err := tx.WebhookByToken(ctx, hook.Token); err != nil {
			return err // deleted meanwhile
		} else if d, err = webhookDefinition(now); err != nil {
			return err
		}
		p, err := tx.FindPipeline(ctx, hook.Account, hook.Region, d.TargetPipeline)
		if err != nil {
			return err
		}
		s, err := tx.LoadState(ctx, p.ID)
		if err != nil {
			return err
		}
		a, ok := s.Current().Stages[0].Action(d.TargetAction)
		if !ok {
			return store.ErrNotFound
		}
		if problem := filtered(d.Filters, a.Configuration, payload); problem != "" {
			said = accepted("ignored: %s", problem)
			return tx.PutSourceEvent(ctx, p.ID, subject, said.text)
		}
		if id := header.Get("X-Github-Delivery"); id != "" {
			fresh, err := tx.TakeDelivery(ctx, hook.Token, digest(id), KeepDeliveries)
			if err != nil {
				return err
			}
			if !fresh {
				said = accepted("ignored: this delivery has been acted on before")
				return tx.PutSourceEvent(ctx, p.ID, subject, said.text)
			}
		}
		after, err := r.Conductor.StepTx(ctx, tx, p.ID, s, engine.Start{Detected: true,
			Trigger: pipeline.Trigger{Type: pipeline.TriggerWebhook, Detail: pipeline.WebhookARN(hook.Region, hook.Account, hook.Name)}}) // S-92
		if err != nil {
			return err
		}
		said = accepted("started the pipeline %s: execution %s", d.TargetPipeline, after.Started)
		if err := tx.PutSourceEvent(ctx, p.ID, subject, said.text); err != nil {
			return err
		}
		return tx.WebhookTriggered(ctx, hook.Token)
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return r.refuseDelivery(ctx, hook, http.StatusNotFound,
			fmt.Sprintf("There is no pipeline '%s' with a source action '%s' any more.", d.TargetPipeline, d.TargetAction))
	case fault.Code(err) != "":
		return r.refuseDelivery(ctx, hook, http.StatusConflict, err.Error())
	}
	return said, err
}

// refuseDelivery answers a delivery that does not start anything for a reason the owner of
// the webhook should know, and keeps the reason (S-251).
func (r *Room) refuseDelivery(ctx context.Context, hook store.Webhook, status int, text string) (reply, error) {
	code := strconv.Itoa(status)
	if hook.ErrorCode == code && hook.ErrorMessage == text { // whoever sends rubbish causes no writes
		return reply{status, text}, nil
	}
	return reply{status, text}, r.DB.Update(ctx, func(tx *store.Tx) error { return tx.WebhookFailed(ctx, hook.Token, code, text) })
}

// filtered says which filter the payload does not pass; "" if it passes all (S-250).
func filtered(filters []api.WebhookFilterRule, configuration map[string]string, payload any) string {
	for _, f := range filters {
		path, err := parsePath(f.JsonPath)
		if err != nil {
			return err.Error()
		}
		found := path.find(payload)
		if len(found) == 0 {
			return f.JsonPath + " selects nothing"
		}
		if f.MatchEquals == "" {
			continue
		}
		want, matches := filled(f.MatchEquals, configuration), false
		for _, v := range found {
			text, ok := scalar(v)
			matches = matches || ok && text == want
		}
		if !matches {
			return fmt.Sprintf("%s is not what the filter wants (%s)", f.JsonPath, f.MatchEquals)
		}
	}
	return ""
}

var placeholder = regexp.MustCompile(`\{[^{}]+\}`)

// filled replaces {Key} by that configuration value of the target action; what names none
// stays (S-250).
func filled(text string, configuration map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(key string) string {
		if v, ok := configuration[key[1:len(key)-1]]; ok {
			return v
		}
		return key
	})
}

// payloadOf decodes the body of a delivery: JSON, or a form with the JSON in payload.
func payloadOf(contentType string, body []byte) (any, error) {
	if kind, _, err := mime.ParseMediaType(contentType); err == nil && kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		body = []byte(form.Get("payload"))
	}
	if len(bytes.TrimSpace(body)) == 0 { // some senders only ring the bell
		return map[string]any{}, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return v, nil
}

// signedBy verifies GitHub's signature of the body. If there is the better one, it decides
// (S-249).
func signedBy(secret string, header http.Header, body []byte) bool {
	check := func(text, name string, algorithm func() hash.Hash) bool {
		digest, ok := strings.CutPrefix(text, name+"=")
		got, err := hex.DecodeString(digest)
		mac := hmac.New(algorithm, []byte(secret))
		mac.Write(body)
		return ok && err == nil && hmac.Equal(got, mac.Sum(nil))
	}
	if text := header.Get("X-Hub-Signature-256"); text != "" {
		return check(text, "sha256", sha256.New)
	}
	return check(header.Get("X-Hub-Signature"), "sha1", sha1.New)
}

// inRange says whether a peer's address is inside a CIDR block.
func inRange(peer, block string) bool {
	from, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	prefix, err := parseRange(block)
	return err == nil && prefix.Contains(from.Addr().Unmap().WithZone(""))
}

// digest bounds an id that somebody else has chosen.
func digest(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:])
}
