package codebuild

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"penstock/internal/buildspec"
	"penstock/internal/runner"
)

// commands runs a phase of the specification, again if it says so. (A.3)
func (b *build) commands(ctx context.Context, phase buildspec.PhaseName, p buildspec.Phase) result {
	b.log.printf("Entering phase %s", phase)
	for attempt := 1; ; attempt++ {
		b.output.begin(p.OnFailure.Match != nil)
		res := b.attempt(ctx, p)
		if res.outcome != buildspec.Failed || ctx.Err() != nil || !p.OnFailure.ShouldRetry(attempt, b.output.text()) {
			return res
		}
		b.log.printf("Retrying phase %s: attempt %d of %d", phase, attempt, p.OnFailure.Retries)
	}
}

// attempt runs the commands until one fails, then the finally commands in any case.
func (b *build) attempt(ctx context.Context, p buildspec.Phase) result {
	res := b.list(ctx, p, p.Commands)
	if len(p.Finally) > 0 && res.outcome != buildspec.Ended && ctx.Err() == nil {
		if last := b.list(ctx, p, p.Finally); res.outcome == buildspec.Passed {
			res = last
		}
	}
	return res
}

func (b *build) list(ctx context.Context, p buildspec.Phase, commands []string) result {
	for _, text := range commands {
		if strings.TrimSpace(text) == "" {
			continue
		}
		b.log.printf("Running command %s", strings.TrimRight(text, "\n"))
		cmd := runner.Command{Script: text, Dir: sourceDir, Fresh: b.spec.Version == "0.1", User: p.RunAs}
		if cmd.User == "" {
			cmd.User = b.spec.RunAs
		}
		if b.failing && (!b.told || cmd.Fresh) {
			cmd.Env = []string{"CODEBUILD_BUILD_SUCCEEDING=0"}
			b.told = true
		}
		res, err := b.session.Run(ctx, cmd)
		switch {
		case errors.Is(err, runner.ErrUser):
			return failed("CLIENT_ERROR", "run-as: %s: %v", cmd.User, err)
		case err != nil:
			return result{buildspec.Ended, "INTERNAL_ERROR", "The command could not be run: " + err.Error()}
		case res.ExitCode != 0:
			short := strings.TrimRight(text, "\n")
			b.log.printf("Command did not exit successfully %s exit status %d", short, res.ExitCode)
			if len(short) > 4096 {
				short = strings.ToValidUTF8(short[:4096], "") + "…"
			}
			return failed("COMMAND_EXECUTION_ERROR", "Error while executing command: %s. Reason: exit status %d", short, res.ExitCode)
		}
	}
	return result{}
}

// tail passes output on and may keep the end of it, for on-failure patterns. What a build leaves
// running writes at any time.
type tail struct {
	to io.Writer

	mu   sync.Mutex
	keep bool
	kept []byte
}

const tailSize = 64 << 10

// begin forgets what was kept, and says whether what follows is.
func (t *tail) begin(keep bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keep, t.kept = keep, nil
}

// text gives what is kept.
func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.kept)
}

// Write never fails the build.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	if t.keep {
		t.kept = append(t.kept, p...)
		if len(t.kept) > 2*tailSize {
			t.kept = bytes.Clone(t.kept[len(t.kept)-tailSize:])
		}
	}
	t.mu.Unlock()
	return t.to.Write(p)
}

const artifactName = "__artifact_name"

// expandName has the shell expand the artifact's name where the project asks for it, as in
// name: x-$(date +%F). (A.4)
func (b *build) expandName(ctx context.Context) []string {
	primary := b.doc.Artifacts[0]
	if primary.OverrideArtifactName == nil || !*primary.OverrideArtifactName || b.spec.Artifacts == nil || b.spec.Artifacts.Primary.Name == "" {
		return nil
	}
	name := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(b.spec.Artifacts.Primary.Name)
	if _, err := b.session.Run(ctx, runner.Command{Script: artifactName + `="` + name + `"`, Dir: sourceDir}); err != nil {
		return nil
	}
	return []string{artifactName}
}
