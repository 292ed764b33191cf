package codebuild

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	api "penstock/internal/api/codebuild"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// buildDoc is what a build's row keeps.
type buildDoc struct {
	Build record `json:"build"`
	// Input started the build; RetryBuild starts another with it.
	Input api.StartBuildInput `json:"input"`
	// Account, Region and Caller belong to whoever started the build.
	Account   string `json:"account"`
	Region    string `json:"region"`
	CallerARN string `json:"callerArn"`
	// Given are the variables CodePipeline sets although CodeBuild reserves their names.
	Given map[string]string `json:"given,omitempty"`
	// Told is how many phases rules have been told of.
	Told int `json:"told,omitempty"`
	// Artifacts say where to put what the build makes.
	Artifacts []api.ProjectArtifacts `json:"artifacts,omitempty"`
}

func openDoc(row store.CodeBuildBuild) (*buildDoc, error) {
	var d buildDoc
	err := json.Unmarshal([]byte(row.Doc), &d)
	return &d, err
}

// errSameBuild undoes a start whose token has been used.
var errSameBuild = errors.New("the token has started a build already")

// StartBuild implements the API. The same idempotency token gives the same build, however
// much later: a pipeline that comes back after a crash must not build twice.
func (r *Room) StartBuild(ctx context.Context, in *api.StartBuildInput) (*api.StartBuildOutput, error) {
	input := *in
	input.ProjectName = nameOf(in.ProjectName)
	c, err := check(ctx, "StartBuild", input.ProjectName)
	if err != nil {
		return nil, err
	}
	if role := in.ServiceRoleOverride; role != "" {
		if err := mayPass(ctx, role); err != nil {
			return nil, err
		}
	}
	if r.deps.DB.Full() {
		return nil, store.ErrFull // it would take the room that is kept for what cannot wait
	}
	b, err := r.start(ctx, c, input)
	if err != nil {
		return nil, err
	}
	return &api.StartBuildOutput{Build: b}, nil
}

func (r *Room) start(ctx context.Context, c auth.Caller, in api.StartBuildInput) (*api.Build, error) {
	var doc *buildDoc
	var row store.CodeBuildBuild
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		p, err := project(ctx, tx, c, in.ProjectName)
		if err != nil {
			return err
		}
		// Counting first takes the project's row, so equal tokens come one after the other.
		number, err := tx.NextCodeBuildNumber(ctx, c.Account, c.Region, in.ProjectName)
		if err != nil {
			return noProject(err, c, in.ProjectName)
		}
		if in.IdempotencyToken != "" {
			row, err = tx.CodeBuildBuildByToken(ctx, c.Account, c.Region, in.ProjectName, in.IdempotencyToken)
			if !errors.Is(err, store.ErrNotFound) {
				return cmp.Or(err, errSameBuild)
			}
		}
		if err := r.room(p); err != nil {
			return err
		}
		if doc, err = newDoc(c, p, in, number, tx.Now(), r.deps.ConsoleURL); err != nil {
			return err
		}
		doc.Told = doc.Build.ended()
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		row = store.CodeBuildBuild{
			Account: c.Account, Region: c.Region, ID: doc.Build.Id, Project: in.ProjectName, Started: tx.Now(),
			Node: r.deps.Node, Token: in.IdempotencyToken, Doc: string(text),
		}
		if err := tx.AddCodeBuildBuild(ctx, row); err != nil {
			return err
		}
		return r.tell(ctx, tx, doc, 0, true)
	})
	if errors.Is(err, errSameBuild) {
		return r.same(ctx, c, row)
	}
	if err != nil {
		return nil, err
	}
	answer := doc.Build.clone()
	r.enqueue(r.newBuild(row, doc))
	return answer, nil
}

