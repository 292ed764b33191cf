package cloudtrail

import (
	"context"
	"net"
	"net/http"
	"strings"

	wire "penstock/internal/api"
	"penstock/internal/auth"
	"penstock/internal/store"
)

// reading are the beginnings of the names of operations that change nothing.
var reading = []string{
	"Get", "List", "Describe", "BatchGet", "BatchDescribe", "Lookup", "Filter", "Test", "Validate", "Explain", "Simulate", "Head", "Search", "Evaluate", "Decode",
	// A poll hands a job out; what the worker then does with it is recorded.
	"Poll",
}

// data are the operations that CloudTrail calls data events and does not record unless told
// to: they are too many, and what they carry is kept elsewhere.
var data = map[string]bool{
	"logs.PutLogEvents": true, "sns.Publish": true, "sns.PublishBatch": true, "events.PutEvents": true, "lambda.Invoke": true, "lambda.InvokeAsync": true,
	"codedeploycommands.PutHostCommandAcknowledgement": true, "codedeploycommands.PutHostCommandComplete": true, "codedeploycommands.PostHostCommandUpdate": true,
	"codeconnections.UseConnection": true, "codestarconnections.UseConnection": true,
}

// recorded says whether calls of an operation go into the log.
func recorded(service, name string) bool {
	if data[service+"."+name] {
		return false
	}
	for _, prefix := range reading {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// Around records the calls of a service that change something; it is the services' Around.
func (r *Room) Around(ctx context.Context, c *wire.Call, answer func(context.Context) error) error {
	if !recorded(c.Service.Name, c.Operation.Name) {
		return answer(ctx)
	}
	return r.Record(ctx, c.Service.Scope, c.Operation.Name, c.Request(), func(ctx context.Context) (map[string]any, error) {
		err := answer(ctx)
		return c.Response(), err
	})
}

// Record runs what a caller asked for and records it: with the first change in the database that
// run makes under its context, in the same transaction; if it makes none, when it has
// succeeded and before Record returns. source is a credential scope name, such as s3. A call
// that is refused is recorded a moment later, and not at all once its caller was refused too
// often in this minute.
func (r *Room) Record(ctx context.Context, source, name string, request map[string]any, run func(context.Context) (map[string]any, error)) error {
	e := r.begin(ctx, source, name, request)
	intent := &store.Intent{Record: func(facts map[string]any) store.AuditRecord {
		begun := *e
		begun.end(nil, facts, nil)
		return begun.row()
	}}
	response, err := run(store.WithIntent(ctx, intent))
	stored, facts := intent.End()
	e.end(response, facts, err)
	switch {
	case stored:
		r.put(ctx, finished{e.row(), true})
	case err != nil:
		if r.limit.allow(e.EventTime, e.UserIdentity.ARN, false) {
			r.put(ctx, finished{e.row(), false})
		}
	default:
		return r.deps.DB.Update(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutAudit(ctx, e.row(), false) })
	}
	return err
}

// Refused records that somebody could not prove who he is. There are few such records a
// minute, whatever arrives: who has no credentials must not fill the disk.
func (r *Room) Refused(req *http.Request, source, name string, refusal error) {
	address, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		address = req.RemoteAddr
	}
	e := r.blank(source, name, r.deps.Account, r.deps.Region)
	if !r.limit.allow(e.EventTime, address, true) {
		return
	}
	e.UserIdentity = identity{Type: "Unknown", AccessKeyID: text(auth.ClaimedKey(req))}
	e.SourceIPAddress, e.UserAgent, e.RequestID = text(address), text(req.UserAgent()), wire.RequestID(req.Context())
	e.end(nil, nil, refusal)
	r.put(req.Context(), finished{e.row(), false})
}
