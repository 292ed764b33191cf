package codedeploy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	api "penstock/internal/api/codedeploy"
	commands "penstock/internal/api/codedeploycommands"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// pollTime is how long an agent waits for a command in one request: less than the 80 seconds after
// which agents give up (D.1).
const pollTime = 50 * time.Second

const maxMessage = 4096 // of an agent

// asHost finds the instance that the caller is. There is no other permission: who is not the
// registered user or role of an instance has no commands here, whatever its policies allow.
func asHost(ctx context.Context, tx *store.Tx, operation, identifier string) (store.CodeDeployInstance, error) {
	c := auth.From(ctx)
	i, err := tx.CodeDeployInstanceOf(ctx, c.Account, c.Region, c.ARN)
	if errors.Is(err, store.ErrNotFound) || err == nil && identifier != i.ARN {
		return i, fault.New("AccessDeniedException",
			"User: %s is not authorized to perform: codedeploy-commands:%s on resource: %s. Only the IAM user or role session with which an on-premises instance is registered in this Region may, with its own ARN as HostIdentifier.",
			c.ARN, operation, identifier)
	}
	return i, err
}

func refuse(format string, args ...any) error { return fault.New("ClientException", format, args...) }

// A command is named DEPLOYMENT.EVENT.NONCE; whose it is follows from who calls.
type command struct {
	deployment, event string
	nonce             int64
}

func (c command) String() string { return fmt.Sprintf("%s.%s.%d", c.deployment, c.event, c.nonce) }

var commandForm = regexp.MustCompile(`^(d-[A-Z0-9]{9})\.([A-Za-z]{1,40})\.([0-9]{1,18})$`)

func parseCommand(text string) (command, error) {
	m := commandForm.FindStringSubmatch(text)
	if m == nil {
		return command{}, refuse("HostCommandIdentifier %q is not one that this server has given.", text)
	}
	nonce, err := strconv.ParseInt(m[3], 10, 64)
	return command{m[1], m[2], nonce}, err
}

// executionID names a deployment to agents, and its last part is the deployment's id.
func executionID(region, id string) string { return "CodeDeploy/" + region + "/penstock/" + id }

// PollHostCommand gives the instance its next command, if there is one or comes one in a while.
func (r *Room) PollHostCommand(ctx context.Context, in *commands.PollHostCommandInput) (*commands.PollHostCommandOutput, error) {
	var i store.CodeDeployInstance
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		i, err = asHost(ctx, tx, "PollHostCommand", in.HostIdentifier)
		return err
	}); err != nil {
		return nil, err
	}
	woken, over, leave, ok := r.waiting.join(i.Account, i.Region, i.Name)
	if !ok {
		return nil, refuse("%d requests of the instance %s wait for a command already.", maxPolls, i.Name)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	for {
		out, wait, err := r.take(ctx, i)
		if out != nil || err != nil && ctx.Err() == nil {
			return out, err
		}
		timer := time.NewTimer(wait)
		select {
		case <-woken:
		case <-timer.C:
		case <-over:
			cancel()
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			break
		}
	}
	return &commands.PollHostCommandOutput{}, nil
}

// take hands out the command that is offered to an instance, or says how long to wait for one.
func (r *Room) take(ctx context.Context, i store.CodeDeployInstance) (*commands.PollHostCommandOutput, time.Duration, error) {
	var seen store.CodeDeployTarget
	wait := time.Duration(0)
	err := r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		seen, err = tx.OfferedCodeDeployTarget(ctx, i.Account, i.Region, i.Name)
		wait = seen.Offer.Sub(tx.Now())
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, pollTime, nil
	}
	if err != nil || wait > 0 {
		return nil, wait, err
	}
	var out *commands.PollHostCommandOutput
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		out = nil
		x, row, t, err := r.openCommand(ctx, tx, i, seen.Deployment)
		if err != nil || t.offer.IsZero() || t.offer.After(tx.Now()) { // another request was faster
			return err
		}
		t.handOut(tx.Now())
		e := t.current()
		out = &commands.PollHostCommandOutput{HostCommand: &commands.HostCommandInstance{
			HostCommandIdentifier: command{row.Deployment, e.LifecycleEventName, t.Nonce}.String(), HostIdentifier: i.ARN,
			DeploymentExecutionId: executionID(i.Region, row.Deployment), CommandName: e.LifecycleEventName, Nonce: new(t.Nonce),
		}}
		return x.keep(ctx, row, t)
	})
	return out, 0, err
}

// openCommand opens the target that an instance is in a deployment, with the deployment.
func (r *Room) openCommand(ctx context.Context, tx *store.Tx, i store.CodeDeployInstance, id string) (*run, store.CodeDeployTarget, *target, error) {
	missing := func(err error) error {
		return orMissing(err, "ClientException", "The instance %s is in no deployment %s.", i.Name, id)
	}
	x, err := r.open(ctx, tx, i.Account, i.Region, id)
	if err != nil {
		return nil, store.CodeDeployTarget{}, nil, missing(err)
	}
	row, err := tx.GetCodeDeployTarget(ctx, i.Account, i.Region, id, i.Name)
	if err != nil {
		return nil, row, nil, missing(err)
	}
	t, err := openTarget(row)
	return x, row, t, err
}

