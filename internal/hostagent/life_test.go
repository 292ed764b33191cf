package hostagent

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain is an agent instead, where a test starts one that it can kill.
func TestMain(m *testing.M) {
	url, root := os.Getenv("PENSTOCK_TEST_SERVER"), os.Getenv("PENSTOCK_TEST_ROOT")
	if url == "" {
		os.Exit(m.Run())
	}
	if err := Run(context.Background(), config(url, root, os.Stderr)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// process starts an agent in a process of its own. die kills it, and returns when the server
// has noticed.
func (s *server) process(h *httptest.Server, env ...string) (die func()) {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append([]string{"PENSTOCK_TEST_SERVER=" + h.URL, "PENSTOCK_TEST_ROOT=" + s.root()}, env...)
	cmd.Stderr = s.t.Output()
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	die = sync.OnceFunc(func() {
		cmd.Process.Kill()
		cmd.Wait()
		h.Close()
	})
	s.t.Cleanup(die)
	return die
}

// kill ends a process whose number a script has written.
func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(pid))
	if err != nil || n < 2 {
		t.Fatal(pid, err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Error("it has ended before:", err)
	}
}

// pipe makes a named pipe for a script to write to or to wait at.
func (s *server) pipe(name string) *os.File {
	s.t.Helper()
	if err := os.MkdirAll(s.path(), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := syscall.Mkfifo(s.path(name), 0o600); err != nil {
		s.t.Fatal(err)
	}
	f, err := os.OpenFile(s.path(name), os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	f.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { f.Close() })
	return f
}

// line waits for what a script writes to a pipe.
func line(t *testing.T, f *os.File) string {
	t.Helper()
	b := make([]byte, 100)
	n, err := f.Read(b)
	if err != nil {
		t.Fatal("nothing was written:", err)
	}
	return string(b[:n])
}

// waiting is a bundle whose script tells its process number and waits to be let go on.
func (s *server) waiting(id string) {
	s.bundle(id, map[string]string{
		"appspec.yml": head + "hooks: {AfterInstall: [{location: wait.sh}]}",
		"wait.sh":     "#!/bin/sh\necho $$ >HOST/begun\nread line <HOST/go\necho went on",
	})
	s.deployment(id)
}

// P-26, D.1, D.4: what an agent was doing when it was killed has failed, says the next one.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	begun := s.pipe("begun")
	s.pipe("go")
	s.waiting("d-1")
	die := s.process(httptest.NewServer(s), "PATH="+os.Getenv("PATH"))
	s.succeed("d-1", "DownloadBundle")
	command := s.send("AfterInstall", "d-1")
	script := line(t, begun)
	die()
	defer kill(t, script) // nobody else does
	s.agent()
	if d := s.endOf(command); d.Status != "Failed" || d.Code != codeFailedAfterRestart || d.Message != "Failed: Failing in-progress lifecycle event after an agent restart." {
		t.Errorf("%+v", d)
	}
	// The next deployment goes its way.
	s.bundle("d-2", map[string]string{"appspec.yml": head})
	s.deployment("d-2")
	s.succeed("d-2", "DownloadBundle", "Install")
}

// P-26, D.4: an agent that is killed while it installs leaves nothing that the next deployment
// does not take away.
func TestKilledInInstall(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	files := map[string]string{"appspec.yml": head + "files: [{source: app, destination: HOST/app}]"}
	for i := range 2000 {
		files[fmt.Sprintf("app/%d/%d", i%20, i)] = strings.Repeat("x", 100)
	}
	s.bundle("d-1", files)
	s.bundle("d-2", map[string]string{"appspec.yml": files["appspec.yml"], "app/0/0": "x", "app/new": "x"})
	s.deployment("d-1")
	s.deployment("d-2")
	for _, most := range []int{1, 700, 1900} {
		die := s.process(httptest.NewServer(s), "PATH="+os.Getenv("PATH"))
		s.succeed("d-1", "DownloadBundle")
		command := s.send("Install", "d-1")
		for deadline := time.Now().Add(patience); len(s.tree("app")) < most; {
			if time.Now().After(deadline) {
				t.Fatal("nothing is installed")
			}
		}
		die()
		stop := s.agent()
		if d := s.endOf(command); d.Code != codeFailedAfterRestart && d.Status != "Succeeded" {
			t.Errorf("%+v", d)
		}
		s.succeed("d-2", "DownloadBundle", "Install")
		if got := s.tree("app"); !slices.Equal(got, []string{"0", "0/0", "new"}) {
			t.Errorf("killed after %d files: %d are there", most, len(got))
		}
		stop()
	}
}

// P-26: an agent that is to stop finishes what has begun. If the server is away then, the
// next agent reports how it ended.
func TestStop(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	begun, release := s.pipe("begun"), s.pipe("go")
	s.waiting("d-1")
	stop := s.agent()
	s.succeed("d-1", "DownloadBundle")
	command := s.send("AfterInstall", "d-1")
	line(t, begun)
	// Told a second time, it does not begin again; another command does.
	s.give("AfterInstall", "d-1", command)
	s.bundle("d-2", map[string]string{"appspec.yml": head})
	s.deployment("d-2")
	s.succeed("d-2", "DownloadBundle")
	s.mu.Lock()
	s.broken["PutHostCommandComplete"] = 1000
	s.mu.Unlock()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		stop()
	}()
	if _, err := release.WriteString("on\n"); err != nil {
		t.Fatal(err)
	}
	<-stopped
	s.mu.Lock()
	s.broken["PutHostCommandComplete"] = 0
	s.mu.Unlock()
	s.agent()
	if d := s.end(); d.ID != command || d.Status != "Succeeded" || !strings.HasSuffix(d.Log, "[stdout]went on\n") {
		t.Errorf("%+v", d)
	}
}

