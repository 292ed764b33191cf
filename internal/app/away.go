package app

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"penstock/internal/arn"
	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// nothingThere is what was seen where a look found nothing: the first revision is a change.
const nothingThere = "-"

// serviceOf names the service that a watched source belongs to.
func serviceOf(s store.Source) string {
	resource, _ := arn.Parse(s.Resource)
	return resource.Service
}

// has says whether the source of a pipeline is at another endpoint.
func (e *endpoints) has(st *engine.State, s store.Source) bool {
	if len(e.urls) == 0 {
		return false
	}
	a, ok := st.Current().Stages[0].Action(s.Action)
	if !ok {
		return false
	}
	_, away := e.of(serviceOf(s), st.Account, cmp.Or(a.Region, st.Region))
	return away
}

// away asks for the sources whose service is at another endpoint (S-237, S-245), each with the
// role of its own action.
type away struct {
	db        *store.DB
	changes   *changes
	endpoints *endpoints
	config    func(*engine.State, pipeline.Action) aws.Config
}

// questions lists the source actions to ask for.
func (w *away) questions(ctx context.Context) ([]question, error) {
	var rows []store.Source
	if err := w.db.View(ctx, func(tx *store.Tx) (err error) {
		rows, err = tx.SourcesUnder(ctx, "arn:")
		return err
	}); err != nil {
		return nil, err
	}
	var list []question
	for _, s := range rows {
		if w.endpoints.urls[serviceOf(s)] == "" {
			continue
		}
		list = append(list, question{target: target{s.PipelineID + " " + s.Action, s.Resource, s.Detail}, fresh: s.Seen == "",
			ask: func(ctx context.Context) error { return w.ask(ctx, s) }})
	}
	return list, nil
}

// ask looks at a source, and starts its pipeline if it is at another revision than the one seen
// last. The first look is only remembered. A pipeline that has been idle for too long is not
// asked for (S-246).
func (w *away) ask(ctx context.Context, s store.Source) error {
	var st *engine.State
	idle := false
	err := w.db.View(ctx, func(tx *store.Tx) (err error) {
		if st, err = tx.ViewState(ctx, s.PipelineID); err != nil {
			return err
		}
		last, err := tx.LastStart(ctx, s.PipelineID)
		idle = tx.Now().After(pipeline.PollingEnds(last, st.Updated, w.changes.limits))
		return ignoreAbsent(err)
	})
	if err != nil || idle || !w.endpoints.has(st, s) {
		return ignoreAbsent(err)
	}
	action, _ := st.Current().Stages[0].Action(s.Action)
	found, err := revisionAfar(ctx, w.config(st, *action), s)
	if err != nil {
		return err
	}
	return w.db.Update(ctx, func(tx *store.Tx) error {
		if s.Seen == "" {
			_, err := tx.SetSeen(ctx, s, cmp.Or(found, nothingThere))
			return err
		}
		return w.changes.start(ctx, tx, s.PipelineID, s.Resource, func(_ context.Context, _ *store.Tx, _ *engine.State, row store.Source) (string, error) {
			if row.Action != s.Action {
				return "", nil
			}
			return found, nil
		})
	})
}

func ignoreAbsent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// revisionAfar gives the revision that a source is at; "" if nothing is there.
func revisionAfar(ctx context.Context, cfg aws.Config, s store.Source) (string, error) {
	if object, ok := strings.CutPrefix(s.Resource, objectARN); ok {
		bucket, key, _ := strings.Cut(object, "/")
		out, err := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true }).HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return "", ignoreCode(err, "NotFound", "NoSuchKey")
		}
		if v := aws.ToString(out.VersionId); v != "" && v != store.NullVersion {
			return v, nil
		}
		return aws.ToString(out.ETag), nil
	}
	name := s.Resource[strings.LastIndexByte(s.Resource, ':')+1:]
	out, err := codecommit.NewFromConfig(cfg).GetBranch(ctx, &codecommit.GetBranchInput{RepositoryName: &name, BranchName: &s.Detail})
	if err != nil {
		return "", ignoreCode(err, "BranchDoesNotExistException")
	}
	return aws.ToString(out.Branch.CommitId), nil
}

func ignoreCode(err error, codes ...string) error {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		for _, code := range codes {
			if answer.ErrorCode() == code {
				return nil
			}
		}
	}
	return err
}
