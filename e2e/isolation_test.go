package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	"github.com/aws/aws-sdk-go-v2/service/codebuild/types"
)

// build runs commands as a build of no source, with variables, and gives it with its log.
func (s *site) build(name string, variables []string, commands ...string) (types.Build, string) {
	s.t.Helper()
	spec := "version: 0.2\nphases:\n  build:\n    commands:\n"
	for _, c := range commands {
		spec += "      - |\n        " + strings.ReplaceAll(c, "\n", "\n        ") + "\n"
	}
	s.project(name, spec, variables...)
	out, err := s.codebuild.StartBuild(s.t.Context(), &codebuild.StartBuildInput{ProjectName: &name})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.built(*out.Build.Id)
}

// alive checks that the server is the one that was started, and answers.
func (s *site) alive() {
	s.t.Helper()
	select {
	case <-s.mortal.ended:
		s.t.Fatal("the server has ended")
	default:
		if _, err := s.codebuild.ListProjects(s.t.Context(), &codebuild.ListProjectsInput{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// N-10: a build cannot read what the server keeps, by whatever way it is reached, cannot
// touch the server's process.
func TestBuildIsKeptFromServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	cfg := s.config()
	keys, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(s.process.Process.Pid)
	b, log := s.build("spy", []string{"DATA=" + s.data, "SERVER=" + pid, "PLAIN=not-a-secret"},
		`for f in penstock.db penstock.db-wal credentials.json lock node; do
  for d in "$DATA" "/proc/$SERVER/root$DATA" "/proc/self/root$DATA" "/proc/1/root$DATA" "/proc/$SERVER/cwd/$DATA" "$PWD/../../..$DATA" "$PWD/../../.."; do
    if cat "$d/$f" >/dev/null 2>&1; then echo "LE""AK read $d/$f"; fi
    if echo x 2>/dev/null >>"$d/$f"; then echo "LE""AK wrote $d/$f"; fi
  done
done`,
		`ln -s "$DATA/credentials.json" link && if cat link 2>/dev/null; then echo "LE""AK link"; fi; true`,
		`find "$DATA" -type f 2>/dev/null | head -100 | while read -r f; do if cat "$f" >/dev/null 2>&1; then case "$f" in "$CODEBUILD_SRC_DIR"*|"$HOME"*) ;; *) echo "LE""AK found $f";; esac; fi; done`,
		`for f in environ mem maps fd/3 fd/5 fd/7; do if head -c 1 "/proc/$SERVER/$f" >/dev/null 2>&1; then echo "LE""AK proc $f"; fi; done; true`,
		`for signal in 0 9 15 STOP; do if kill -$signal "$SERVER" 2>/dev/null; then echo "LE""AK signal $signal"; fi; done; true`,
		`if kill -9 -1 2>/dev/null; then echo survived; fi; true`)
	t.Logf("the build that kills all it can is %s", b.BuildStatus)
	_, second := s.build("print", []string{"PLAIN=not-a-secret"}, "env", "id", "cat /proc/self/status")
	for _, text := range []string{log, second} {
		if strings.Contains(text, "LEAK") || strings.Contains(text, keys.SecretAccessKey) {
			t.Errorf("the build got at something:\n%s", text)
		}
	}
	// A variable of the type PLAINTEXT is no secret.
	if !strings.Contains(second, "PLAIN=not-a-secret\n") {
		t.Errorf("the build has no variables:\n%s", second)
	}
	s.alive()
}

// N-10: the credentials of a build's role are masked in its log, and the token that gets them
// is worth nothing when the build is over.
func TestBuildCredentials(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, log := s.build("secrets", nil,
		`env`, `echo "uri is $AWS_CONTAINER_CREDENTIALS_FULL_URI"`,
		`echo "reversed $(echo "$AWS_CONTAINER_AUTHORIZATION_TOKEN" | rev)"`,
		`curl -sS -H "Authorization: $AWS_CONTAINER_AUTHORIZATION_TOKEN" "$AWS_CONTAINER_CREDENTIALS_FULL_URI" > got; cat got; echo; sed -n 's/.*"AccessKeyId":"\([^"]*\)".*/key \1/p' got`)
	token := regexp.MustCompile(`(?m)^reversed (\S+)$`).FindStringSubmatch(log)
	uri := regexp.MustCompile(`(?m)^uri is (http://127\.0\.0\.1:\S+)$`).FindStringSubmatch(log)
	if token == nil || uri == nil || !regexp.MustCompile(`(?m)^key ASIA\S+$`).MatchString(log) {
		t.Fatalf("the build has no credentials:\n%s", log)
	}
	backwards := []byte(token[1])
	for i, j := 0, len(backwards)-1; i < j; i, j = i+1, j-1 {
		backwards[i], backwards[j] = backwards[j], backwards[i]
	}
	if strings.Contains(log, string(backwards)) || !strings.Contains(log, "AWS_CONTAINER_AUTHORIZATION_TOKEN=***\n") {
		t.Errorf("the token is not masked:\n%s", log)
	}
	for _, name := range []string{"SecretAccessKey", "Token"} {
		if !strings.Contains(log, `"`+name+`":"***"`) {
			t.Errorf("the %s is not masked:\n%s", name, log)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, uri[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", string(backwards))
	res, err := s.config().HTTPClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("after the build its token is answered with %d", res.StatusCode)
	}
}

// N-10: when a build is over nothing of it runs any more, however it has hidden, and its
// folder is gone.
func TestBuildLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	mark := fmt.Sprintf("%d", 100_000_000+time.Now().UnixNano()%100_000_000)
	b, log := s.build("leave", nil,
		"sleep "+mark+" &",
		"nohup sleep "+mark+" >/dev/null 2>&1 &",
		"setsid sleep "+mark+" >/dev/null 2>&1 </dev/null &",
		"(setsid sh -c '(env -i sleep "+mark+" &) ' >/dev/null 2>&1 &)",
		"trap '' TERM HUP INT; sleep "+mark+" & disown 2>/dev/null || true",
		"echo done")
	if b.BuildStatus != types.StatusTypeSucceeded {
		t.Errorf("the build is %s:\n%s", b.BuildStatus, log)
	}
	within(t, patience, "all processes of the build are gone", func() bool { return len(running(t, mark)) == 0 })
	within(t, patience, "the folder of the build is gone", func() bool { return len(files(t, filepath.Join(s.data, "builds"), "")) == 1 })
	s.alive()
}

// running lists processes by an argument.
func running(t *testing.T, mark string) []string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range lines {
		if text, err := os.ReadFile(f); err == nil && bytes.Contains(text, []byte("\x00"+mark)) {
			found = append(found, f)
		}
	}
	return found
}

// N-10, N-11: fifty megabytes of log neither fail the build nor fill the server's memory, and
// the end of them can be read; nor does it matter that they are one line.
func TestBuildFloodsLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	began := time.Now()
	b, _ := s.build("flood", nil, `yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 | head -c 50000000`, "echo; echo the end of it")
	line, text := s.build("line", nil, `head -c 50000000 /dev/zero | tr '\0' x`, "echo; echo the end of it")
	if b.BuildStatus != types.StatusTypeSucceeded || line.BuildStatus != types.StatusTypeSucceeded {
		t.Errorf("the builds are %s and %s", b.BuildStatus, line.BuildStatus)
	}
	if n := strings.Count(text, "x"); n < 50_000_000 || !strings.Contains(text[len(text)-2000:], "\nthe end of it\n") {
		t.Errorf("of the line %d bytes are there", n)
	}
	status := readText(t, fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	peak := regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindStringSubmatch(status)
	if peak == nil {
		t.Fatal(status)
	}
	t.Logf("the builds took %v, the server %s kB at most", time.Since(began).Round(time.Millisecond), peak[1])
	if kb, err := strconv.Atoi(peak[1]); err != nil || kb > 300<<10 {
		t.Errorf("the server took %s kB", peak[1])
	}
	text = s.text(b.Logs)
	if n := strings.Count(text, "\n0123456789"); n < 490_000 || !strings.Contains(text[len(text)-2000:], "\nthe end of it\n") {
		t.Errorf("%d lines of %d bytes, at the end %q", n, len(text), text[max(0, len(text)-300):])
	}
}
