package codecommit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// N-8: the life of a repository.
func TestRepository(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db)
		out, err := b.CreateRepository(b.ctx, &api.CreateRepositoryInput{
			RepositoryName: "one", RepositoryDescription: "d", Tags: map[string]string{"k": "v"},
		})
		if err != nil {
			t.Fatal(err)
		}
		m := out.RepositoryMetadata
		if m.Arn != "arn:aws:codecommit:us-east-1:000000000000:one" || m.CloneUrlHttp != b.url+"/v1/repos/one" ||
			m.AccountId != "000000000000" || len(m.RepositoryId) != 36 || m.CreationDate == nil || m.DefaultBranch != "" {
			t.Errorf("metadata %+v", m)
		}
		_, err = b.CreateRepository(b.ctx, &api.CreateRepositoryInput{RepositoryName: "one"})
		wantCode(t, "twice", err, "RepositoryNameExistsException")
		for _, name := range []string{"../x", "a/b", "a b", ".", "..", "x.git", strings.Repeat("a", 101), "a\n"} {
			_, err = b.CreateRepository(b.ctx, &api.CreateRepositoryInput{RepositoryName: name})
			wantCode(t, name, err, "InvalidRepositoryNameException")
		}
		b.create("-x") // allowed by the model; it never names a folder
		_, err = b.UpdateRepositoryName(b.ctx, &api.UpdateRepositoryNameInput{OldName: "one", NewName: "-x"})
		wantCode(t, "rename onto another", err, "RepositoryNameExistsException")
		if _, err = b.UpdateRepositoryName(b.ctx, &api.UpdateRepositoryNameInput{OldName: "one", NewName: "two"}); err != nil {
			t.Fatal(err)
		}
		if _, err = b.UpdateRepositoryDescription(b.ctx, &api.UpdateRepositoryDescriptionInput{RepositoryName: "two", RepositoryDescription: "e"}); err != nil {
			t.Fatal(err)
		}
		batch, err := b.BatchGetRepositories(b.ctx, &api.BatchGetRepositoriesInput{RepositoryNames: []string{"one", "two"}})
		if err != nil || !slices.Equal(batch.RepositoriesNotFound, []string{"one"}) || len(batch.Repositories) != 1 ||
			batch.Repositories[0].RepositoryDescription != "e" || batch.Repositories[0].RepositoryId != m.RepositoryId {
			t.Errorf("batch %+v, %v", batch, err)
		}
		list, err := b.ListRepositories(b.ctx, &api.ListRepositoriesInput{SortBy: "repositoryName", Order: "descending"})
		if err != nil || len(list.Repositories) != 2 || list.Repositories[0].RepositoryName != "two" || list.NextToken != "" {
			t.Errorf("list %+v, %v", list, err)
		}
		_, err = b.ListRepositories(b.ctx, &api.ListRepositoriesInput{NextToken: "nonsense"})
		wantCode(t, "token", err, "InvalidContinuationTokenException")

		gone, err := b.DeleteRepository(b.ctx, &api.DeleteRepositoryInput{RepositoryName: "two"})
		if err != nil || gone.RepositoryId != m.RepositoryId {
			t.Errorf("delete %+v, %v", gone, err)
		}
		if gone, err = b.DeleteRepository(b.ctx, &api.DeleteRepositoryInput{RepositoryName: "two"}); err != nil || gone.RepositoryId != "" {
			t.Errorf("delete again %+v, %v", gone, err)
		}
		_, err = b.GetRepository(b.ctx, &api.GetRepositoryInput{RepositoryName: "two"})
		wantCode(t, "deleted", err, "RepositoryDoesNotExistException")
		ids, err := b.git.Ids()
		if err != nil || len(ids) != 1 {
			t.Errorf("folders %v, %v", ids, err)
		}
	})
}

func TestRepositoriesAreScoped(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("one")
	elsewhere := admin
	elsewhere.Region = "eu-west-1"
	ctx := auth.Trusted(t.Context(), elsewhere)
	_, err := b.GetRepository(ctx, &api.GetRepositoryInput{RepositoryName: "one"})
	wantCode(t, "another Region", err, "RepositoryDoesNotExistException")
}