// same gives the build that a token has started before. One that this node was running when
// it died is about to be ended: who asks must not take it for a build in progress.
func (r *Room) same(ctx context.Context, c auth.Caller, row store.CodeBuildBuild) (*api.Build, error) {
	if !row.Complete && row.Node == r.deps.Node && r.find(buildARN(row.Account, row.Region, row.ID)) == nil {
		select {
		case <-r.buried:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return r.get(ctx, c, row.ID)
}

// room refuses a build over the project's own limit.
func (r *Room) room(p *api.Project) error {
	if p.ConcurrentBuildLimit == nil {
		return nil
	}
	n := int32(0)
	r.mu.Lock()
	for _, b := range r.live {
		if b.task == nil && strings.HasPrefix(b.row.ID, p.Name+":") && b.arnPrefix() == strings.TrimSuffix(p.Arn, "project/"+p.Name) {
			n++
		}
	}
	r.mu.Unlock()
	if n >= *p.ConcurrentBuildLimit {
		return fault.New("AccountLimitExceededException", "Cannot have more than %d concurrent builds for project %s", *p.ConcurrentBuildLimit, p.Name)
	}
	return nil
}

// current gives a build as it is now: from memory while it runs here.
func (r *Room) current(row store.CodeBuildBuild) (*api.Build, error) {
	if b := r.find(buildARN(row.Account, row.Region, row.ID)); b != nil {
		return b.snapshot(), nil
	}
	doc, err := openDoc(row)
	if err != nil {
		return nil, err
	}
	return doc.Build.clone(), nil
}

// idOf takes a build's id out of its ARN, and the project's name out of that.
func idOf(id string) (build, project string) {
	if _, after, ok := strings.Cut(id, ":build/"); ok && strings.HasPrefix(id, "arn:") {
		id = after
	}
	i := strings.LastIndexByte(id, ':')
	return id, id[:max(i, 0)]
}

// BatchGetBuilds implements the API.
func (r *Room) BatchGetBuilds(ctx context.Context, in *api.BatchGetBuildsInput) (*api.BatchGetBuildsOutput, error) {
	for _, id := range in.Ids {
		_, project := idOf(id)
		if _, err := check(ctx, "BatchGetBuilds", project); err != nil {
			return nil, err
		}
	}
	c := auth.From(ctx)
	out := &api.BatchGetBuildsOutput{Builds: []api.Build{}, BuildsNotFound: []string{}}
	for _, asked := range in.Ids {
		id, _ := idOf(asked)
		b, err := r.get(ctx, c, id)
		switch {
		case errors.Is(err, store.ErrNotFound):
			out.BuildsNotFound = append(out.BuildsNotFound, asked)
		case err != nil:
			return nil, err
		default:
			out.Builds = append(out.Builds, *b)
		}
	}
	return out, nil
}

func (r *Room) get(ctx context.Context, c auth.Caller, id string) (*api.Build, error) {
	if b := r.find(buildARN(c.Account, c.Region, id)); b != nil {
		return b.snapshot(), nil
	}
	row, err := r.row(ctx, c, id)
	if err != nil {
		return nil, err
	}
	return r.current(row)
}

func (r *Room) row(ctx context.Context, c auth.Caller, id string) (row store.CodeBuildBuild, err error) {
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		row, err = tx.GetCodeBuildBuild(ctx, c.Account, c.Region, id)
		return err
	})
	return row, err
}

func noBuild(err error, c auth.Caller, id string) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New("ResourceNotFoundException", "Build cannot be found: %s", buildARN(c.Account, c.Region, id))
	}
	return err
}

// StopBuild implements the API; a build that is over stays as it is.
func (r *Room) StopBuild(ctx context.Context, in *api.StopBuildInput) (*api.StopBuildOutput, error) {
	id, project := idOf(in.Id)
	c, err := check(ctx, "StopBuild", project)
	if err != nil {
		return nil, err
	}
	b := r.find(buildARN(c.Account, c.Region, id))
	if b == nil {
		row, err := r.row(ctx, c, id)
		if err != nil {
			return nil, noBuild(err, c, id)
		}
		if !row.Complete && row.Node != r.deps.Node {
			return nil, invalid("The build runs on the server %s: stop it there", row.Node)
		}
		now, err := r.current(row)
		return &api.StopBuildOutput{Build: now}, err
	}
	b.cancel(errStopped)
	return &api.StopBuildOutput{Build: b.snapshot()}, nil
}

