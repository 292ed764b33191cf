package codecommit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// maxDescription is the length of a repository description.
const maxDescription = 1000

func (r *Room) metadata(p *place) *api.RepositoryMetadata {
	return &api.RepositoryMetadata{
		AccountId: p.Account, RepositoryId: p.ID, RepositoryName: p.Name, Arn: p.arn(),
		RepositoryDescription: p.Description, DefaultBranch: p.DefaultBranch, KmsKeyId: p.KMSKey,
		CreationDate: new(p.Created), LastModifiedDate: new(p.Modified),
		CloneUrlHttp: r.deps.PublicURL() + "/v1/repos/" + p.Name,
	}
}

func checkDescription(text string) error {
	if len([]rune(text)) > maxDescription || strings.ContainsRune(text, 0) {
		return fault.New("InvalidRepositoryDescriptionException", "A repository description has at most %d characters.", maxDescription)
	}
	return nil
}

// CreateRepository makes an empty repository.
func (r *Room) CreateRepository(ctx context.Context, in *api.CreateRepositoryInput) (*api.CreateRepositoryOutput, error) {
	if err := checkName(in.RepositoryName); err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	arn := arnOf(c.Account, c.Region, in.RepositoryName)
	if err := auth.Check(ctx, "codecommit:CreateRepository", arn); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := auth.Check(ctx, "codecommit:TagResource", arn); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(checkDescription(in.RepositoryDescription), checkTags(nil, in.Tags)); err != nil {
		return nil, err
	}
	exists := fault.New("RepositoryNameExistsException", "Repository named %s already exists", in.RepositoryName)
	if _, err := r.find(ctx, c.Account, c.Region, in.RepositoryName); err == nil {
		return nil, exists
	} else if fault.Code(err) == "" {
		return nil, err
	}
	p := &place{CodeCommitRepository: store.CodeCommitRepository{
		ID: auth.NewUUID(), Account: c.Account, Region: c.Region, Name: in.RepositoryName,
		Description: in.RepositoryDescription, KMSKey: in.KmsKeyId, Tags: in.Tags,
	}}
	// The folder is there before its row: a row always has one. A folder without a row, left
	// by a crash in between, is only a few bytes that nothing refers to.
	if err := r.git.Create(ctx, p.ID); err != nil {
		return nil, asFault(err)
	}
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		p.Created, p.Modified = tx.Now(), tx.Now()
		made, err := tx.InsertCodeCommitRepository(ctx, p.CodeCommitRepository)
		if err == nil && !made {
			err = exists
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, r.git.Remove(p.ID))
	}
	r.deps.Notify(arn)
	return &api.CreateRepositoryOutput{RepositoryMetadata: r.metadata(p)}, nil
}