func TestOperationsAreAuthorised(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("one")
	ctx, err := auth.Limited(t.Context(), admin, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"codecommit:GetRepository","Resource":"*"}}`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.GetRepository(ctx, &api.GetRepositoryInput{RepositoryName: "one"}); err != nil {
		t.Error(err)
	}
	const id = "0123456789012345678901234567890123456789"
	arn := "arn:aws:codecommit:us-east-1:000000000000:one"
	for name, call := range map[string]func(context.Context) error{
		"CreateRepository": func(ctx context.Context) error {
			_, err := b.CreateRepository(ctx, &api.CreateRepositoryInput{RepositoryName: "x"})
			return err
		},
		"ListRepositories": func(ctx context.Context) error {
			_, err := b.ListRepositories(ctx, &api.ListRepositoriesInput{})
			return err
		},
		"DeleteRepository": func(ctx context.Context) error {
			_, err := b.DeleteRepository(ctx, &api.DeleteRepositoryInput{RepositoryName: "one"})
			return err
		},
		"GetBranch": func(ctx context.Context) error {
			_, err := b.GetBranch(ctx, &api.GetBranchInput{RepositoryName: "one", BranchName: "m"})
			return err
		},
		"GetCommit": func(ctx context.Context) error {
			_, err := b.GetCommit(ctx, &api.GetCommitInput{RepositoryName: "one", CommitId: id})
			return err
		},
		"PutFile": func(ctx context.Context) error {
			_, err := b.PutFile(ctx, &api.PutFileInput{RepositoryName: "one", BranchName: "m", FilePath: "f"})
			return err
		},
		"UploadArchive": func(ctx context.Context) error {
			_, err := b.UploadArchive(ctx, &api.UploadArchiveInput{RepositoryName: "one", CommitId: id, S3Bucket: "b", S3Key: "k"})
			return err
		},
		"ListTagsForResource": func(ctx context.Context) error {
			_, err := b.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
			return err
		},
	} {
		wantCode(t, name, call(ctx), "AccessDeniedException")
	}
}

func TestBranches(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("one")
	first := b.put("one", "main", "", "a", "1")
	second := b.put("one", "main", first, "a", "2")
	if _, err := b.CreateBranch(b.ctx, &api.CreateBranchInput{RepositoryName: "one", BranchName: "feature/x", CommitId: first}); err != nil {
		t.Fatal(err)
	}
	got, err := b.GetBranch(b.ctx, &api.GetBranchInput{RepositoryName: "one", BranchName: "main"})
	if err != nil || got.Branch.CommitId != second {
		t.Errorf("branch %+v, %v", got, err)
	}
	list, err := b.ListBranches(b.ctx, &api.ListBranchesInput{RepositoryName: "one"})
	if err != nil || !slices.Equal(list.Branches, []string{"feature/x", "main"}) {
		t.Errorf("list %+v, %v", list, err)
	}
	none := strings.Repeat("0", 39) + "1"
	for name, c := range map[string][3]string{
		"exists":      {"main", first, "BranchNameExistsException"},
		"option":      {"--upload-pack=x", first, "InvalidBranchNameException"},
		"dots":        {"a..b", first, "InvalidBranchNameException"},
		"below":       {"main/x", first, "InvalidBranchNameException"},
		"no commit":   {"b", none, "CommitDoesNotExistException"},
		"short":       {"b", first[:7], "InvalidCommitIdException"},
		"empty":       {"b", "", "CommitIdRequiredException"},
		"no name":     {"", first, "BranchNameRequiredException"},
		"bad commit":  {"b", "--all", "InvalidCommitIdException"},
		"not by name": {"b", "main", "InvalidCommitIdException"},
	} {
		_, err := b.CreateBranch(b.ctx, &api.CreateBranchInput{RepositoryName: "one", BranchName: c[0], CommitId: c[1]})
		wantCode(t, name, err, c[2])
	}
	_, err = b.GetBranch(b.ctx, &api.GetBranchInput{RepositoryName: "one", BranchName: "none"})
	wantCode(t, "no branch", err, "BranchDoesNotExistException")
	_, err = b.DeleteBranch(b.ctx, &api.DeleteBranchInput{RepositoryName: "one", BranchName: "main"})
	wantCode(t, "default", err, "DefaultBranchCannotBeDeletedException")
	if _, err := b.UpdateDefaultBranch(b.ctx, &api.UpdateDefaultBranchInput{RepositoryName: "one", DefaultBranchName: "feature/x"}); err != nil {
		t.Fatal(err)
	}
	gone, err := b.DeleteBranch(b.ctx, &api.DeleteBranchInput{RepositoryName: "one", BranchName: "main"})
	if err != nil || gone.DeletedBranch.CommitId != second {
		t.Errorf("delete %+v, %v", gone, err)
	}
	if gone, err = b.DeleteBranch(b.ctx, &api.DeleteBranchInput{RepositoryName: "one", BranchName: "main"}); err != nil || gone.DeletedBranch != nil {
		t.Errorf("delete again %+v, %v", gone, err)
	}
	var moves []string
	for _, u := range b.updates() {
		moves = append(moves, fmt.Sprint(u.Ref, " ", u.Old == "", u.New == ""))
	}
	want := []string{"refs/heads/main true false", "refs/heads/main false false", "refs/heads/feature/x true false", "refs/heads/main false true"}
	if !slices.Equal(moves, want) {
		t.Errorf("told %q, want %q", moves, want)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	arn := b.create("one").Arn
	if _, err := b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: arn, Tags: map[string]string{"a": "1", "b": "2"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.UntagResource(b.ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "none"}}); err != nil {
		t.Fatal(err)
	}
	got, err := b.ListTagsForResource(b.ctx, &api.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(got.Tags) != 1 || got.Tags["b"] != "2" {
		t.Errorf("tags %v, %v", got, err)
	}
	many := map[string]string{}
	for i := range 51 {
		many[fmt.Sprint("k", i)] = ""
	}
	for _, c := range []struct {
		arn  string
		tags map[string]string
		code string
	}{
		{arn, many, "TooManyTagsException"},
		{arn, map[string]string{"aws:x": ""}, "InvalidSystemTagUsageException"},
		{arn, nil, "TagsMapRequiredException"},
		{"", many, "ResourceArnRequiredException"},
		{"arn:aws:codecommit:us-east-1:111111111111:one", many, "InvalidResourceArnException"},
		{arn + "x", many, "RepositoryDoesNotExistException"},
	} {
		_, err := b.TagResource(b.ctx, &api.TagResourceInput{ResourceArn: c.arn, Tags: c.tags})
		wantCode(t, c.code, err, c.code)
	}
}

func TestPageToken(t *testing.T) {
	t.Parallel()
	key, err := parsePageToken("a", pageToken("a", "k\x00"))
	if err != nil || key != "k\x00" {
		t.Errorf("%q, %v", key, err)
	}
	for _, token := range []string{"x", "====", pageToken("b", "k"), pageToken("a", "")} {
		_, err := parsePageToken("a", token)
		wantCode(t, token, err, "InvalidContinuationTokenException")
	}
}

func TestMergeByFastForward(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("one")
	first := b.put("one", "main", "", "a", "1")
	if _, err := b.CreateBranch(b.ctx, &api.CreateBranchInput{RepositoryName: "one", BranchName: "next", CommitId: first}); err != nil {
		t.Fatal(err)
	}
	second := b.put("one", "next", first, "a", "2")
	merge := func(source, destination, target string) (string, error) {
		out, err := b.MergeBranchesByFastForward(b.ctx, &api.MergeBranchesByFastForwardInput{
			RepositoryName: "one", SourceCommitSpecifier: source, DestinationCommitSpecifier: destination, TargetBranch: target,
		})
		if err != nil {
			return "", err
		}
		return out.CommitId, nil
	}
	if id, err := merge("next", "main", ""); err != nil || id != second {
		t.Errorf("merged to %s, %v", id, err)
	}
	if u := b.updates(); u[len(u)-1].Ref != "refs/heads/main" || u[len(u)-1].New != second {
		t.Errorf("told %+v", u)
	}
	b.put("one", "main", second, "a", "3")
	_, err := merge("next", "main", "")
	wantCode(t, "backwards", err, "ManualMergeRequiredException")
	_, err = merge("next", first, "main")
	wantCode(t, "elsewhere", err, "InvalidTargetBranchException")
	_, err = merge("none", "main", "")
	wantCode(t, "no source", err, "CommitDoesNotExistException")
}

// S-86: while the disk is full a commit does not take the room that is left, no more than a push.
func TestFull(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.Full(t, storetest.SQLiteURL(t)))
	b.create("one")
	_, err := b.PutFile(b.ctx, &api.PutFileInput{RepositoryName: "one", BranchName: "main", FilePath: "a", FileContent: []byte("x")})
	if !errors.Is(err, fault.ErrFull) {
		t.Error(err)
	}
}
