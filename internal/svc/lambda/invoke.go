package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	api "penstock/internal/api/lambda"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// maxLater is the most bytes of an event that is to be run later.
	maxLater = 1 << 20
	// queue is that of the deliveries of such events.
	queue = "lambda"
	// longest bounds one attempt: the start of a process and its longest time.
	longest = 900*time.Second + initTime + 30*time.Second
	// maxWait is how old an event gets before it is given up.
	maxWait = 6 * time.Hour
	// maxIdle is how many processes without work are kept.
	maxIdle = 32
)

// invocation is one event on its way through a process.
type invocation struct {
	id, arn, trace, client string
	payload                []byte
	begun                  time.Time     // guarded by the instance
	taken                  chan struct{} // closed when the runtime has it
	done                   chan outcome  // gets one
	answered               bool          // done has got it; for whose turn it is to read
}

// outcome is how an invocation ended. failure is "" or the kind of a function's error.
type outcome struct {
	payload []byte
	failure string
	log     []byte
}

// fails is the outcome of an invocation that the function itself could not answer.
func fails(kind, format string, args ...any) outcome {
	body, err := json.Marshal(map[string]string{"errorType": kind, "errorMessage": fmt.Sprintf(format, args...)})
	if err != nil {
		body = []byte("{}")
	}
	return outcome{payload: body, failure: "Unhandled"}
}

// later is an event that is to be run, as its row keeps it.
type later struct {
	Account   string `json:"account"`
	Region    string `json:"region"`
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"`
	Client    string `json:"client,omitempty"`
	Payload   []byte `json:"payload"`
}

// Invoke runs a function and waits for its answer, or keeps the event to have it run later, or
// only says whether it may be done. (N-16)
func (r *Room) Invoke(ctx context.Context, in *api.InvokeInput) (*api.InvokeOutput, error) {
	n, err := named(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := r.mayInvoke(ctx, n); err != nil {
		return nil, err
	}
	switch {
	case in.DurableExecutionName != "":
		return nil, unsupported("DurableExecutionName")
	case in.TenantId != "":
		return nil, unsupported("TenantId")
	case len(in.Payload) > 0 && !json.Valid(in.Payload):
		return nil, fault.New("InvalidRequestContentException", "Could not parse request body into json: the payload is not valid JSON")
	case in.InvocationType == "Event" && len(in.Payload) > maxLater:
		return nil, fault.New("RequestTooLargeException", "%d byte payload is too large for the Event invocation type (limit %d bytes)", len(in.Payload), maxLater)
	}
	client, err := base64.StdEncoding.DecodeString(in.ClientContext)
	if err != nil || len(client) > 0 && !json.Valid(client) || strings.ContainsAny(string(client), "\r\n") {
		return nil, fault.New("InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object in one line.")
	}
	payload := in.Payload
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	var v version
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error { v, err = n.resolve(ctx, tx); return err }); err != nil {
		return nil, err
	}
	switch in.InvocationType {
	case "DryRun":
		return &api.InvokeOutput{StatusCode: new(int32(204))}, nil
	case "Event":
		l := later{n.account, n.region, n.function, n.qualifier, string(client), payload}
		return &api.InvokeOutput{StatusCode: new(int32(202))}, r.keep(ctx, n, l)
	}
	select {
	case r.slots <- struct{}{}:
	default:
		return nil, fault.New("TooManyRequestsException", "Rate Exceeded.")
	}
	out, err := r.run(context.WithoutCancel(ctx), &v, newInvocation(auth.NewUUID(), n, payload, string(client)))
	<-r.slots
	if err != nil {
		return nil, asFault(err, n)
	}
	answer := &api.InvokeOutput{StatusCode: new(int32(200)), FunctionError: out.failure, ExecutedVersion: versionText(v.Number), Payload: out.payload}
	if in.LogType == "Tail" {
		answer.LogResult = base64.StdEncoding.EncodeToString(out.log)
	}
	return answer, nil
}

func newInvocation(id string, n name, payload []byte, client string) *invocation {
	return &invocation{id: id, arn: n.arn(), client: client, payload: payload, taken: make(chan struct{}), done: make(chan outcome, 1),
		trace: fmt.Sprintf("Root=1-%08x-%s;Sampled=0", time.Now().Unix(), randomHex(12))}
}

var errShutdown = errors.New("the server is being shut down")

// asFault says to a caller why a function was not run.
func asFault(err error, n name) error {
	var known *fault.Error
	switch {
	case errors.Is(err, errRole):
		return fault.New("AccessDeniedException", "The role defined for the function cannot be assumed by Lambda.")
	case errors.Is(err, errShutdown):
		return fault.New("ServiceException", "The function was not run: the server is being shut down")
	case errors.As(err, &known):
		return known
	}
	return fmt.Errorf("lambda: %s: %w", n.bare(), err)
}