// state gives the state of a command: of one that is overtaken by another, or whose event is
// skipped, Failed, so that the agent leaves it alone.
func (t *target) state(c command) (string, error) {
	i := slices.IndexFunc(t.Events, func(e api.LifecycleEvent) bool { return e.LifecycleEventName == c.event })
	if i < 0 {
		return "", refuse("HostCommandIdentifier %s is not one that this server has given.", c)
	}
	switch e := &t.Events[i]; {
	case e.Status == succeeded:
		return succeeded, nil
	case e.Status == failed || e.Status == skipped || e != t.current() || !t.mine(c.nonce):
		return failed, nil
	default:
		return e.Status, nil
	}
}

// report does what an instance reports of a command that it has to do, and gives the command's
// state afterwards; wrong is what is wrong with the request.
func (r *Room) report(ctx context.Context, operation, identifier string, wrong error, do func(t *target, nonce int64, ignoreStop bool, now time.Time)) (state string, err error) {
	c, err := parseCommand(identifier)
	wrong = cmp.Or(wrong, err)
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		i, err := asHost(ctx, tx, operation, auth.From(ctx).ARN)
		if err = cmp.Or(err, wrong); err != nil {
			return err
		}
		x, row, t, err := r.openCommand(ctx, tx, i, c.deployment)
		if err != nil {
			return err
		}
		if state, err = t.state(c); err != nil || state != pending && state != inProgress {
			return err
		}
		do(t, c.nonce, x.Info.IgnoreApplicationStopFailures != nil && *x.Info.IgnoreApplicationStopFailures, tx.Now())
		if state, err = t.state(c); err != nil {
			return err
		}
		if err := x.keep(ctx, row, t); err != nil {
			return err
		}
		if t.ended() {
			return x.settle(ctx)
		}
		return nil
	})
	return state, err
}

// PutHostCommandAcknowledgement says that the instance has a command and is about to do it, if the
// answer is Pending or InProgress. A lifecycle event for which it has no script is over with that.
func (r *Room) PutHostCommandAcknowledgement(ctx context.Context, in *commands.PutHostCommandAcknowledgementInput) (*commands.PutHostCommandAcknowledgementOutput, error) {
	noop := struct{ IsCommandNoop bool }{}
	if in.Diagnostics != nil && in.Diagnostics.Payload != "" {
		// What is no JSON says nothing of it.
		_ = json.Unmarshal([]byte(in.Diagnostics.Payload), &noop)
	}
	state, err := r.report(ctx, "PutHostCommandAcknowledgement", in.HostCommandIdentifier, nil, func(t *target, nonce int64, ignoreStop bool, now time.Time) {
		t.acknowledge(nonce, noop.IsCommandNoop, ignoreStop, now)
	})
	return &commands.PutHostCommandAcknowledgementOutput{CommandStatus: state}, err
}

// PutHostCommandComplete says how the instance has done a command. Saying so again is no error.
func (r *Room) PutHostCommandComplete(ctx context.Context, in *commands.PutHostCommandCompleteInput) (*commands.PutHostCommandCompleteOutput, error) {
	d, wrong := diagnostics(in.Diagnostics)
	if in.CommandStatus != succeeded && in.CommandStatus != failed {
		wrong = refuse("CommandStatus %q: a command that is complete has Succeeded or Failed.", in.CommandStatus)
	}
	_, err := r.report(ctx, "PutHostCommandComplete", in.HostCommandIdentifier, wrong, func(t *target, _ int64, ignoreStop bool, now time.Time) {
		t.complete(in.CommandStatus, d, ignoreStop, now)
	})
	return nil, err
}

// PostHostCommandUpdate tells the instance the state of its command.
func (r *Room) PostHostCommandUpdate(ctx context.Context, in *commands.PostHostCommandUpdateInput) (*commands.PostHostCommandUpdateOutput, error) {
	c, bad := parseCommand(in.HostCommandIdentifier)
	out := &commands.PostHostCommandUpdateOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		i, err := asHost(ctx, tx, "PostHostCommandUpdate", auth.From(ctx).ARN)
		if err = cmp.Or(err, bad); err != nil {
			return err
		}
		row, err := tx.GetCodeDeployTarget(ctx, i.Account, i.Region, c.deployment, i.Name)
		if err != nil {
			return orMissing(err, "ClientException", "The instance %s is in no deployment %s.", i.Name, c.deployment)
		}
		t, err := openTarget(row)
		if err != nil {
			return err
		}
		out.CommandStatus, err = t.state(c)
		return err
	})
}

// errorCodes are the names of the codes that agents report (D.1); others are UnknownError.
var errorCodes = []string{"Success", "ScriptMissing", "ScriptNotExecutable", "ScriptTimedOut", "ScriptFailed"}

// diagnostics reads what an agent says of a command.
func diagnostics(e *commands.Envelope) (*api.Diagnostics, error) {
	d := &api.Diagnostics{ErrorCode: "UnknownError"}
	if e == nil || e.Payload == "" {
		return d, nil
	}
	var said struct {
		Code    json.RawMessage `json:"error_code"`
		Script  string          `json:"script_name"`
		Message string          `json:"message"`
		Log     string          `json:"log"`
	}
	if err := json.Unmarshal([]byte(e.Payload), &said); err != nil {
		return nil, refuse("Diagnostics has no JSON object with error_code, script_name, message and log: %v", err)
	}
	if n, err := strconv.Atoi(string(said.Code)); err == nil && n >= 0 && n < len(errorCodes) {
		d.ErrorCode = errorCodes[n]
	}
	d.ScriptName, d.Message, d.LogTail = fit(said.Script), fit(said.Message), fit(said.Log)
	return d, nil
}

// fit makes any text fit for the database, and keeps the end of a long one.
func fit(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[len(s)-maxMessage:], "")
	}
	return s
}