// P-26, D.1: sixteen commands run at once, and no more.
func TestParallel(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	begun, release := s.pipe("begun"), s.pipe("go")
	for i := range parallel + 1 {
		id := fmt.Sprintf("d-%d", i)
		archive := filepath.Join(s.root(), "group-"+id, id, archiveDir)
		s.write(filepath.Join(archive, "appspec.yml"), head+"hooks: {AfterInstall: [{location: wait.sh}]}")
		s.write(filepath.Join(archive, "wait.sh"), "#!/bin/sh\necho x >"+s.path("begun")+"\nread line <"+s.path("go")+"\n")
		s.deployment(id, func(spec, _ map[string]any) { spec["DeploymentGroupId"] = "group-" + id })
		s.send("AfterInstall", id)
	}
	s.agent()
	for n := 0; n < parallel; {
		n += strings.Count(line(t, begun), "x")
	}
	if left := len(s.commands); left != 1 {
		t.Errorf("%d commands wait", left)
	}
	for range parallel + 1 {
		if _, err := release.WriteString("on\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range parallel + 1 {
		if d := s.end(); d.Status != "Succeeded" {
			t.Errorf("%+v", d)
		}
	}
}

// P-26, D.1: errors of the server are waited out.
func TestErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.bundle("d-1", map[string]string{"appspec.yml": head})
	s.deployment("d-1")
	s.broken = map[string]int{"PollHostCommand": 1, "GetDeploymentSpecification": 1, "PutHostCommandAcknowledgement": 1, "PutHostCommandComplete": 1}
	s.agent()
	s.succeed("d-1", "DownloadBundle")
	// A deployment that nobody can tell about fails.
	s.mu.Lock()
	s.specs[execution("d-2")] = envelope{"XML", "<x/>"}
	s.mu.Unlock()
	s.fail("d-2", "DownloadBundle", codeUnknown, "", "Unsupported DeploymentSpecification format: XML")
}

// P-26: a server elsewhere is behind TLS, and the agent knows its authority from SSL_CERT_FILE.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	h := httptest.NewTLSServer(s)
	authority := filepath.Join(s.dir, "authority.pem")
	s.write(authority, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})))
	s.process(h, "SSL_CERT_FILE="+authority)
	s.bundle("d-1", map[string]string{"appspec.yml": head})
	s.deployment("d-1")
	s.succeed("d-1", "DownloadBundle", "Install")
}

// P-26: an agent that cannot begin says why.
func TestCannotBegin(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	s.bundle("d-1", map[string]string{"appspec.yml": head})
	s.deployment("d-1")
	s.succeed("d-1", "DownloadBundle") // it has begun
	cfg := config("http://127.0.0.1:1", s.root(), t.Output())
	cfg.Host = testHost
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "another agent works in") {
		t.Error(err)
	}
	cfg.Root = filepath.Join(s.dir, "file", "root")
	s.write(filepath.Join(s.dir, "file"), "")
	if err := Run(t.Context(), cfg); !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
	away := "http://192.0.2.1"
	cfg.AWS.BaseEndpoint = &away
	if err := Run(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "must begin with https://") {
		t.Error(err)
	}
}

// P-26, C.1: permissions that ask for a tool the host does not have fail, and say so.
func TestNoTools(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.process(httptest.NewServer(s), "PATH="+t.TempDir())
	for id, c := range map[string]struct{ permission, tool string }{
		"d-1": {"acls: ['u:me:rw']", "setfacl"},
		"d-2": {"context: {type: httpd_sys_content_t}", "semanage"},
	} {
		s.bundle(id, map[string]string{"appspec.yml": head + "files: [{source: f, destination: HOST/app}]\npermissions: [{object: HOST/app/f, " + c.permission + "}]", "f": "x"})
		s.deployment(id)
		s.succeed(id, "DownloadBundle")
		s.fail(id, "Install", codeUnknown, "", "asks for "+c.tool+", which this host does not have")
	}
}
