package codebuild

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	api "penstock/internal/api/codebuild"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// CreateProject implements the API.
func (r *Room) CreateProject(ctx context.Context, in *api.CreateProjectInput) (*api.CreateProjectOutput, error) {
	c, err := check(ctx, "CreateProject", in.Name)
	if err != nil {
		return nil, err
	}
	if err := mayPass(ctx, in.ServiceRole); err != nil {
		return nil, err
	}
	p := &api.Project{
		Name: in.Name, Arn: projectARN(c.Account, c.Region, in.Name), Description: in.Description,
		Source: in.Source, SecondarySources: in.SecondarySources, SourceVersion: in.SourceVersion, SecondarySourceVersions: in.SecondarySourceVersions,
		Artifacts: in.Artifacts, SecondaryArtifacts: in.SecondaryArtifacts, Cache: in.Cache, Environment: in.Environment,
		ServiceRole: in.ServiceRole, TimeoutInMinutes: in.TimeoutInMinutes, QueuedTimeoutInMinutes: in.QueuedTimeoutInMinutes,
		EncryptionKey: in.EncryptionKey, Tags: in.Tags, VpcConfig: in.VpcConfig, LogsConfig: in.LogsConfig,
		FileSystemLocations: in.FileSystemLocations, BuildBatchConfig: in.BuildBatchConfig,
		ConcurrentBuildLimit: in.ConcurrentBuildLimit, AutoRetryLimit: in.AutoRetryLimit,
	}
	setBadge(p, in.BadgeEnabled)
	complete(p, c)
	if err := validate(p); err != nil {
		return nil, err
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		p.Created, p.LastModified = new(tx.Now()), new(tx.Now())
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		added, err := tx.AddCodeBuildProject(ctx, store.CodeBuildProject{Account: c.Account, Region: c.Region, Name: in.Name, Doc: string(text)})
		if err == nil && !added {
			err = fault.New("ResourceAlreadyExistsException", "Project already exists: %s", p.Arn)
		}
		return err
	})
	return &api.CreateProjectOutput{Project: p}, err
}

// UpdateProject implements the API: what the request leaves out stays.
func (r *Room) UpdateProject(ctx context.Context, in *api.UpdateProjectInput) (*api.UpdateProjectOutput, error) {
	c, err := check(ctx, "UpdateProject", in.Name)
	if err != nil {
		return nil, err
	}
	if in.ServiceRole != "" {
		if err := mayPass(ctx, in.ServiceRole); err != nil {
			return nil, err
		}
	}
	var p *api.Project
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if p, err = project(ctx, tx, c, in.Name); err != nil {
			return err
		}
		setText(&p.Description, in.Description)
		setText(&p.SourceVersion, in.SourceVersion)
		p.ServiceRole, p.EncryptionKey = cmp.Or(in.ServiceRole, p.ServiceRole), cmp.Or(in.EncryptionKey, p.EncryptionKey)
		set(&p.Source, in.Source)
		set(&p.Artifacts, in.Artifacts)
		set(&p.Cache, in.Cache)
		set(&p.Environment, in.Environment)
		set(&p.TimeoutInMinutes, in.TimeoutInMinutes)
		set(&p.QueuedTimeoutInMinutes, in.QueuedTimeoutInMinutes)
		set(&p.VpcConfig, in.VpcConfig)
		set(&p.LogsConfig, in.LogsConfig)
		set(&p.BuildBatchConfig, in.BuildBatchConfig)
		set(&p.ConcurrentBuildLimit, in.ConcurrentBuildLimit)
		set(&p.AutoRetryLimit, in.AutoRetryLimit)
		setList(&p.SecondarySources, in.SecondarySources)
		setList(&p.SecondarySourceVersions, in.SecondarySourceVersions)
		setList(&p.SecondaryArtifacts, in.SecondaryArtifacts)
		setList(&p.Tags, in.Tags)
		setList(&p.FileSystemLocations, in.FileSystemLocations)
		setBadge(p, in.BadgeEnabled)
		// -1 takes the limit away.
		if p.ConcurrentBuildLimit != nil && *p.ConcurrentBuildLimit == -1 {
			p.ConcurrentBuildLimit = nil
		}
		p.LastModified = new(tx.Now())
		if err := validate(p); err != nil {
			return err
		}
		text, err := json.Marshal(p)
		if err != nil {
			return err
		}
		return tx.SetCodeBuildProject(ctx, store.CodeBuildProject{Account: c.Account, Region: c.Region, Name: in.Name, Doc: string(text)})
	})
	return &api.UpdateProjectOutput{Project: p}, err
}

func set[T any](dst **T, v *T) {
	if v != nil {
		*dst = v
	}
}

// setText also sets "", which takes a text away.
func setText(dst, v *string) {
	if v != nil {
		*dst = *v
	}
}

func setList[T any](dst *[]T, v []T) {
	if v != nil {
		*dst = v
	}
}

func setBadge(p *api.Project, enabled *bool) {
	if enabled != nil {
		p.Badge = &api.ProjectBadge{BadgeEnabled: enabled}
	}
	if p.Badge == nil {
		p.Badge = &api.ProjectBadge{BadgeEnabled: new(false)}
	}
}