// run has a process run an invocation: one that is idle, or a new one. The caller holds a slot.
func (r *Room) run(ctx context.Context, v *version, inv *invocation) (outcome, error) {
	select {
	case <-r.ready: // what a start clears away is gone
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
	i, err := r.instance(ctx, v)
	if err != nil {
		return outcome{}, err
	}
	out, reusable := i.do(inv)
	if !reusable {
		i.close()
	} else {
		r.release(i)
	}
	r.mu.Lock()
	closed := r.closed
	r.mu.Unlock()
	if closed && out.failure != "" {
		return outcome{}, errShutdown
	}
	return out, nil
}

// instance gives a process for a version that nobody else has.
func (r *Room) instance(ctx context.Context, v *version) (*instance, error) {
	key := v.name().bare() + ":" + versionText(v.Number) + ":" + v.Revision
	for {
		r.mu.Lock()
		if r.closed {
			r.mu.Unlock()
			return nil, errShutdown
		}
		list := r.idle[key]
		if len(list) == 0 {
			r.ends.Add(1)
			r.mu.Unlock()
			break
		}
		i := list[len(list)-1]
		r.idle[key] = list[:len(list)-1]
		i.rest.Stop()
		r.mu.Unlock()
		select {
		case <-i.gone:
		default:
			if time.Since(i.born) < maxAge {
				return i, nil
			}
		}
		i.close()
	}
	i, err := r.start(ctx, v, key)
	if err != nil {
		r.ends.Done()
		return nil, err
	}
	r.mu.Lock()
	r.live[i] = true
	closed := r.closed
	r.mu.Unlock()
	if closed {
		i.close()
		return nil, errShutdown
	}
	return i, nil
}

// release keeps a process for the next invocation, for a while.
func (r *Room) release(i *instance) {
	r.mu.Lock()
	n := 0
	for _, list := range r.idle {
		n += len(list)
	}
	if r.closed || n >= maxIdle {
		r.mu.Unlock()
		i.close()
		return
	}
	i.rest = time.AfterFunc(r.deps.KeepIdle, func() {
		if r.unpick(i) {
			i.close()
		}
	})
	r.idle[i.key] = append(r.idle[i.key], i)
	r.mu.Unlock()
}

// unpick takes a process out of the idle ones, if it is one.
func (r *Room) unpick(i *instance) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := slices.Index(r.idle[i.key], i)
	if at >= 0 {
		r.idle[i.key] = slices.Delete(r.idle[i.key], at, at+1)
	}
	return at >= 0
}

// retire ends the idle processes of a function that has changed; those at work end when they
// are found to be of an older revision.
func (r *Room) retire(n name) {
	r.mu.Lock()
	var old []*instance
	for key, list := range r.idle {
		if strings.HasPrefix(key, n.bare()+":") {
			old = append(old, list...)
			delete(r.idle, key)
		}
	}
	r.mu.Unlock()
	for _, i := range old {
		go i.close()
	}
}

// keep makes an event durable before anybody is told that it will be run.
func (r *Room) keep(ctx context.Context, n name, l later) error {
	if r.deps.DB.Full() {
		return store.ErrFull // an event may be a megabyte of the room that is kept for what cannot wait
	}
	doc, err := json.Marshal(l)
	if err != nil {
		return err
	}
	id := auth.NewUUID()
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.InsertDelivery(ctx, store.Delivery{Queue: queue, ID: id, Lane: id, Target: n.bare(), Doc: string(doc)})
	})
}

// functionFailed is an invocation that the function answered with an error.
type functionFailed struct{ text string }

// Error gives the answer's beginning.
func (f functionFailed) Error() string { return "the function failed: " + f.text }

// deliver runs an event that was kept.
func (r *Room) deliver(ctx context.Context, d store.Delivery) error {
	var l later
	if err := json.Unmarshal([]byte(d.Doc), &l); err != nil {
		return courier.GiveUp(err)
	}
	n := name{account: l.Account, region: l.Region, function: l.Function, qualifier: l.Qualifier}
	var v version
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) { v, err = n.resolve(ctx, tx); return err })
	if fault.Code(err) != "" {
		return courier.GiveUp(err)
	}
	if err != nil {
		return err
	}
	type end struct {
		out outcome
		err error
	}
	ended := make(chan end, 1)
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	go func() {
		defer func() { <-r.slots }()
		out, err := r.run(context.WithoutCancel(ctx), &v, newInvocation(d.ID, n, l.Payload, l.Client))
		ended <- end{out, err}
	}()
	var e end
	select {
	case e = <-ended:
	case <-ctx.Done():
		return ctx.Err() // the process ends with the room, and the event is run again
	}
	switch {
	case e.err != nil:
		return e.err
	case e.out.failure != "":
		return functionFailed{string(e.out.payload[:min(len(e.out.payload), 200)])}
	}
	return nil
}

// again has Lambda's two retries of a function that failed, after one and two minutes, and tries
// what was not run at all until the event is too old.
func again(d store.Delivery, err error) (time.Duration, bool) {
	old := time.Since(d.Created) > maxWait
	if errors.As(err, new(functionFailed)) {
		return time.Duration(d.Attempts+1) * time.Minute, d.Attempts < 2 && !old
	}
	return min(time.Second<<min(d.Attempts, 9), 5*time.Minute), !old
}
