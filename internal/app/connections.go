package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"penstock/internal/arn"
	"penstock/internal/engine"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/svc/codeconnections"
	"penstock/internal/svc/codeconnections/fetch"
	"penstock/internal/svc/codepipeline"
)

// newConnections makes the room of connections to Git providers.
func (a *App) newConnections(r *rooms) (*codeconnections.Room, error) {
	var hosts []string
	for h := range strings.SplitSeq(a.cfg.ConnectionHosts, ",") {
		if h = strings.TrimSpace(h); h != "" {
			hosts = append(hosts, h)
		}
	}
	f, err := fetch.New(fetch.Config{Dir: filepath.Join(a.cfg.Data, "fetch"), Hosts: hosts, Files: a.cfg.ConnectionFiles})
	if err != nil {
		return nil, err
	}
	r.fetch = f
	return codeconnections.New(codeconnections.Deps{DB: a.db, Fetch: f, AWS: a.calls.asCaller, PublicURL: a.URL, Event: r.changes.gitEvent, Log: a.log}), nil
}

// gitEvent starts the pipelines that an event in a repository behind a connection starts
// (S-242, S-255…S-269), each at most once for a delivery. When it returns nil they have
// started. The lines say what came of the event for each pipeline that has a source action
// for the repository.
func (c *changes) gitEvent(ctx context.Context, delivery string, files codeconnections.Files, e pipeline.GitEvent) ([]string, error) {
	sum := sha256.Sum256([]byte(delivery))
	return c.happened(ctx, files, e, func(ctx context.Context, tx *store.Tx, id string) (bool, error) {
		if delivery == "" {
			return true, nil
		}
		return tx.TakeDelivery(ctx, id, hex.EncodeToString(sum[:]), codepipeline.KeepDeliveries)
	})
}

