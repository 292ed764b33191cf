package codecommit

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit/git"
)

// Limits of a commit made through the API.
const (
	maxEntries = 100
	maxFolder  = 20 << 20
	maxMessage = 256 << 10
	maxName    = 256
)

// draft is a commit to be made, in the words all three operations share.
type draft struct {
	repository, branch, parent string
	message, name, email       string
	standard                   string // the message when there is none
	edits                      []git.Edit
	keepFolders                bool
}

// write makes the commit and tells of it.
func (r *Room) write(ctx context.Context, action string, d draft) (*git.Made, error) {
	p, err := r.open(ctx, action, d.repository)
	if err != nil {
		return nil, err
	}
	ref, err := branchRef(d.branch)
	if err == nil {
		err = d.check()
	}
	if err != nil {
		return nil, err
	}
	if err := p.checkParent(ctx, ref, d); err != nil {
		return nil, err
	}
	if d.keepFolders && d.parent != "" {
		if err := p.keepFolders(ctx, &d); err != nil {
			return nil, err
		}
	}
	if d.name == "" {
		arn := auth.From(ctx).ARN
		d.name = arn[strings.LastIndexAny(arn, "/:")+1:]
	}
	if d.message == "" {
		d.message = d.standard
	}
	if r.deps.DB.Full() {
		return nil, store.ErrFull // as for a push
	}
	if err := r.deps.DB.Intend(ctx); err != nil {
		return nil, err
	}
	made, err := p.git.Write(ctx, git.NewCommit{
		Branch: ref, Parent: d.parent, Message: d.message, Edits: d.edits,
		Author: git.Person{Name: d.name, Email: d.email, Unix: r.deps.Now().Unix(), Zone: "+0000"},
	})
	switch {
	case errors.Is(err, git.ErrNotFound):
		return nil, fault.New("FileDoesNotExistException", "The commit names a file that does not exist in the branch %s: %s", d.branch, after(err))
	case errors.Is(err, git.ErrNoChange):
		return nil, fault.New("NoChangeException", "The commit would change nothing in the branch %s.", d.branch)
	case errors.Is(err, git.ErrStale):
		return nil, outdated(d)
	case errors.Is(err, git.ErrConflict) && d.parent == "":
		return nil, fault.New("PutFileEntryConflictException", "Two entries of the commit name one path, or one a folder of the other: %s", after(err))
	case errors.Is(err, git.ErrConflict):
		return nil, fault.New("FileNameConflictsWithDirectoryNameException", "A file and a folder would have the same name: %s", after(err))
	case err != nil:
		return nil, asFault(err)
	}
	return made, r.moved(ctx, p, []git.Change{{Ref: ref, Old: d.parent, New: made.ID}})
}

// after gives the path that an error of package git ends with.
func after(err error) string {
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+2:]
}

func outdated(d draft) error {
	return fault.New("ParentCommitIdOutdatedException",
		"The parent commit %s is not the latest commit of the branch %s. Get the branch and use its commit id.", d.parent, d.branch)
}

// check looks at everything that does not need the repository.
func (d *draft) check() error {
	total := 0
	switch {
	case len(d.edits) == 0:
		return fault.New("FileEntryRequiredException", "A commit needs at least one file to put, to delete, or to change the mode of.")
	case len(d.edits) > maxEntries:
		return fault.New("MaximumFileEntriesExceededException", "A commit may name at most %d files.", maxEntries)
	case len(d.message) > maxMessage:
		return fault.New("CommitMessageLengthExceededException", "A commit message has at most %d KB.", maxMessage>>10)
	case len(d.name) > maxName:
		return fault.New("NameLengthExceededException", "The name of an author has at most %d characters.", maxName)
	case len(d.email) > maxName || strings.ContainsAny(d.email, "<>\n\x00"):
		return fault.New("InvalidEmailException", "The email address %q is not valid.", d.email)
	case strings.ContainsRune(d.message, 0) || strings.ContainsAny(d.name, "<>\n\x00") || !utf8.ValidString(d.message):
		return fault.New("InvalidCommitException", "The message or the name of the author holds characters that a commit cannot have.")
	}
	for i := range d.edits {
		e := &d.edits[i]
		clean, err := checkPath(e.Path)
		if err != nil {
			return err
		}
		if clean == "" {
			return fault.New("InvalidPathException", "The path %q is the root of the repository, not a file.", e.Path)
		}
		e.Path = clean
		if len(e.Content) > maxFile {
			return fault.New("FileContentSizeLimitExceededException", "The file %s has more than %d MiB. Push it with git.", clean, maxFile>>20)
		}
		total += len(e.Content)
	}
	if total > maxFolder {
		return fault.New("FolderContentSizeLimitExceededException", "The files have more than %d MiB together. Push them with git.", maxFolder>>20)
	}
	return nil
}