// complete puts AWS's defaults where the request says nothing.
func complete(p *api.Project, c auth.Caller) {
	if p.TimeoutInMinutes == nil {
		p.TimeoutInMinutes = new(int32(60))
	}
	if p.QueuedTimeoutInMinutes == nil {
		p.QueuedTimeoutInMinutes = new(int32(480))
	}
	if p.EncryptionKey == "" {
		p.EncryptionKey = arn.New("kms", c.Region, c.Account, "alias/aws/s3")
	}
	if p.Cache == nil {
		p.Cache = &api.ProjectCache{Type: "NO_CACHE"}
	}
	p.ProjectVisibility = "PRIVATE"
}

// validate checks what the model cannot say.
func validate(p *api.Project) error {
	if p.Source == nil || p.Artifacts == nil || p.Environment == nil || p.ServiceRole == "" {
		return invalid("A project needs source, artifacts, environment and serviceRole")
	}
	if !strings.HasPrefix(p.ServiceRole, "arn:") || !strings.Contains(p.ServiceRole, ":role/") {
		return invalid("Invalid service role ARN: %s", p.ServiceRole)
	}
	if err := validSource(p.Source); err != nil {
		return err
	}
	if p.Source.Type == "CODEPIPELINE" != (p.Artifacts.Type == "CODEPIPELINE") {
		return invalid("Invalid project artifacts: artifacts type must be CODEPIPELINE if and only if the source type is CODEPIPELINE")
	}
	if err := validArtifacts(p.Artifacts); err != nil {
		return err
	}
	ids := map[string]bool{}
	for i := range p.SecondarySources {
		s := &p.SecondarySources[i]
		if s.SourceIdentifier == "" || ids["s/"+s.SourceIdentifier] {
			return invalid("Invalid secondary source: sourceIdentifier must be given once for each source: %q", s.SourceIdentifier)
		}
		ids["s/"+s.SourceIdentifier] = true
		if err := validSource(s); err != nil {
			return err
		}
	}
	for i := range p.SecondaryArtifacts {
		a := &p.SecondaryArtifacts[i]
		if a.ArtifactIdentifier == "" || ids["a/"+a.ArtifactIdentifier] {
			return invalid("Invalid secondary artifact: artifactIdentifier must be given once for each artifact: %q", a.ArtifactIdentifier)
		}
		ids["a/"+a.ArtifactIdentifier] = true
		if err := validArtifacts(a); err != nil {
			return err
		}
	}
	if len(p.SecondarySources) > 12 || len(p.SecondaryArtifacts) > 12 {
		return invalid("A project can have at most 12 secondary sources and 12 secondary artifacts")
	}
	if p.ConcurrentBuildLimit != nil && *p.ConcurrentBuildLimit < 1 {
		return invalid("Invalid concurrent build limit: must be at least 1")
	}
	switch {
	case len(p.FileSystemLocations) > 0:
		return invalid("Shared file systems are not offered by this server: a build has the files of its sources")
	case *p.Badge.BadgeEnabled:
		return invalid("Build badges are not offered by this server")
	}
	if err := validRetries(p.AutoRetryLimit); err != nil {
		return err
	}
	if err := validLogs(p.LogsConfig); err != nil {
		return err
	}
	return validVariables(p.Environment.EnvironmentVariables)
}

func validRetries(limit *int32) error {
	if limit != nil && *limit != 0 {
		return invalid("Automatic retries are not offered by this server: let the stage of the pipeline retry")
	}
	return nil
}

func validLogs(l *api.LogsConfig) error {
	if l != nil && l.S3Logs != nil && l.S3Logs.Status == "ENABLED" {
		return invalid("Build logs in S3 are not offered by this server: they are in CloudWatch Logs")
	}
	return nil
}

func validSource(s *api.ProjectSource) error {
	switch s.Type {
	case "CODEPIPELINE":
	case "NO_SOURCE":
		if s.Location != "" {
			return invalid("Invalid project source: location must be empty for source type NO_SOURCE")
		}
	case "S3":
		if bucket, key, ok := splitObject(s.Location); !ok || bucket == "" || key == "" {
			return invalid("Invalid project source: location must be a valid S3 source: bucket/path/to/object.zip")
		}
	default:
		if s.Location == "" {
			return invalid("Invalid project source: location is required for source type %s", s.Type)
		}
		if g := s.GitSubmodulesConfig; g != nil && *g.FetchSubmodules {
			return invalid("Git submodules are not offered by this server: the role's credentials go to the repository of the source only")
		}
	}
	return nil
}

func validArtifacts(a *api.ProjectArtifacts) error {
	if a.Type == "S3" && a.Location == "" {
		return invalid("Invalid artifacts: location is required for artifacts type S3")
	}
	return nil
}

func validVariables(list []api.EnvironmentVariable) error {
	for _, v := range list {
		if v.Name == "" || strings.ContainsAny(v.Name, "=\x00 \t\n") {
			return invalid("Invalid environment variable name: %q", v.Name)
		}
		if strings.ContainsRune(v.Value, 0) {
			return invalid("Invalid value of environment variable %s: it holds a NUL character", v.Name)
		}
	}
	return nil
}