// GetRepository describes a repository.
func (r *Room) GetRepository(ctx context.Context, in *api.GetRepositoryInput) (*api.GetRepositoryOutput, error) {
	p, err := r.open(ctx, "GetRepository", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &api.GetRepositoryOutput{RepositoryMetadata: r.metadata(p)}, nil
}

// BatchGetRepositories describes up to 100 repositories.
func (r *Room) BatchGetRepositories(ctx context.Context, in *api.BatchGetRepositoriesInput) (*api.BatchGetRepositoriesOutput, error) {
	switch {
	case len(in.RepositoryNames) == 0:
		return nil, fault.New("RepositoryNamesRequiredException", "At least one repository name is required.")
	case len(in.RepositoryNames) > 100:
		return nil, fault.New("MaximumRepositoryNamesExceededException", "At most 100 repositories can be asked for at once.")
	}
	out := &api.BatchGetRepositoriesOutput{Repositories: []api.RepositoryMetadata{}, RepositoriesNotFound: []string{}}
	for _, name := range in.RepositoryNames {
		p, err := r.open(ctx, "BatchGetRepositories", name)
		switch {
		case fault.Code(err) == "RepositoryDoesNotExistException":
			out.RepositoriesNotFound = append(out.RepositoriesNotFound, name)
		case err != nil:
			return nil, err
		default:
			out.Repositories = append(out.Repositories, *r.metadata(p))
		}
	}
	return out, nil
}

const repositoryPage = 1000

// ListRepositories lists the names and ids of the account's repositories in the Region.
func (r *Room) ListRepositories(ctx context.Context, in *api.ListRepositoriesInput) (*api.ListRepositoriesOutput, error) {
	if err := auth.Check(ctx, "codecommit:ListRepositories", "*"); err != nil {
		return nil, err
	}
	kind := "repositories " + in.SortBy + " " + in.Order
	after, err := parsePageToken(kind, in.NextToken)
	if err != nil {
		return nil, err
	}
	c := auth.From(ctx)
	var all []store.CodeCommitRepository
	err = r.deps.DB.View(ctx, func(tx *store.Tx) (err error) {
		all, err = tx.ListCodeCommitRepositories(ctx, c.Account, c.Region)
		return err
	})
	if err != nil {
		return nil, err
	}
	key := func(p store.CodeCommitRepository) string {
		if in.SortBy == "lastModifiedDate" {
			return fmt.Sprintf("%020d %s", p.Modified.UnixMicro(), p.Name)
		}
		return p.Name
	}
	order := func(a, b string) int {
		if in.Order == "descending" {
			a, b = b, a
		}
		return strings.Compare(a, b)
	}
	slices.SortFunc(all, func(a, b store.CodeCommitRepository) int { return order(key(a), key(b)) })
	out := &api.ListRepositoriesOutput{Repositories: []api.RepositoryNameIdPair{}}
	last := ""
	for _, p := range all {
		if after != "" && order(key(p), after) <= 0 {
			continue
		}
		if len(out.Repositories) == repositoryPage {
			out.NextToken = pageToken(kind, last)
			break
		}
		last = key(p)
		out.Repositories = append(out.Repositories, api.RepositoryNameIdPair{RepositoryName: p.Name, RepositoryId: p.ID})
	}
	return out, nil
}

// DeleteRepository deletes a repository with all it holds; without one it does nothing.
func (r *Room) DeleteRepository(ctx context.Context, in *api.DeleteRepositoryInput) (*api.DeleteRepositoryOutput, error) {
	p, err := r.open(ctx, "DeleteRepository", in.RepositoryName)
	if fault.Code(err) == "RepositoryDoesNotExistException" {
		return &api.DeleteRepositoryOutput{}, nil
	}
	if err != nil {
		return nil, err
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error { return tx.DeleteCodeCommitRepository(ctx, p.ID) })
	if err != nil {
		return nil, err
	}
	if err := r.git.Remove(p.ID); err != nil {
		// The repository is gone for everyone; only bytes are left.
		r.deps.Log.ErrorContext(ctx, "codecommit: remove a repository's folder", "repository", p.ID, "error", err)
	}
	r.deps.Notify(p.arn())
	return &api.DeleteRepositoryOutput{RepositoryId: p.ID}, nil
}

// UpdateRepositoryDescription replaces the description.
func (r *Room) UpdateRepositoryDescription(ctx context.Context, in *api.UpdateRepositoryDescriptionInput) (*api.UpdateRepositoryDescriptionOutput, error) {
	p, err := r.open(ctx, "UpdateRepositoryDescription", in.RepositoryName)
	if err == nil {
		err = checkDescription(in.RepositoryDescription)
	}
	if err == nil {
		err = r.change(ctx, p, func(row *store.CodeCommitRepository) error {
			row.Description = in.RepositoryDescription
			return nil
		})
	}
	return &api.UpdateRepositoryDescriptionOutput{}, err
}

// UpdateRepositoryName renames a repository. Its id and content stay.
func (r *Room) UpdateRepositoryName(ctx context.Context, in *api.UpdateRepositoryNameInput) (*api.UpdateRepositoryNameOutput, error) {
	if err := checkName(in.NewName); err != nil {
		return nil, err
	}
	p, err := r.open(ctx, "UpdateRepositoryName", in.OldName)
	if err != nil {
		return nil, err
	}
	if err := auth.Check(ctx, "codecommit:UpdateRepositoryName", arnOf(p.Account, p.Region, in.NewName)); err != nil {
		return nil, err
	}
	exists := fault.New("RepositoryNameExistsException", "Repository named %s already exists", in.NewName)
	if in.NewName == in.OldName {
		return nil, exists
	}
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		_, err := tx.GetCodeCommitRepository(ctx, p.Account, p.Region, in.NewName)
		if err == nil {
			return exists
		}
		if !errors.Is(err, store.ErrNotFound) {
			return err
		}
		row, err := tx.GetCodeCommitRepositoryByID(ctx, p.ID)
		if err != nil {
			return err
		}
		row.Name, row.Modified = in.NewName, tx.Now()
		return tx.UpdateCodeCommitRepository(ctx, row)
	})
	switch {
	case errors.Is(err, store.ErrExists):
		return nil, exists
	case errors.Is(err, store.ErrNotFound):
		return nil, absentRepository(in.OldName)
	case err != nil:
		return nil, err
	}
	r.deps.Notify(p.arn())
	r.deps.Notify(arnOf(p.Account, p.Region, in.NewName))
	return &api.UpdateRepositoryNameOutput{}, nil
}

// change edits the row of a repository.
func (r *Room) change(ctx context.Context, p *place, edit func(*store.CodeCommitRepository) error) error {
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		row, err := tx.GetCodeCommitRepositoryByID(ctx, p.ID)
		if err != nil {
			return err
		}
		if err := edit(&row); err != nil {
			return err
		}
		row.Modified = tx.Now()
		return tx.UpdateCodeCommitRepository(ctx, row)
	})
	if errors.Is(err, store.ErrNotFound) {
		return absentRepository(p.Name)
	}
	if err == nil {
		r.deps.Notify(p.arn())
	}
	return err
}