// checkParent wants the tip of the branch named, so that nobody overwrites what they have
// not seen; in an empty repository the commit makes the branch.
func (p *place) checkParent(ctx context.Context, ref string, d draft) error {
	if d.parent != "" && !git.ValidID(d.parent) {
		return fault.New("InvalidParentCommitIdException", "The parent commit id %q is not valid. It has 40 hexadecimal digits.", d.parent)
	}
	tip, err := p.tip(ctx, ref)
	if err != nil {
		return err
	}
	if tip == "" {
		refs, err := p.git.Refs(ctx, heads)
		switch {
		case err != nil:
			return asFault(err)
		case len(refs) > 0:
			return absentBranch(p, d.branch)
		case d.parent != "":
			return fault.New("ParentCommitDoesNotExistException", "The parent commit %s does not exist: the repository %s is empty.", d.parent, p.Name)
		}
		return nil
	}
	switch {
	case d.parent == "":
		return fault.New("ParentCommitIdRequiredException", "A parent commit id is required, because the branch %s has commits.", d.branch)
	case d.parent == tip:
		return nil
	}
	if _, err := p.git.Commit(ctx, d.parent); errors.Is(err, git.ErrNotFound) {
		return fault.New("ParentCommitDoesNotExistException", "The parent commit %s does not exist in the repository %s.", d.parent, p.Name)
	} else if err != nil {
		return asFault(err)
	}
	return outdated(d)
}

// keepFolders adds a .gitkeep where the deletions leave a folder empty.
func (p *place) keepFolders(ctx context.Context, d *draft) error {
	done := map[string]bool{}
	for _, e := range slices.Clone(d.edits) {
		folder := path.Dir(e.Path)
		if !e.Delete || folder == "." || done[folder] {
			continue
		}
		done[folder] = true
		_, entries, err := p.git.Tree(ctx, d.parent, folder)
		if errors.Is(err, git.ErrNotFound) {
			continue
		}
		if err != nil {
			return asFault(err)
		}
		stays := func(name string) bool {
			return !slices.ContainsFunc(d.edits, func(e git.Edit) bool { return e.Delete && e.Path == folder+"/"+name })
		}
		filled := slices.ContainsFunc(d.edits, func(e git.Edit) bool { return !e.Delete && strings.HasPrefix(e.Path, folder+"/") })
		if !filled && !slices.ContainsFunc(entries, func(e git.Entry) bool { return stays(e.Name) }) {
			d.edits = append(d.edits, git.Edit{Path: folder + "/.gitkeep", Content: []byte{}})
		}
	}
	return nil
}

func fileMode(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	for mode, n := range modeNames {
		if n == name {
			return mode, nil
		}
	}
	return "", fault.New("InvalidFileModeException", "The file mode %q is not valid. It is NORMAL, EXECUTABLE or SYMLINK.", name)
}

// PutFile adds or replaces one file in a commit of its own.
func (r *Room) PutFile(ctx context.Context, in *api.PutFileInput) (*api.PutFileOutput, error) {
	mode, err := fileMode(in.FileMode)
	if err != nil {
		return nil, err
	}
	made, err := r.write(ctx, "PutFile", draft{
		repository: in.RepositoryName, branch: in.BranchName, parent: in.ParentCommitId,
		message: in.CommitMessage, name: in.Name, email: in.Email, standard: "Put " + in.FilePath + "\n",
		edits: []git.Edit{{Path: in.FilePath, Mode: mode, Content: append([]byte{}, in.FileContent...)}},
	})
	if fault.Code(err) == "NoChangeException" {
		return nil, fault.New("SameFileContentException", "The file %s has this content already.", in.FilePath)
	}
	if err != nil {
		return nil, err
	}
	return &api.PutFileOutput{CommitId: made.ID, TreeId: made.Tree, BlobId: made.Deltas[0].NewID}, nil
}

