package codecommit

import (
	"context"
	"strings"

	api "penstock/internal/api/codecommit"
	"penstock/internal/fault"
	"penstock/internal/svc/codecommit/git"
)

// MergeBranchesByFastForward moves a branch forward to a commit that has it as ancestor.
func (r *Room) MergeBranchesByFastForward(ctx context.Context, in *api.MergeBranchesByFastForwardInput) (*api.MergeBranchesByFastForwardOutput, error) {
	p, err := r.open(ctx, "MergeBranchesByFastForward", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	source, err := p.resolve(ctx, in.SourceCommitSpecifier)
	if err != nil {
		return nil, err
	}
	destination, err := p.resolve(ctx, in.DestinationCommitSpecifier)
	if err != nil {
		return nil, err
	}
	target := in.TargetBranch
	if target == "" {
		target = strings.TrimPrefix(in.DestinationCommitSpecifier, heads)
	}
	ref, err := branchRef(target)
	if err != nil {
		return nil, err
	}
	tip, err := p.tip(ctx, ref)
	switch {
	case err != nil:
		return nil, err
	case tip == "":
		return nil, absentBranch(p, target)
	case tip != destination.ID:
		return nil, fault.New("InvalidTargetBranchException", "The branch %s is not at the destination commit %s.", target, destination.ID)
	}
	forward, err := p.git.IsAncestor(ctx, destination.ID, source.ID)
	if err != nil {
		return nil, asFault(err)
	}
	if !forward {
		return nil, fault.New("ManualMergeRequiredException", "The branch %s cannot be moved forward to %s: it has commits of its own.", target, source.ID)
	}
	out := &api.MergeBranchesByFastForwardOutput{CommitId: source.ID, TreeId: source.Tree}
	if tip == source.ID {
		return out, nil
	}
	if err := r.deps.DB.Intend(ctx); err != nil {
		return nil, err
	}
	if err := p.git.Move(ctx, ref, tip, source.ID); err != nil {
		return nil, concurrent(err)
	}
	return out, r.moved(ctx, p, []git.Change{{Ref: ref, Old: tip, New: source.ID}})
}
