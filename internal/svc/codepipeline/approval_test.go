package codepipeline

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// pending brings a pipeline with these settings to its approval and gives the request's token.
func (w *world) pending(settings map[string]string) string {
	w.Helper()
	w.workerType()
	d := definition("p")
	d.Stages[2].Actions[0].Configuration = settings
	must(w, 0, drop(w.CreatePipeline(w.ctx, &api.CreatePipelineInput{Pipeline: d})))
	w.work("Source", "get", nil)
	w.work("Build", "make", nil)
	return w.state("p").StageStates[2].ActionStates[0].LatestExecution.Token
}

// yes approves as somebody.
func (w *world) yes(who, token string) error {
	ctx := auth.Trusted(w.ctx, auth.Caller{Account: account, Region: region, ARN: who})
	return drop(w.PutApprovalResult(ctx, &api.PutApprovalResultInput{PipelineName: "p", StageName: "Release", ActionName: "Approve", Token: token,
		Result: &api.ApprovalResult{Summary: "fine", Status: "Approved"}}))
}

// S-223, S-227: of many who approve at once, each of them twice, exactly as many count as are
// needed, no one of them twice, and all others are told that it is done.
func TestApproversRace(t *testing.T) {
	each(t, func(w *world) {
		const need, people = 3, 8
		token := w.pending(map[string]string{"RequiredApprovals": fmt.Sprint(need)})
		var all sync.WaitGroup
		var mu sync.Mutex
		var counted []string
		for i := range 2 * people {
			all.Go(func() {
				who := fmt.Sprintf("arn:aws:iam::111111111111:user/p%d", i%people)
				err := w.yes(who, token)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					counted = append(counted, who)
				} else if fault.Code(err) != "ApprovalAlreadyCompletedException" {
					t.Error(err)
				}
			})
		}
		all.Wait()
		slices.Sort(counted)
		if len(counted) != need || len(slices.Compact(counted)) != need {
			t.Errorf("counted %v", counted)
		}
		if s := w.state("p").StageStates[2]; s.LatestExecution.Status != "Succeeded" {
			t.Errorf("%+v", s.LatestExecution)
		}
	})
}

// S-222, S-224: after the first of two the action is still in progress, and its state tells of him.
func TestFirstOfTwo(t *testing.T) {
	each(t, func(w *world) {
		token := w.pending(map[string]string{"RequiredApprovals": "2"})
		must(w, 0, w.yes("arn:aws:iam::111111111111:user/ann", token))
		a := w.state("p").StageStates[2].ActionStates[0].LatestExecution
		if a.Status != "InProgress" || a.Token != token || a.Summary != "1 of 2 approvals; arn:aws:iam::111111111111:user/ann: fine" || a.LastUpdatedBy != "arn:aws:iam::111111111111:user/ann" {
			t.Errorf("%+v", a)
		}
		must(w, 0, w.yes("arn:aws:iam::111111111111:user/bob", token))
		if a = w.state("p").StageStates[2].ActionStates[0].LatestExecution; a.Status != "Succeeded" || a.Summary != "fine" || a.Token != "" {
			t.Errorf("%+v", a)
		}
	})
}

// S-228: where authors are shut out, a revision of which nobody knows who brought it, as those of
// a custom source, cannot be approved; one of a repository of this server has its pusher.
func TestAuthors(t *testing.T) {
	each(t, func(w *world) {
		token := w.pending(map[string]string{"ForbidAuthor": "true"})
		w.refused("AccessDeniedException", w.yes("arn:aws:iam::111111111111:user/ann", token))
		err := w.DB.Update(w.ctx, func(tx *store.Tx) error {
			if _, err := tx.InsertCodeCommitRepository(w.ctx, store.CodeCommitRepository{ID: "r1", Account: account, Region: region, Name: "app"}); err != nil {
				return err
			}
			for _, who := range []string{"arn:ann", "arn:bob"} { // who was first stays
				if err := tx.PutCodeCommitPusher(w.ctx, "r1", "c1", who); err != nil {
					return err
				}
			}
			if who, err := tx.CodeCommitPusher(w.ctx, account, region, "app", "c1"); err != nil || who != "arn:ann" {
				t.Errorf("%q %v", who, err)
			}
			return nil
		})
		must(w, 0, err)
	})
}