// DeleteFile removes one file in a commit of its own.
func (r *Room) DeleteFile(ctx context.Context, in *api.DeleteFileInput) (*api.DeleteFileOutput, error) {
	made, err := r.write(ctx, "DeleteFile", draft{
		repository: in.RepositoryName, branch: in.BranchName, parent: in.ParentCommitId,
		message: in.CommitMessage, name: in.Name, email: in.Email, standard: "Delete " + in.FilePath + "\n",
		edits:       []git.Edit{{Path: in.FilePath, Delete: true}},
		keepFolders: in.KeepEmptyFolders != nil && *in.KeepEmptyFolders,
	})
	if err != nil {
		return nil, err
	}
	out := &api.DeleteFileOutput{CommitId: made.ID, TreeId: made.Tree, FilePath: in.FilePath}
	for _, d := range made.Deltas {
		if d.NewID == "" {
			out.BlobId = d.OldID
		}
	}
	return out, nil
}

// CreateCommit puts, deletes and changes the modes of up to 100 files in one commit.
func (r *Room) CreateCommit(ctx context.Context, in *api.CreateCommitInput) (*api.CreateCommitOutput, error) {
	d := draft{
		repository: in.RepositoryName, branch: in.BranchName, parent: in.ParentCommitId,
		message: in.CommitMessage, name: in.AuthorName, email: in.Email, standard: "Change files\n",
		keepFolders: in.KeepEmptyFolders != nil && *in.KeepEmptyFolders,
	}
	for _, put := range in.PutFiles {
		edits, err := putEdits(put)
		if err != nil {
			return nil, err
		}
		d.edits = append(d.edits, edits...)
	}
	for _, del := range in.DeleteFiles {
		d.edits = append(d.edits, git.Edit{Path: del.FilePath, Delete: true})
	}
	for _, set := range in.SetFileModes {
		mode, err := fileMode(set.FileMode)
		if err != nil {
			return nil, err
		}
		if mode == "" {
			return nil, fault.New("FileModeRequiredException", "The file mode of %s is required.", set.FilePath)
		}
		d.edits = append(d.edits, git.Edit{Path: set.FilePath, Mode: mode})
	}
	made, err := r.write(ctx, "CreateCommit", d)
	if err != nil {
		return nil, err
	}
	out := &api.CreateCommitOutput{
		CommitId: made.ID, TreeId: made.Tree, FilesAdded: []api.FileMetadata{},
		FilesUpdated: []api.FileMetadata{}, FilesDeleted: []api.FileMetadata{},
	}
	for _, x := range made.Deltas {
		meta := api.FileMetadata{AbsolutePath: x.Path, BlobId: x.NewID, FileMode: modeNames[x.NewMode]}
		switch {
		case x.OldID == "":
			out.FilesAdded = append(out.FilesAdded, meta)
		case x.NewID == "":
			meta.BlobId, meta.FileMode = x.OldID, modeNames[x.OldMode]
			out.FilesDeleted = append(out.FilesDeleted, meta)
		default:
			out.FilesUpdated = append(out.FilesUpdated, meta)
		}
	}
	return out, nil
}

func putEdits(put api.PutFileEntry) ([]git.Edit, error) {
	mode, err := fileMode(put.FileMode)
	switch {
	case err != nil:
		return nil, err
	case put.FileContent != nil && put.SourceFile != nil:
		return nil, fault.New("FileContentAndSourceFileSpecifiedException", "The entry %s has both a content and a source file.", put.FilePath)
	case put.FileContent == nil && put.SourceFile == nil:
		return nil, fault.New("SourceFileOrContentRequiredException", "The entry %s needs a content or a source file.", put.FilePath)
	case put.SourceFile == nil:
		return []git.Edit{{Path: put.FilePath, Mode: mode, Content: put.FileContent}}, nil
	}
	from, err := checkPath(put.SourceFile.FilePath)
	if err != nil {
		return nil, err
	}
	edits := []git.Edit{{Path: put.FilePath, Mode: mode, From: from}}
	if put.SourceFile.IsMove != nil && *put.SourceFile.IsMove {
		edits = append(edits, git.Edit{Path: from, Delete: true})
	}
	return edits, nil
}
