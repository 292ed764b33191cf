package codepipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"time"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/store"
)

// CreatePipeline stores a pipeline and starts its first execution (A-4, S-59).
func (r *Room) CreatePipeline(ctx context.Context, in *api.CreatePipelineInput) (*api.CreatePipelineOutput, error) {
	c, err := allow(ctx, "CreatePipeline", in.Pipeline.Name)
	if err != nil {
		return nil, err
	}
	if err := mayPass(ctx, in.Pipeline); err != nil {
		return nil, err
	}
	arn := pipelineARN(c, in.Pipeline.Name)
	tags, err := r.readTags(in.Tags, arn)
	if err != nil {
		return nil, err
	}
	out := &api.CreatePipelineOutput{Tags: writeTags(tags)}
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.FindPipeline(ctx, c.Account, c.Region, in.Pipeline.Name); err == nil { // before the structure
			return nameInUse(c, in.Pipeline.Name)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := tx.LockAccount(ctx, c.Account); err != nil {
			return err
		}
		if n, err := tx.CountPipelines(ctx, c.Account, c.Region); err != nil {
			return err
		} else if n >= r.Limits.Pipelines { // S-61
			return fault.New("LimitExceededException", "The account '%s' already has %d pipelines in the region %s, which is the limit", c.Account, n, c.Region)
		}
		stored, catalogue, err := r.accept(ctx, tx, c, in.Pipeline, nil)
		if err != nil {
			return err
		}
		if stored.Polled() {
			if err := r.mayPoll(ctx, tx, c, stored.Name); err != nil {
				return err
			}
		}
		id := rand.Text()
		if err := r.watch(ctx, tx, id, c, stored); err != nil {
			return err
		}
		if _, err := r.Conductor.CreateTx(ctx, tx, id, c.Account, c.Region, rand.Text(), stored, c.ARN); errors.Is(err, store.ErrExists) {
			return nameInUse(c, in.Pipeline.Name)
		} else if err != nil {
			return err
		}
		for _, t := range tags {
			if err := tx.PutTag(ctx, arn, t); err != nil {
				return err
			}
		}
		out.Pipeline = shown(stored, catalogue)
		return tx.NoteDefinition(pipeline.Mask(stored, catalogue))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// mayPoll refuses a pipeline that would be set to polling beside as many as there may be (S-61,
// S-71). Those that are idle for too long to be polled count too: their next start polls them again.
func (r *Room) mayPoll(ctx context.Context, tx *store.Tx, c auth.Caller, name string) error {
	if err := tx.LockAccount(ctx, c.Account); err != nil {
		return err
	}
	n, err := tx.CountPolledPipelines(ctx, c.Account, c.Region)
	if err == nil && n >= r.Limits.PollingPipelines {
		err = fault.New("LimitExceededException", "The account '%s' already has %d pipelines that are set to polling in the region %s, which is the limit. "+
			"Set PollForSourceChanges to 'false' in the source actions of the pipeline '%s' and start it by an event rule or a webhook.", c.Account, n, c.Region, name)
	}
	return err
}

// watch records what starts the pipeline when it changes (S-237).
func (r *Room) watch(ctx context.Context, tx *store.Tx, id string, c auth.Caller, d *pipeline.Declaration) error {
	sources, err := r.Sources(ctx, tx, c.Account, c.Region, d)
	if err != nil {
		return err
	}
	return tx.PutSources(ctx, id, sources)
}

func nameInUse(c auth.Caller, name string) error { // M-24
	return fault.New("PipelineNameInUseException", "A pipeline with the name '%s' already exists in account '%s'", name, c.Account)
}

// accept turns a definition from a request into the form that is stored, or refuses it.
func (r *Room) accept(ctx context.Context, tx *store.Tx, c auth.Caller, in *api.PipelineDeclaration, previous *pipeline.Declaration) (*pipeline.Declaration, pipeline.Catalogue, error) {
	d, err := declared(in)
	if err != nil {
		return nil, nil, err
	}
	catalogue := r.Conductor.Catalogue(ctx, tx, c.Account, c.Region)
	roles := auth.Using(ctx, tx)
	env := pipeline.Env{
		Region: c.Region, Account: c.Account, Catalogue: catalogue, Limits: r.Limits, Previous: previous,
		MayAssume:     func(role string) bool { return r.CanAssume(roles, role, pipelineARN(c, d.Name)) },
		MayAssumeFrom: func(from, to string) bool { return r.CanAssumeFrom(roles, from, to) },
	}
	if err := pipeline.Validate(d, env); err != nil {
		return nil, nil, err
	}
	if d, err = pipeline.KeepSecrets(d, previous, catalogue); err != nil {
		return nil, nil, err
	}
	if err := r.checkBuckets(ctx, c, d); err != nil {
		return nil, nil, err
	}
	return pipeline.Normalise(d, env), catalogue, nil
}

// checkBuckets makes sure that every artifact bucket exists in its Region (S-11).
func (r *Room) checkBuckets(ctx context.Context, c auth.Caller, d *pipeline.Declaration) error {
	if r.BucketRegion == nil {
		return nil
	}
	stores := maps.Clone(d.ArtifactStores)
	if d.ArtifactStore != nil {
		stores = map[string]pipeline.ArtifactStore{c.Region: *d.ArtifactStore}
	}
	for _, region := range slices.Sorted(maps.Keys(stores)) {
		location := stores[region].Location
		switch at, ok := r.BucketRegion(ctx, c.Account, region, location); {
		case !ok:
			return fault.New("InvalidStructureException", "The artifact bucket '%s' does not exist or does not belong to account '%s'. Create it first.", location, c.Account)
		case at != region:
			return fault.New("InvalidStructureException", "The artifact bucket '%s' is in the region %s, but it is declared for %s", location, at, region)
		}
	}
	return nil
}

// GetPipeline shows one version of a definition.
func (r *Room) GetPipeline(ctx context.Context, in *api.GetPipelineInput) (*api.GetPipelineOutput, error) {
	c, err := allow(ctx, "GetPipeline", in.Name)
	if err != nil {
		return nil, err
	}
	out := &api.GetPipelineOutput{}
	err = r.DB.View(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.Name)
		if err != nil {
			return err
		}
		unpolled, err := r.unpolled(ctx, tx, p)
		if err != nil {
			return err
		}
		version := p.Version
		if in.Version != nil {
			version = int(*in.Version)
		}
		d, err := tx.Declaration(ctx, p.ID, version)
		if errors.Is(err, store.ErrNotFound) {
			return fault.New("PipelineVersionNotFoundException", "The pipeline '%s' does not have a version %d", in.Name, version)
		}
		if err != nil {
			return err
		}
		out.Pipeline = shown(d, r.Conductor.Catalogue(ctx, tx, c.Account, c.Region))
		out.Metadata = &api.PipelineMetadata{PipelineArn: pipelineARN(c, p.Name), Created: &p.Created, Updated: &p.Updated, PollingDisabledAt: unpolled}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// unpolled says since when the sources of a pipeline are polled no longer (S-246); nil if
// they are, or if there are none.
func (r *Room) unpolled(ctx context.Context, tx *store.Tx, p store.Pipeline) (*time.Time, error) {
	d, err := tx.Declaration(ctx, p.ID, p.Version)
	if err != nil || !d.Polled() {
		return nil, err
	}
	last, err := tx.LastStart(ctx, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if at := pipeline.PollingEnds(last, p.Updated, r.Limits); tx.Now().After(at) {
		return &at, nil
	}
	return nil, nil
}

// UpdatePipeline replaces the whole structure (A-44, S-62).
func (r *Room) UpdatePipeline(ctx context.Context, in *api.UpdatePipelineInput) (*api.UpdatePipelineOutput, error) {
	c, err := allow(ctx, "UpdatePipeline", in.Pipeline.Name)
	if err != nil {
		return nil, err
	}
	if err := mayPass(ctx, in.Pipeline); err != nil {
		return nil, err
	}
	out := &api.UpdatePipelineOutput{}
	err = r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := find(ctx, tx, c, in.Pipeline.Name)
		if err != nil {
			return err
		}
		s, err := tx.LoadState(ctx, p.ID) // holds the pipeline until the new version is in force
		if err != nil {
			return err
		}
		d, catalogue, err := r.accept(ctx, tx, c, in.Pipeline, s.Current())
		if err != nil {
			return err
		}
		if d.Polled() && !s.Current().Polled() {
			if err := r.mayPoll(ctx, tx, c, d.Name); err != nil {
				return err
			}
		}
		if err := r.watch(ctx, tx, p.ID, c, d); err != nil {
			return err
		}
		if _, err := r.Conductor.UpdateTx(ctx, tx, p.ID, s, d); err != nil {
			return err
		}
		out.Pipeline = shown(d, catalogue)
		return tx.NoteDefinition(pipeline.Mask(d, catalogue))
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// DeletePipeline removes a pipeline with its history; an unknown name is fine (A-6, S-68).
func (r *Room) DeletePipeline(ctx context.Context, in *api.DeletePipelineInput) (*api.DeletePipelineOutput, error) {
	c, err := allow(ctx, "DeletePipeline", in.Name)
	if err != nil {
		return nil, err
	}
	return nil, r.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := tx.FindPipeline(ctx, c.Account, c.Region, in.Name)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return r.Conductor.DeleteTx(ctx, tx, p.ID)
	})
}

// ListPipelines lists the caller's pipelines by name.
func (r *Room) ListPipelines(ctx context.Context, in *api.ListPipelinesInput) (*api.ListPipelinesOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codepipeline:ListPipelines", "*"); err != nil {
		return nil, err
	}
	limit := 1000 // AQ-8
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	after, err := position[string](in.NextToken, "ListPipelines", c.Account, c.Region)
	if err != nil {
		return nil, err
	}
	var list []store.Pipeline
	if err := r.DB.View(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.ListPipelines(ctx, c.Account, c.Region, after, limit+1)
		return err
	}); err != nil {
		return nil, err
	}
	out := &api.ListPipelinesOutput{Pipelines: []api.PipelineSummary{}}
	for i, p := range list {
		if i == limit {
			out.NextToken = nextToken(list[i-1].Name, "ListPipelines", c.Account, c.Region)
			break
		}
		out.Pipelines = append(out.Pipelines, api.PipelineSummary{Name: p.Name, Version: int32p(p.Version), PipelineType: p.Type,
			ExecutionMode: string(p.Mode), Created: &list[i].Created, Updated: &list[i].Updated})
	}
	return out, nil
}
