package codedeploy

import (
	"slices"
	"time"

	api "penstock/internal/api/codedeploy"
)

// lifecycle are the events of an in-place deployment without a load balancer, in their order (C.1).
var lifecycle = []string{applicationStop, "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService"}

const applicationStop = "ApplicationStop"

const (
	// pickTime is how long an instance may take to acknowledge a command, eventTime how long it
	// may then be silent: an hour for its scripts, and a while to report.
	pickTime  = 5 * time.Minute
	eventTime = time.Hour + pickTime
	// offerAgain is when a command that was handed out and not acknowledged is handed out again.
	offerAgain = time.Minute
	// wholeTime bounds a deployment.
	wholeTime = 8 * time.Hour
)

// target is an instance of a deployment: what its row keeps.
type target struct {
	// Healthy and Deployed are what was known of it before: how the last deployment ended, and
	// when one succeeded.
	Healthy  bool      `json:"healthy,omitempty"`
	Deployed time.Time `json:"deployed,omitzero"`

	Status  string               `json:"status"`
	Updated time.Time            `json:"updated,omitzero"`
	Events  []api.LifecycleEvent `json:"events"`
	// Nonce counts the times that a command was handed out; Taken is the nonce of the one that
	// is acknowledged.
	Nonce int64 `json:"nonce,omitempty"`
	Taken int64 `json:"taken,omitempty"`
	// Silent says that it failed because nothing was heard of it, Touched that the instance
	// has done something, Last that nothing follows the event in progress.
	Silent  bool `json:"silent,omitempty"`
	Touched bool `json:"touched,omitempty"`
	Last    bool `json:"last,omitempty"`

	offer, due time.Time
}

// begin has the instance get its first command.
func (t *target) begin(now time.Time) {
	t.Status = inProgress
	t.Events = make([]api.LifecycleEvent, len(lifecycle))
	for i, name := range lifecycle {
		t.Events[i] = api.LifecycleEvent{LifecycleEventName: name, Status: pending}
	}
	t.expect(now)
}

// expect offers the command of the current event.
func (t *target) expect(now time.Time) {
	t.Updated, t.offer, t.due, t.Taken = now, now, now.Add(pickTime), 0
}

// current is the event that is not over; nil if the target has ended or not begun.
func (t *target) current() *api.LifecycleEvent {
	if t.Status != inProgress {
		return nil
	}
	i := slices.IndexFunc(t.Events, func(e api.LifecycleEvent) bool { return e.Status == pending || e.Status == inProgress })
	return &t.Events[i]
}

// handOut notes that the instance is told its command.
func (t *target) handOut(now time.Time) {
	t.Nonce++
	t.offer = now.Add(offerAgain)
}

// mine says whether a nonce belongs to the command that counts: the one that was acknowledged, else
// the newest.
func (t *target) mine(nonce int64) bool {
	return nonce > 0 && (nonce == t.Taken || t.Taken == 0 && nonce == t.Nonce)
}

// acknowledge has the instance begin the current event; one for which it has nothing to do is over
// with that.
func (t *target) acknowledge(nonce int64, noop, ignoreStop bool, now time.Time) {
	e := t.current()
	if t.Taken == 0 {
		t.Taken, t.Touched = nonce, true
		e.Status, e.StartTime = inProgress, &now
		t.Updated, t.offer, t.due = now, time.Time{}, now.Add(eventTime)
	}
	if noop {
		t.complete(succeeded, &api.Diagnostics{ErrorCode: "Success", Message: "Succeeded"}, ignoreStop, now)
	}
}

// complete ends the current event as the instance says, and the target with the last one or with
// one that failed; what follows is skipped then (C.1). A failure to stop the old application may be
// ignored.
func (t *target) complete(status string, d *api.Diagnostics, ignoreStop bool, now time.Time) {
	e := t.current()
	if e.StartTime == nil {
		e.StartTime = &now
	}
	e.Status, e.EndTime, e.Diagnostics = status, &now, d
	t.Touched = true
	switch {
	case status == failed && !(ignoreStop && e.LifecycleEventName == applicationStop && !t.Silent):
		t.end(failed, now)
	case t.Events[len(t.Events)-1].Status == succeeded:
		t.end(succeeded, now)
	case t.Last:
		t.end(skipped, now)
	default:
		t.expect(now)
	}
}

// expire fails the current event of an instance that is silent for too long.
func (t *target) expire(now time.Time) {
	message := "The instance has not taken the command of the lifecycle event " + t.current().LifecycleEventName + " in 5 minutes. Make sure that its agent runs, can reach this server and is the registered user or role."
	if t.Taken > 0 {
		message = "The instance took the command of the lifecycle event " + t.current().LifecycleEventName + " and has not reported its end in an hour and 5 minutes. Look at its agent's log."
	}
	t.Silent = true
	t.complete(failed, &api.Diagnostics{ErrorCode: "UnknownError", Message: message}, false, now)
}

// halt ends the target after the event that the instance is busy with; at once if it is with none.
func (t *target) halt(now time.Time) {
	switch {
	case t.Status == pending:
		t.Events = []api.LifecycleEvent{}
		t.end(skipped, now)
	case t.Status == inProgress && t.Taken == 0:
		t.end(skipped, now)
	default:
		t.Last = true
	}
}

// end ends the target; events that are not over are skipped.
func (t *target) end(status string, now time.Time) {
	for i := range t.Events {
		if s := t.Events[i].Status; s == pending || s == inProgress {
			t.Events[i].Status = skipped
		}
	}
	t.Status, t.Updated, t.offer, t.due = status, now, time.Time{}, time.Time{}
}

// ended says whether the target has ended.
func (t *target) ended() bool { return t.Status != pending && t.Status != inProgress }
