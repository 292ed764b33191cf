package hostagent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Statuses of commands.
const (
	succeeded = "Succeeded"
	failed    = "Failed"
)

// stale is the age at which nobody waits for the end of a command any more.
const stale = 24 * time.Hour

// report is the end of a command, as the server is told. While the command runs it has no
// status.
type report struct {
	HostCommandIdentifier, CommandStatus, Payload string
}

// handle does one command, from asking what it is about to the report of its end.
func (a *agent) handle(c command, acknowledged func()) {
	defer acknowledged()
	log := a.cfg.Log.With("command", c.CommandName, "id", c.HostCommandIdentifier)
	d, err := a.specification(c)
	noop := false
	if err == nil {
		noop, err = a.noop(c.CommandName, d)
	}
	if err != nil {
		log.Error("command failed", "error", err)
		a.deliver(a.failure(c, err, ""), "")
		return
	}
	log = log.With("deployment", d.id)
	status, err := a.acknowledge(c, noop)
	acknowledged()
	switch {
	case err != nil:
		log.Error("command failed", "error", err)
		a.deliver(a.failure(c, err, ""), "")
		return
	case status == failed && noop:
		a.deliver(report{c.HostCommandIdentifier, succeeded, diagnostics(codeSuccess, "", "Succeeded: CompletedNoopCommand", "")}, "")
		return
	case status == succeeded || status == failed:
		return // somebody has ended it
	}
	tracking := a.ongoing(d.id + "-" + digest(c.HostCommandIdentifier))
	if err := a.track(report{HostCommandIdentifier: c.HostCommandIdentifier}, tracking); err != nil {
		a.deliver(a.failure(c, err, ""), "")
		return
	}
	log.Info("command begins")
	var output tail
	r := report{HostCommandIdentifier: c.HostCommandIdentifier, CommandStatus: succeeded}
	// What has begun is finished, also when the agent is to stop.
	if err := a.execute(context.WithoutCancel(a.stopping), c.CommandName, d, &output); err != nil {
		log.Error("command failed", "error", err)
		r = a.failure(c, err, string(output.text))
	} else {
		log.Info("command succeeded")
		r.Payload = diagnostics(codeSuccess, "", "Succeeded: ", string(output.text))
	}
	// Should the server be away until the agent stops, the next one knows how it ended.
	if err := a.track(r, tracking); err != nil {
		log.Error("the end of the command cannot be noted", "error", err)
	}
	a.deliver(r, tracking)
}

// failure is the report of a command that failed.
func (a *agent) failure(c command, err error, log string) report {
	var script *scriptError
	if !errors.As(err, &script) {
		script = &scriptError{code: codeUnknown, message: err.Error()}
	}
	return report{c.HostCommandIdentifier, failed, diagnostics(script.code, script.script, script.message, log)}
}

// execute does what a command says.
func (a *agent) execute(ctx context.Context, name string, d *deployment, log *tail) error {
	if err := os.MkdirAll(a.dir(d), 0o755); err != nil {
		return err
	}
	switch {
	case name == "DownloadBundle":
		return a.download(ctx, d)
	case name == "Install":
		return a.install(ctx, d)
	case isHook(name):
		return a.hook(ctx, name, d, log)
	}
	return sentence("Unsupported command type: %s.", clip(name))
}

// noop says whether a command would do nothing.
func (a *agent) noop(name string, d *deployment) (bool, error) {
	switch {
	case name == "DownloadBundle" || name == "Install":
		return false, nil
	case !isHook(name):
		return true, nil
	}
	scripts, _, err := a.scripts(name, d)
	return len(scripts) == 0, err
}

// ongoing is a file that is there while a command runs. The name has the deployment, and
// tells its commands apart: the next may begin before the file of the last one is gone.
func (a *agent) ongoing(name string) string {
	return filepath.Join(a.cfg.Root, ongoingDir, name)
}

func digest(id string) string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:8])
}

func (a *agent) track(r report, file string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return replace(file, text)
}

// deliver reports the end of a command and forgets it, unless the agent stops while the
// server is away.
func (a *agent) deliver(r report, tracking string) {
	err := a.complete(r)
	if err != nil {
		a.cfg.Log.Error("the end of a command cannot be reported", "id", r.HostCommandIdentifier, "status", r.CommandStatus, "error", err)
	}
	var no *refusal
	if tracking != "" && (err == nil || errors.As(err, &no) && no.final()) {
		os.Remove(tracking)
	}
}

// recover reports what was going on when an agent before this one ended: the commands that
// it had finished as they ended, the others as failed. (D.1, D.4)
func (a *agent) recover() {
	entries, err := os.ReadDir(a.ongoing(""))
	if err != nil {
		a.cfg.Log.Error("cannot look for interrupted commands", "error", err)
	}
	for _, e := range entries {
		name := a.ongoing(e.Name())
		info, err := e.Info()
		text, readErr := os.ReadFile(name)
		var r report
		if err != nil || readErr != nil || strings.HasPrefix(e.Name(), ".") || time.Since(info.ModTime()) > stale ||
			json.Unmarshal(text, &r) != nil || r.HostCommandIdentifier == "" {
			os.Remove(name)
			continue
		}
		if r.CommandStatus == "" {
			a.cfg.Log.Warn("an agent before this one was interrupted in a command", "file", e.Name(), "id", r.HostCommandIdentifier)
			r.CommandStatus = failed
			r.Payload = diagnostics(codeFailedAfterRestart, "", "Failed: Failing in-progress lifecycle event after an agent restart.", "")
		}
		a.deliver(r, name)
	}
}
