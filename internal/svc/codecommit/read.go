package codecommit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	api "penstock/internal/api/codecommit"
	"penstock/internal/fault"
	"penstock/internal/svc/codecommit/git"
)

// Limits of what one answer holds.
const (
	maxFile   = 6 << 20
	maxBlob   = 20 << 20
	maxCommit = 100
)

// commit reads a commit by its id.
func (p *place) commit(ctx context.Context, id string) (*git.Commit, error) {
	c, err := p.git.Commit(ctx, id)
	if errors.Is(err, git.ErrNotFound) {
		return nil, fault.New("CommitDoesNotExistException", "The commit %s does not exist in the repository %s.", id, p.Name)
	}
	return c, asFault(err)
}

// resolve finds the commit of a specifier: a full commit id, a branch, a tag, HEAD, or a
// full ref name; "" is the head of the default branch.
func (p *place) resolve(ctx context.Context, specifier string) (*git.Commit, error) {
	if specifier == "" || specifier == "HEAD" {
		if p.DefaultBranch == "" {
			return nil, fault.New("CommitDoesNotExistException", "The repository %s has no default branch yet. Name a commit.", p.Name)
		}
		return p.commit(ctx, heads+p.DefaultBranch)
	}
	var tries []string
	switch {
	case git.ValidID(specifier):
		return p.commit(ctx, specifier)
	case git.ValidRef(specifier):
		tries = []string{specifier}
	}
	if git.ValidBranch(specifier) {
		tries = append(tries, heads+specifier, "refs/tags/"+specifier)
	}
	if len(tries) == 0 {
		return nil, fault.New("InvalidCommitException", "The commit specifier %q is not valid. Use a branch, a tag, HEAD, or a full commit id.", specifier)
	}
	for _, rev := range tries {
		c, err := p.git.Commit(ctx, rev)
		if !errors.Is(err, git.ErrNotFound) {
			return c, asFault(err)
		}
	}
	return nil, fault.New("CommitDoesNotExistException", "The commit %s does not exist in the repository %s.", specifier, p.Name)
}

func user(p git.Person) *api.UserInfo {
	return &api.UserInfo{Name: p.Name, Email: p.Email, Date: fmt.Sprintf("%d %s", p.Unix, p.Zone)}
}

func detail(c *git.Commit) *api.Commit {
	parents := c.Parents
	if parents == nil {
		parents = []string{}
	}
	return &api.Commit{
		CommitId: c.ID, TreeId: c.Tree, Parents: parents, Message: c.Message,
		Author: user(c.Author), Committer: user(c.Committer), AdditionalData: c.Extra,
	}
}

// GetCommit describes a commit.
func (r *Room) GetCommit(ctx context.Context, in *api.GetCommitInput) (*api.GetCommitOutput, error) {
	p, err := r.open(ctx, "GetCommit", in.RepositoryName)
	if err == nil {
		err = checkCommitID(in.CommitId)
	}
	if err != nil {
		return nil, err
	}
	c, err := p.git.Commit(ctx, in.CommitId)
	if errors.Is(err, git.ErrNotFound) {
		return nil, fault.New("CommitIdDoesNotExistException", "The commit %s does not exist in the repository %s.", in.CommitId, p.Name)
	}
	if err != nil {
		return nil, asFault(err)
	}
	return &api.GetCommitOutput{Commit: detail(c)}, nil
}

// BatchGetCommits describes up to 100 commits.
func (r *Room) BatchGetCommits(ctx context.Context, in *api.BatchGetCommitsInput) (*api.BatchGetCommitsOutput, error) {
	p, err := r.open(ctx, "BatchGetCommits", in.RepositoryName)
	switch {
	case err != nil:
		return nil, err
	case len(in.CommitIds) == 0:
		return nil, fault.New("CommitIdsListRequiredException", "At least one commit id is required.")
	case len(in.CommitIds) > maxCommit:
		return nil, fault.New("CommitIdsLimitExceededException", "At most %d commits can be asked for at once.", maxCommit)
	}
	out := &api.BatchGetCommitsOutput{Commits: []api.Commit{}, Errors: []api.BatchGetCommitsError{}}
	for _, id := range in.CommitIds {
		err := checkCommitID(id)
		var c *git.Commit
		if err == nil {
			c, err = p.commit(ctx, id)
		}
		var f *fault.Error
		switch {
		case errors.As(err, &f) && f.Code != "ThrottlingException":
			out.Errors = append(out.Errors, api.BatchGetCommitsError{CommitId: id, ErrorCode: f.Code, ErrorMessage: f.Message})
		case err != nil:
			return nil, err
		default:
			out.Commits = append(out.Commits, *detail(c))
		}
	}
	return out, nil
}

