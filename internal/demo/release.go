package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
	"github.com/aws/aws-sdk-go-v2/service/codepipeline/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/watch"
)

// release follows the first execution from the source to the deployed program.
func (d *demo) release(ctx context.Context) error {
	id, err := d.api.Latest(ctx, name)
	if err != nil {
		return err
	}
	if err := d.approved(ctx, id, &watch.Snapshot{}); err != nil {
		return err
	}
	head, err := d.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	return d.fetch(ctx, strings.TrimSpace(head))
}

// approved follows an execution to its approval, approves, and follows it to its end.
func (d *demo) approved(ctx context.Context, id string, known *watch.Snapshot) error {
	show := d.shower(known)
	read := func(ctx context.Context) (*watch.Snapshot, error) { return d.api.Execution(ctx, name, id) }
	var failed error
	asked := false
	s, err := d.follow(ctx, read, func(s *watch.Snapshot) bool {
		if !asked && (s.Over() || len(s.Pending()) > 0) {
			asked = true
			show(ctx, s)
			failed = d.approve(ctx, s)
			return failed != nil
		}
		show(ctx, s)
		return s.Over()
	})
	if failed != nil {
		return failed
	}
	if err == nil && s.Status != watch.StatusSucceeded {
		err = fmt.Errorf("the execution %s ended as %s", id, s.Status)
	}
	return err
}

// approve answers the one approval that waits.
func (d *demo) approve(ctx context.Context, s *watch.Snapshot) error {
	pending := s.Pending()
	if len(pending) != 1 {
		d.logOf(ctx, s)
		return fmt.Errorf("the pipeline does not wait for an approval as it should: %s %s", s.Execution, s.Status)
	}
	p := pending[0]
	d.say("$ penstock approve %s %s/%s    # %s", name, p.Stage, p.Action, watch.Short(p.Execution))
	_, err := d.api.Pipelines.PutApprovalResult(ctx, &codepipeline.PutApprovalResultInput{
		PipelineName: aws.String(name), StageName: &p.Stage, ActionName: &p.Action, Token: &p.Token,
		Result: &types.ApprovalResult{Status: types.ApprovalStatusApproved, Summary: aws.String("Looks good")},
	})
	return err
}

// logOf prints the log of a build that failed.
func (d *demo) logOf(ctx context.Context, s *watch.Snapshot) {
	for _, stage := range s.Stages {
		for _, a := range stage.Actions {
			l, err := d.api.LogOf(&a)
			if a.Status != "Failed" || err != nil {
				continue
			}
			lines, _, _ := l.Next(ctx)
			for _, text := range lines {
				d.say("    | %s", watch.Clean(text))
			}
		}
	}
}

// fetch gets the deployed program back and runs it: it names the commit it was built from.
func (d *demo) fetch(ctx context.Context, commit string) error {
	out, err := d.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(releases), Key: aws.String(name)})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	d.serial++
	file := filepath.Join(d.dir, fmt.Sprintf("deployed-%d", d.serial))
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, out.Body)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	said, err := exec.CommandContext(ctx, file).Output()
	// What was just written may still be held open by a program that the server is starting.
	for tries := 0; errors.Is(err, syscall.ETXTBSY) && tries < 100; tries++ {
		time.Sleep(10 * time.Millisecond)
		said, err = exec.CommandContext(ctx, file).Output()
	}
	if err != nil {
		return fmt.Errorf("the deployed program: %w", err)
	}
	d.say("\n$ aws s3 cp s3://%s/%s . && ./%s\n%s", releases, name, name, strings.TrimSpace(string(said)))
	if !strings.Contains(string(said), commit) {
		return fmt.Errorf("the deployed program was not built from commit %s", commit)
	}
	return nil
}

// supersede pushes once more and, while that release waits for its approval, twice: the one
// in the middle is superseded, because the newest has everything that is in it.
func (d *demo) supersede(ctx context.Context) error {
	d.say("\nThree more pushes. The first will wait for approval; of those behind it only the newest goes on:\n")
	known, err := d.api.State(ctx, name)
	if err != nil {
		return err
	}
	if _, err := d.push(ctx, "Second", 2); err != nil {
		return err
	}
	show := d.shower(known)
	watching := func(enough func(*watch.Snapshot) bool) (*watch.Snapshot, error) {
		read := func(ctx context.Context) (*watch.Snapshot, error) { return d.api.State(ctx, name) }
		return d.follow(ctx, read, func(s *watch.Snapshot) bool {
			show(ctx, s)
			return enough(s)
		})
	}
	if _, err := watching(func(s *watch.Snapshot) bool { return len(s.Pending()) > 0 }); err != nil {
		return err
	}
	if _, err := d.push(ctx, "Third", 3); err != nil {
		return err
	}
	newest, err := d.push(ctx, "Fourth", 4)
	if err != nil {
		return err
	}
	var superseded, last string
	if _, err := watching(func(s *watch.Snapshot) bool {
		superseded, last, err = d.behind(ctx)
		return err != nil || superseded != "" && waits(s, last)
	}); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	d.say("\nThe release of \"Third\" (%s) is SUPERSEDED by \"Fourth\" (%s), which waits behind \"Second\".\n", watch.Short(superseded), watch.Short(last))
	if known, err = d.api.State(ctx, name); err != nil {
		return err
	}
	if err := d.approve(ctx, known); err != nil {
		return err
	}
	if known, err = d.api.Execution(ctx, name, last); err != nil {
		return err
	}
	if err := d.approved(ctx, last, known); err != nil {
		return err
	}
	return d.fetch(ctx, newest)
}

// behind gives the superseded execution, if there is one, and the newest one.
func (d *demo) behind(ctx context.Context) (superseded, last string, err error) {
	out, err := d.api.Pipelines.ListPipelineExecutions(ctx, &codepipeline.ListPipelineExecutionsInput{PipelineName: aws.String(name)})
	if err != nil {
		return "", "", err
	}
	for i, e := range out.PipelineExecutionSummaries {
		if i == 0 {
			last = aws.ToString(e.PipelineExecutionId)
		}
		if e.Status == types.PipelineExecutionStatusSuperseded {
			superseded = aws.ToString(e.PipelineExecutionId)
		}
	}
	return superseded, last, nil
}

// waits says whether an execution stands in front of the approval.
func waits(s *watch.Snapshot, id string) bool {
	for _, stage := range s.Stages {
		for _, waiting := range stage.Waiting {
			if stage.Name == "Approval" && waiting == id {
				return true
			}
		}
	}
	return false
}

// follow is watch.Follow with a deadline.
func (d *demo) follow(ctx context.Context, read func(context.Context) (*watch.Snapshot, error), enough func(*watch.Snapshot) bool) (*watch.Snapshot, error) {
	ctx, stop := context.WithTimeoutCause(ctx, patience, errors.New("the pipeline did not come to where it should in "+patience.String()))
	defer stop()
	s, err := watch.Follow(ctx, read, enough)
	if d.Screen != nil {
		d.Screen.Keep()
	}
	return s, err
}

// shower gives what shows snapshots that belong together: drawn in place, or as lines of
// what is new since known.
func (d *demo) shower(known *watch.Snapshot) func(context.Context, *watch.Snapshot) {
	if d.Screen == nil {
		p := &watch.Plain{Out: d.Out}
		p.Known(known)
		return p.Show
	}
	v := &watch.Live{Client: d.api, Screen: d.Screen, Style: d.Style}
	return v.Show
}