// happened is gitEvent with the way to tell whether the event is new to a pipeline; what claim
// writes is kept if the pipeline is started.
func (c *changes) happened(ctx context.Context, files codeconnections.Files, e pipeline.GitEvent, claim func(ctx context.Context, tx *store.Tx, pipelineID string) (bool, error)) ([]string, error) {
	watching, err := c.pipelines(ctx, e.Connection, func(_ *store.Tx, s store.Source) (bool, error) { return s.Detail == e.Repository, nil })
	if err != nil || len(watching) == 0 {
		return nil, err
	}
	if !e.FilesKnown && e.Commit != "" && (e.Kind == pipeline.GitPullRequest || !e.Created) {
		if err := c.lookAtFiles(ctx, watching, files, &e); err != nil {
			return nil, err
		}
	}
	var lines []string
	for _, id := range watching {
		line := ""
		if err := c.db.Update(ctx, func(tx *store.Tx) (err error) {
			line, err = c.startByEvent(ctx, tx, id, claim, e)
			if err == nil && line != "" {
				_, outcome, _ := strings.Cut(line, ": ")
				err = tx.PutSourceEvent(ctx, id, told(e), plain(outcome))
			}
			return err
		}); err != nil {
			return nil, err
		}
		if line != "" {
			c.log.Info("sources: a Git event", "connection", e.Connection, "repository", e.Repository, "commit", e.Commit, "outcome", line)
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// maxOutcome bounds what is kept of a reason.
const maxOutcome = 2000

// plain bounds a text with names from elsewhere in it.
func plain(text string) string {
	if len(text) > maxOutcome {
		text = text[:maxOutcome] + "…"
	}
	return text
}

// told names an event for people.
func told(e pipeline.GitEvent) string {
	return plain(strings.TrimSpace(fmt.Sprintf("%.12s on the ", e.Commit) + e.Subject() + " of " + e.Repository))
}

// lookAtFiles finds the changed files of an event if a filter asks for them. If they cannot
// be found they stay unknown, and the filter says so.
func (c *changes) lookAtFiles(ctx context.Context, watching []string, files codeconnections.Files, e *pipeline.GitEvent) error {
	needed := false
	if err := c.db.View(ctx, func(tx *store.Tx) error {
		for _, id := range watching {
			s, err := tx.ViewState(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			for _, t := range s.Current().Triggers {
				needed = needed || slices.ContainsFunc(t.GitConfiguration.Push, func(f pipeline.GitPushFilter) bool { return f.FilePaths != nil }) ||
					slices.ContainsFunc(t.GitConfiguration.PullRequest, func(f pipeline.GitPullRequestFilter) bool { return f.FilePaths != nil })
			}
		}
		return nil
	}); err != nil || !needed {
		return err
	}
	found, err := files(ctx)
	if err != nil {
		c.log.Warn("sources: cannot tell which files an event changed", "connection", e.Connection, "repository", e.Repository, "error", err)
		return ctx.Err()
	}
	e.Files, e.FilesKnown = found, true
	return nil
}

// startByEvent starts one pipeline, if one of its source actions asks for the event, with
// the commit of the event (S-93, S-234, S-267). The line says what came of it.
func (c *changes) startByEvent(ctx context.Context, tx *store.Tx, id string, claim func(context.Context, *store.Tx, string) (bool, error), e pipeline.GitEvent) (string, error) {
	s, err := tx.LoadState(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if connection, _ := arn.Parse(e.Connection); connection.Account != s.Account {
		return "", nil // a connection serves its own account
	}
	start, reasons := asks(s.Current(), e)
	if start == nil {
		return s.Name + ": not started: " + strings.Join(reasons, "; "), nil
	}
	if fresh, err := claim(ctx, tx, id); err != nil {
		return "", err
	} else if !fresh {
		return s.Name + ": not started: this delivery has been acted on before", nil
	}
	after, err := c.conductor.StepTx(ctx, tx, id, s, *start)
	if fault.Code(err) != "" {
		return s.Name + ": not started: " + err.Error(), nil
	}
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: started %s: %s", s.Name, after.Started, strings.Join(reasons, "; ")), nil
}

// asks gives the start that an event makes of a pipeline, nil if no source action asks for
// it, and the reasons either way.
func asks(d *pipeline.Declaration, e pipeline.GitEvent) (*engine.Start, []string) {
	var start *engine.Start
	var yes, no []string
	for i := range d.Stages[0].Actions {
		a := &d.Stages[0].Actions[i]
		if !pipeline.IsConnection(a.ActionTypeID) || a.Configuration["ConnectionArn"] != e.Connection || a.Configuration["FullRepositoryId"] != e.Repository {
			continue
		}
		matched, reason := false, ""
		trigger := pipeline.Trigger{Type: pipeline.TriggerWebhookV2, Detail: e.Detail()}
		if t := slices.IndexFunc(d.Triggers, func(t pipeline.TriggerDeclaration) bool { return t.GitConfiguration.SourceActionName == a.Name }); t >= 0 {
			matched, reason = pipeline.Matches(d.Triggers[t], a.Configuration["BranchName"], e) // S-269
		} else if !a.Flag("DetectChanges", true) {
			reason = "DetectChanges is false, and no trigger names the action" // S-242
		} else {
			matched, reason = pipeline.MatchesBranch(a.Configuration["BranchName"], e)
			trigger = pipeline.Trigger{Type: pipeline.TriggerWebhook, Detail: e.Connection} // S-92
		}
		reason = "action " + a.Name + ": " + reason
		if !matched {
			no = append(no, reason)
			continue
		}
		yes = append(yes, reason)
		if start == nil {
			start = &engine.Start{Trigger: trigger, Detected: true}
		}
		start.Overrides = append(start.Overrides, pipeline.SourceRevisionOverride{ActionName: a.Name, RevisionType: "COMMIT_ID", RevisionValue: e.Commit})
	}
	if start == nil {
		return nil, no
	}
	return start, yes
}