// modeNames are the API's words for the modes of files.
var modeNames = map[string]string{"100644": "NORMAL", "100755": "EXECUTABLE", "120000": "SYMLINK"}

func checkPath(path string) (string, error) {
	if path == "" {
		return "", fault.New("PathRequiredException", "A path is required.")
	}
	clean, ok := git.CleanPath(path)
	if !ok {
		return "", fault.New("InvalidPathException", "The path %q is not valid. No part of it may be empty, a period, two periods or .git.", path)
	}
	return clean, nil
}

// GetFile gives a file of a commit.
func (r *Room) GetFile(ctx context.Context, in *api.GetFileInput) (*api.GetFileOutput, error) {
	p, err := r.open(ctx, "GetFile", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	path, err := checkPath(in.FilePath)
	if err != nil {
		return nil, err
	}
	c, err := p.resolve(ctx, in.CommitSpecifier)
	if err != nil {
		return nil, err
	}
	e, err := p.git.Lookup(ctx, c.ID, path)
	if err == nil && modeNames[e.Mode] == "" {
		err = git.ErrNotFound
	}
	if errors.Is(err, git.ErrNotFound) {
		return nil, fault.New("FileDoesNotExistException", "The file %s does not exist in the commit %s.", path, c.ID)
	}
	if err != nil {
		return nil, asFault(err)
	}
	data, err := p.blob(ctx, e.ID, maxFile)
	if err != nil {
		return nil, err
	}
	return &api.GetFileOutput{
		CommitId: c.ID, BlobId: e.ID, FilePath: path, FileMode: modeNames[e.Mode],
		FileSize: new(int64(len(data))), FileContent: data,
	}, nil
}

// blob reads a file's content. The data is never nil.
func (p *place) blob(ctx context.Context, id string, limit int) ([]byte, error) {
	o, err := p.git.Object(ctx, id, limit)
	switch {
	case errors.Is(err, git.ErrTooLarge):
		return nil, fault.New("FileTooLargeException", "The file is larger than %d MiB. Clone the repository to read it.", limit>>20)
	case errors.Is(err, git.ErrNotFound), err == nil && o.Type != "blob":
		return nil, fault.New("BlobIdDoesNotExistException", "The blob %s does not exist in the repository %s.", id, p.Name)
	case err != nil:
		return nil, asFault(err)
	}
	return append([]byte{}, o.Data...), nil
}

// GetBlob gives the content of a file by its blob id.
func (r *Room) GetBlob(ctx context.Context, in *api.GetBlobInput) (*api.GetBlobOutput, error) {
	p, err := r.open(ctx, "GetBlob", in.RepositoryName)
	switch {
	case err != nil:
		return nil, err
	case in.BlobId == "":
		return nil, fault.New("BlobIdRequiredException", "A blob id is required.")
	case !git.ValidID(in.BlobId):
		return nil, fault.New("InvalidBlobIdException", "The blob id %q is not valid. It has 40 hexadecimal digits.", in.BlobId)
	}
	data, err := p.blob(ctx, in.BlobId, maxBlob)
	if err != nil {
		return nil, err
	}
	return &api.GetBlobOutput{Content: data}, nil
}

// GetFolder lists a folder of a commit, one level deep.
func (r *Room) GetFolder(ctx context.Context, in *api.GetFolderInput) (*api.GetFolderOutput, error) {
	p, err := r.open(ctx, "GetFolder", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	path, err := checkPath(in.FolderPath)
	if err != nil {
		return nil, err
	}
	c, err := p.resolve(ctx, in.CommitSpecifier)
	if err != nil {
		return nil, err
	}
	id, entries, err := p.git.Tree(ctx, c.ID, path)
	if errors.Is(err, git.ErrNotFound) {
		return nil, fault.New("FolderDoesNotExistException", "The folder %s does not exist in the commit %s.", path, c.ID)
	}
	if err != nil {
		return nil, asFault(err)
	}
	out := &api.GetFolderOutput{
		CommitId: c.ID, FolderPath: path, TreeId: id, SubFolders: []api.Folder{}, Files: []api.File{},
		SymbolicLinks: []api.SymbolicLink{}, SubModules: []api.SubModule{},
	}
	for _, e := range entries {
		full := strings.TrimPrefix(path+"/"+e.Name, "/")
		switch e.Mode {
		case "40000":
			out.SubFolders = append(out.SubFolders, api.Folder{TreeId: e.ID, AbsolutePath: full, RelativePath: e.Name})
		case "120000":
			out.SymbolicLinks = append(out.SymbolicLinks, api.SymbolicLink{BlobId: e.ID, AbsolutePath: full, RelativePath: e.Name, FileMode: "SYMLINK"})
		case "160000":
			out.SubModules = append(out.SubModules, api.SubModule{CommitId: e.ID, AbsolutePath: full, RelativePath: e.Name})
		default:
			mode := modeNames[e.Mode]
			if mode == "" {
				mode = "NORMAL" // 100664 of very old commits
			}
			out.Files = append(out.Files, api.File{BlobId: e.ID, AbsolutePath: full, RelativePath: e.Name, FileMode: mode})
		}
	}
	return out, nil
}

const differencePage = 100

// GetDifferences gives the files that differ between two commits.
func (r *Room) GetDifferences(ctx context.Context, in *api.GetDifferencesInput) (*api.GetDifferencesOutput, error) {
	p, err := r.open(ctx, "GetDifferences", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	limit := differencePage
	if in.MaxResults != nil {
		if *in.MaxResults < 1 {
			return nil, fault.New("InvalidMaxResultsException", "The number of results must be positive.")
		}
		limit = int(min(*in.MaxResults, 1000))
	}
	token, err := parsePageToken("differences", in.NextToken)
	if err != nil {
		return nil, err
	}
	if in.AfterCommitSpecifier == "" {
		return nil, fault.New("CommitRequiredException", "A commit specifier to compare to is required.")
	}
	after, err := p.resolve(ctx, in.AfterCommitSpecifier)
	if err != nil {
		return nil, err
	}
	before := ""
	if in.BeforeCommitSpecifier != "" {
		c, err := p.resolve(ctx, in.BeforeCommitSpecifier)
		if err != nil {
			return nil, err
		}
		before = c.ID
	}
	within, err := withinPaths(in.BeforePath, in.AfterPath)
	if err != nil {
		return nil, err
	}
	deltas, err := p.git.Diff(ctx, before, after.ID, "")
	if errors.Is(err, git.ErrTooLarge) {
		return nil, fault.New("MaximumItemsToCompareExceededException", "The commits differ in too many files. Compare commits that are nearer to each other.")
	}
	if err != nil {
		return nil, asFault(err)
	}
	out := &api.GetDifferencesOutput{Differences: []api.Difference{}}
	last := ""
	for _, d := range deltas {
		// git sorts by path bytes, so that a page begins behind the last path.
		if token != "" && d.Path <= token || !within(d.Path) {
			continue
		}
		if len(out.Differences) == limit {
			out.NextToken = pageToken("differences", last)
			break
		}
		last = d.Path
		out.Differences = append(out.Differences, difference(d))
	}
	return out, nil
}

func difference(d git.Delta) api.Difference {
	out := api.Difference{ChangeType: "M"}
	if d.OldID != "" {
		out.BeforeBlob = &api.BlobMetadata{BlobId: d.OldID, Path: d.Path, Mode: d.OldMode}
	} else {
		out.ChangeType = "A"
	}
	if d.NewID != "" {
		out.AfterBlob = &api.BlobMetadata{BlobId: d.NewID, Path: d.Path, Mode: d.NewMode}
	} else {
		out.ChangeType = "D"
	}
	return out
}

// withinPaths gives the filter of the two optional paths: at or below either of them.
func withinPaths(paths ...string) (func(string) bool, error) {
	var roots []string
	for _, path := range paths {
		if path == "" {
			continue
		}
		clean, err := checkPath(path)
		if err != nil {
			return nil, err
		}
		roots = append(roots, clean)
	}
	return func(path string) bool {
		for _, root := range roots {
			if root == "" || path == root || strings.HasPrefix(path, root+"/") {
				return true
			}
		}
		return len(roots) == 0
	}, nil
}