// RetryBuild implements the API: a new build with the input of an old one.
func (r *Room) RetryBuild(ctx context.Context, in *api.RetryBuildInput) (*api.RetryBuildOutput, error) {
	id, project := idOf(in.Id)
	c, err := check(ctx, "RetryBuild", project)
	if err != nil {
		return nil, err
	}
	row, err := r.row(ctx, c, id)
	if err != nil {
		return nil, noBuild(err, c, id)
	}
	doc, err := openDoc(row)
	if err != nil {
		return nil, err
	}
	input := doc.Input
	input.IdempotencyToken = in.IdempotencyToken
	b, err := r.start(ctx, c, input)
	return &api.RetryBuildOutput{Build: b}, err
}

// BatchDeleteBuilds implements the API.
func (r *Room) BatchDeleteBuilds(ctx context.Context, in *api.BatchDeleteBuildsInput) (*api.BatchDeleteBuildsOutput, error) {
	for _, id := range in.Ids {
		_, project := idOf(id)
		if _, err := check(ctx, "BatchDeleteBuilds", project); err != nil {
			return nil, err
		}
	}
	c := auth.From(ctx)
	var out *api.BatchDeleteBuildsOutput
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		out = &api.BatchDeleteBuildsOutput{BuildsDeleted: []string{}, BuildsNotDeleted: []api.BuildNotDeleted{}}
		for _, asked := range in.Ids {
			id, _ := idOf(asked)
			ok, err := tx.DeleteCodeBuildBuild(ctx, c.Account, c.Region, id)
			if err != nil {
				return err
			}
			if ok {
				out.BuildsDeleted = append(out.BuildsDeleted, buildARN(c.Account, c.Region, id))
				continue
			}
			code := "BUILD_NOT_FOUND"
			if _, err := tx.GetCodeBuildBuild(ctx, c.Account, c.Region, id); err == nil {
				code = "BUILD_IN_PROGRESS"
			}
			out.BuildsNotDeleted = append(out.BuildsNotDeleted, api.BuildNotDeleted{Id: asked, StatusCode: code})
		}
		return nil
	})
	return out, err
}

// ListBuilds implements the API, newest first unless asked otherwise.
func (r *Room) ListBuilds(ctx context.Context, in *api.ListBuildsInput) (*api.ListBuildsOutput, error) {
	if err := auth.Check(ctx, "codebuild:ListBuilds", "*"); err != nil {
		return nil, err
	}
	ids, next, err := r.list(ctx, "", in.SortOrder, in.NextToken)
	return &api.ListBuildsOutput{Ids: ids, NextToken: next}, err
}

// ListBuildsForProject implements the API.
func (r *Room) ListBuildsForProject(ctx context.Context, in *api.ListBuildsForProjectInput) (*api.ListBuildsForProjectOutput, error) {
	name := nameOf(in.ProjectName)
	c, err := check(ctx, "ListBuildsForProject", name)
	if err != nil {
		return nil, err
	}
	ids, next, err := r.list(ctx, name, in.SortOrder, in.NextToken)
	if err == nil && len(ids) == 0 {
		err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
			_, err := project(ctx, tx, c, name)
			return err
		})
	}
	return &api.ListBuildsForProjectOutput{Ids: ids, NextToken: next}, err
}

func (r *Room) list(ctx context.Context, project, order, token string) (ids []string, next string, err error) {
	c := auth.From(ctx)
	from, err := openPlace(token)
	if err != nil {
		return nil, "", err
	}
	var list []store.CodeBuildBuild
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.ListCodeBuildBuilds(ctx, c.Account, c.Region, project, store.Keyset{
			After: from.After, AfterTime: time.UnixMicro(from.Time), Descending: order != "ASCENDING", Limit: pageSize + 1,
		})
		return err
	})
	ids = []string{}
	for i, b := range list {
		if i == pageSize {
			next = place{list[i-1].ID, list[i-1].Started.UnixMicro()}.seal()
			break
		}
		ids = append(ids, b.ID)
	}
	return ids, next, err
}
