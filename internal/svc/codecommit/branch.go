package codecommit

import (
	"context"
	"errors"
	"maps"
	"slices"

	api "penstock/internal/api/codecommit"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit/git"
)

const heads = "refs/heads/"

// branchRef gives the full ref of a branch name.
func branchRef(name string) (string, error) {
	switch {
	case name == "":
		return "", fault.New("BranchNameRequiredException", "A branch name is required.")
	case !git.ValidBranch(name):
		return "", fault.New("InvalidBranchNameException",
			"The branch name %q is not valid. It follows the rules of git check-ref-format, has at most 256 bytes, and no part of it begins with a dash.", name)
	}
	return heads + name, nil
}

func checkCommitID(id string) error {
	switch {
	case id == "":
		return fault.New("CommitIdRequiredException", "A commit id is required.")
	case !git.ValidID(id):
		return fault.New("InvalidCommitIdException", "The commit id %q is not valid. It has 40 hexadecimal digits.", id)
	}
	return nil
}

// tip gives the commit a branch is at; "" when there is no such branch.
func (p *place) tip(ctx context.Context, ref string) (string, error) {
	id, _, _, err := p.git.Stat(ctx, ref)
	if errors.Is(err, git.ErrNotFound) {
		return "", nil
	}
	return id, asFault(err)
}

// branch opens a repository for an operation on a branch, and gives the branch's ref and the commit
// it is at, "" when there is no such branch.
func (r *Room) branch(ctx context.Context, operation, repository, name string) (p *place, ref, tip string, err error) {
	if p, err = r.open(ctx, operation, repository); err != nil {
		return nil, "", "", err
	}
	if ref, err = branchRef(name); err == nil {
		tip, err = p.tip(ctx, ref)
	}
	return p, ref, tip, err
}

// GetBranch gives the commit a branch is at.
func (r *Room) GetBranch(ctx context.Context, in *api.GetBranchInput) (*api.GetBranchOutput, error) {
	p, _, id, err := r.branch(ctx, "GetBranch", in.RepositoryName, in.BranchName)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, absentBranch(p, in.BranchName)
	}
	return &api.GetBranchOutput{Branch: &api.BranchInfo{BranchName: in.BranchName, CommitId: id}}, nil
}

func absentBranch(p *place, name string) error {
	return fault.New("BranchDoesNotExistException", "The branch %s does not exist in the repository %s.", name, p.Name)
}

const branchPage = 1000

// ListBranches lists the names of branches.
func (r *Room) ListBranches(ctx context.Context, in *api.ListBranchesInput) (*api.ListBranchesOutput, error) {
	p, err := r.open(ctx, "ListBranches", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	after, err := parsePageToken("branches", in.NextToken)
	if err != nil {
		return nil, err
	}
	refs, err := p.git.Refs(ctx, heads)
	if err != nil {
		return nil, asFault(err)
	}
	out := &api.ListBranchesOutput{Branches: []string{}}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		name := ref[len(heads):]
		if name <= after {
			continue
		}
		if len(out.Branches) == branchPage {
			out.NextToken = pageToken("branches", out.Branches[branchPage-1])
			break
		}
		out.Branches = append(out.Branches, name)
	}
	return out, nil
}

// CreateBranch makes a branch at a commit.
func (r *Room) CreateBranch(ctx context.Context, in *api.CreateBranchInput) (*api.CreateBranchOutput, error) {
	p, err := r.open(ctx, "CreateBranch", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	ref, err := branchRef(in.BranchName)
	if err == nil {
		err = checkCommitID(in.CommitId)
	}
	if err != nil {
		return nil, err
	}
	if _, err := p.commit(ctx, in.CommitId); err != nil {
		return nil, err
	}
	if err = r.deps.DB.Intend(ctx); err != nil {
		return nil, err
	}
	err = p.git.Move(ctx, ref, "", in.CommitId)
	switch {
	case errors.Is(err, git.ErrStale):
		return nil, fault.New("BranchNameExistsException", "The branch %s already exists in the repository %s.", in.BranchName, p.Name)
	case errors.Is(err, git.ErrConflict):
		return nil, fault.New("InvalidBranchNameException", "A branch named %q cannot exist beside a branch that is a folder to it, or to which it is one.", in.BranchName)
	case err != nil:
		return nil, asFault(err)
	}
	return &api.CreateBranchOutput{}, r.moved(ctx, p, []git.Change{{Ref: ref, New: in.CommitId}})
}

// DeleteBranch deletes a branch, but not the default one. Without one it does nothing.
func (r *Room) DeleteBranch(ctx context.Context, in *api.DeleteBranchInput) (*api.DeleteBranchOutput, error) {
	p, ref, id, err := r.branch(ctx, "DeleteBranch", in.RepositoryName, in.BranchName)
	if err != nil {
		return nil, err
	}
	if in.BranchName == p.DefaultBranch {
		return nil, fault.New("DefaultBranchCannotBeDeletedException",
			"The branch %s is the default branch of the repository %s. Make another branch the default one before you delete it.", in.BranchName, p.Name)
	}
	if id == "" {
		return &api.DeleteBranchOutput{}, nil
	}
	if err := r.deps.DB.Intend(ctx); err != nil {
		return nil, err
	}
	if err := p.git.Move(ctx, ref, id, ""); err != nil {
		return nil, concurrent(err)
	}
	out := &api.DeleteBranchOutput{DeletedBranch: &api.BranchInfo{BranchName: in.BranchName, CommitId: id}}
	return out, r.moved(ctx, p, []git.Change{{Ref: ref, Old: id}})
}

// concurrent names the loss of a race for a ref.
func concurrent(err error) error {
	if errors.Is(err, git.ErrStale) {
		return fault.New("ConcurrentReferenceUpdateException", "The branch was moved at the same time. Look at it and try again.")
	}
	return asFault(err)
}

// UpdateDefaultBranch makes another branch the default one.
func (r *Room) UpdateDefaultBranch(ctx context.Context, in *api.UpdateDefaultBranchInput) (*api.UpdateDefaultBranchOutput, error) {
	p, _, id, err := r.branch(ctx, "UpdateDefaultBranch", in.RepositoryName, in.DefaultBranchName)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return nil, absentBranch(p, in.DefaultBranchName)
	}
	err = r.change(ctx, p, func(row *store.CodeCommitRepository) error {
		row.DefaultBranch = in.DefaultBranchName
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateDefaultBranchOutput{}, asFault(p.follow(context.WithoutCancel(ctx), in.DefaultBranchName))
}