// splitObject reads bucket/key, also as an S3 ARN.
func splitObject(location string) (bucket, key string, ok bool) {
	if a, ok := arn.Parse(location); ok && a.Service == "s3" {
		location = a.Resource
	}
	return strings.Cut(location, "/")
}

func project(ctx context.Context, tx *store.Tx, c auth.Caller, name string) (*api.Project, error) {
	row, err := tx.GetCodeBuildProject(ctx, c.Account, c.Region, name)
	if err != nil {
		return nil, noProject(err, c, name)
	}
	var p api.Project
	return &p, json.Unmarshal([]byte(row.Doc), &p)
}

// DeleteProject implements the API; a project that is not there is no error, as in AWS.
func (r *Room) DeleteProject(ctx context.Context, in *api.DeleteProjectInput) (*api.DeleteProjectOutput, error) {
	name := nameOf(in.Name)
	c, err := check(ctx, "DeleteProject", name)
	if err != nil {
		return nil, err
	}
	return &api.DeleteProjectOutput{}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.DeleteCodeBuildProject(ctx, c.Account, c.Region, name)
	})
}

// nameOf takes a project's name out of its ARN.
func nameOf(name string) string {
	if _, after, ok := strings.Cut(name, ":project/"); ok && strings.HasPrefix(name, "arn:") {
		return after
	}
	return name
}

// BatchGetProjects implements the API.
func (r *Room) BatchGetProjects(ctx context.Context, in *api.BatchGetProjectsInput) (*api.BatchGetProjectsOutput, error) {
	out := &api.BatchGetProjectsOutput{Projects: []api.Project{}, ProjectsNotFound: []string{}}
	for _, n := range in.Names {
		if _, err := check(ctx, "BatchGetProjects", nameOf(n)); err != nil {
			return nil, err
		}
	}
	c := auth.From(ctx)
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		for _, n := range in.Names {
			p, err := project(ctx, tx, c, nameOf(n))
			switch {
			case fault.Code(err) != "":
				out.ProjectsNotFound = append(out.ProjectsNotFound, n)
			case err != nil:
				return err
			default:
				out.Projects = append(out.Projects, *p)
			}
		}
		return nil
	})
}

const pageSize = 100

// place is where a list goes on.
type place struct {
	After string `json:"a"`
	Time  int64  `json:"t,omitempty"`
}

func (p place) seal() string {
	b, _ := json.Marshal(p) // a struct of a string and a number
	return base64.RawURLEncoding.EncodeToString(b)
}

func openPlace(token string) (p place, err error) {
	if token == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil || p.After == "" {
		return p, invalid("Invalid nextToken")
	}
	return p, nil
}

// ListProjects implements the API.
func (r *Room) ListProjects(ctx context.Context, in *api.ListProjectsInput) (*api.ListProjectsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "codebuild:ListProjects", "*"); err != nil {
		return nil, err
	}
	from, err := openPlace(in.NextToken)
	if err != nil {
		return nil, err
	}
	by := map[string]string{"CREATED_TIME": "created", "LAST_MODIFIED_TIME": "modified"}[in.SortBy]
	by = cmp.Or(by, "name")
	var list []store.CodeBuildProject
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		list, err = tx.ListCodeBuildProjects(ctx, c.Account, c.Region, by, store.Keyset{
			After: from.After, AfterTime: time.UnixMicro(from.Time), Descending: in.SortOrder == "DESCENDING", Limit: pageSize + 1,
		})
		return err
	})
	out := &api.ListProjectsOutput{Projects: []string{}}
	for i, p := range list {
		if i == pageSize {
			last := list[i-1]
			at := last.Created
			if by == "modified" {
				at = last.Modified
			}
			out.NextToken = place{last.Name, at.UnixMicro()}.seal()
			break
		}
		out.Projects = append(out.Projects, p.Name)
	}
	return out, err
}

// InvalidateProjectCache implements the API. Builds keep nothing for the next ones here, so there
// is nothing to forget but the question whether the project is there.
func (r *Room) InvalidateProjectCache(ctx context.Context, in *api.InvalidateProjectCacheInput) (*api.InvalidateProjectCacheOutput, error) {
	c, err := check(ctx, "InvalidateProjectCache", in.ProjectName)
	if err != nil {
		return nil, err
	}
	return &api.InvalidateProjectCacheOutput{}, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		_, err := project(ctx, tx, c, in.ProjectName)
		return err
	})
}

// ListCuratedEnvironmentImages implements the API: builds are processes of this machine, and no
// image is better than another.
func (r *Room) ListCuratedEnvironmentImages(ctx context.Context, _ *api.ListCuratedEnvironmentImagesInput) (*api.ListCuratedEnvironmentImagesOutput, error) {
	if err := auth.Check(ctx, "codebuild:ListCuratedEnvironmentImages", "*"); err != nil {
		return nil, err
	}
	return &api.ListCuratedEnvironmentImagesOutput{Platforms: []api.EnvironmentPlatform{}}, nil
}
