package codebuild

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"penstock/internal/runner"
)

// reference is the artifact of a source action that leaves cloning to the build (P-2).
type reference struct {
	Version int    `json:"version"`
	Type    string `json:"type"`
	URL     string `json:"url"`
	Commit  string `json:"commit"`
	Branch  string `json:"branch"`
}

const maxReference = 16 << 10

// readReference tells a clone reference from an archive.
func readReference(f *os.File, size int64) (reference, bool) {
	var ref reference
	if size > maxReference {
		return ref, false
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	if err != nil || !bytes.HasPrefix(text, []byte("{")) || json.Unmarshal(text, &ref) != nil {
		return ref, false
	}
	return ref, ref.Version == 1 && ref.Type == "git"
}

// revision is what a clone may be asked to check out: a commit, a branch or a tag. It never
// begins with a dash, so git does not take it for an option.
var revision = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]{0,255}$`) })

// clone clones a repository of this server into dir, with its history, and gives the commit.
//
// git runs in a session of its own, as isolated as the build: what is cloned is as little
// trusted as what is built. Its credentials are those of the build's role, go to no other
// server, and are not left in the clone.
func (b *build) clone(ctx context.Context, url, commit, dir string) (string, error) {
	if b.room.deps.Endpoint == "" || !strings.HasPrefix(url, strings.TrimSuffix(b.room.deps.Endpoint, "/")+"/v1/repos/") {
		return "", fmt.Errorf("cannot clone %s: it is not a repository of this server", url)
	}
	if commit != "" && !revision().MatchString(commit) {
		return "", fmt.Errorf("cannot clone %s: %q is not a revision", url, commit)
	}
	c, err := b.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	login := base64.StdEncoding.EncodeToString([]byte(c.AccessKeyID + "%" + c.SessionToken + ":" + c.SecretAccessKey))
	var said bytes.Buffer
	s, err := b.room.deps.Runner.Start(ctx, runner.Spec{
		ID: b.doc.Build.Id, Workspace: b.workspace, Output: &limited{&said, 8 << 10},
		Env: []string{
			"GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_NOSYSTEM=1", "GIT_ALLOW_PROTOCOL=http:https", "LC_ALL=C",
			"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=http.extraHeader", "GIT_CONFIG_VALUE_0=Authorization: Basic " + login,
			"GIT_CONFIG_KEY_1=advice.detachedHead", "GIT_CONFIG_VALUE_1=false",
			"__url=" + url, "__commit=" + commit, "__dir=" + filepath.Base(dir),
		},
	})
	if err != nil {
		return "", err
	}
	defer s.Close()
	parent, err := filepath.Rel(b.workspace, filepath.Dir(dir))
	if err != nil {
		return "", err
	}
	res, err := s.Run(ctx, runner.Command{Dir: parent, Script: `git clone -q --template= "$__url" "$__dir" && cd "$__dir" &&
		{ test -z "$__commit" || git checkout -q "$__commit" --; } && __head=$(git rev-parse HEAD)`})
	if err == nil && res.ExitCode != 0 {
		s.Close() // nothing of it writes any more
		err = errors.New(strings.TrimSpace(said.String()))
	}
	if err != nil {
		return "", fmt.Errorf("cannot clone %s at %q with the role %s: %w", url, commit, b.doc.Build.ServiceRole, err)
	}
	v, err := s.Values(ctx, []string{"__head"})
	return v["__head"], err
}

// limited keeps the beginning of what is written.
type limited struct {
	to   *bytes.Buffer
	left int
}

// Write never fails.
func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.left)
	l.to.Write(p[:n])
	l.left -= n
	return len(p), nil
}
