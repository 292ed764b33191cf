package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"golang.org/x/sys/unix"
)

// mortal is a server that is killed and started again on the same data folder and address.
type mortal struct {
	t      *testing.T
	bin    string
	data   string
	listen string
	// flags and env are what else the server is started with.
	flags, env []string
	// prepare changes how it is started; nil changes nothing.
	prepare func(*exec.Cmd)

	process *exec.Cmd
	ready   chan struct{}
	ended   chan struct{}
	log     *tail
}

// program is the binary under test.
func program(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("PENSTOCK_BIN"); bin != "" {
		return bin
	}
	bin := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func newMortal(t *testing.T) *mortal {
	t.Helper()
	m := &mortal{t: t, bin: program(t), data: filepath.Join(t.TempDir(), "data"), listen: reserved(t), log: &tail{}}
	t.Cleanup(func() {
		m.kill()
		if t.Failed() {
			t.Logf("the last the servers said:\n%s", m.log)
		}
	})
	return m
}

// reserved gives an address of this machine that is the test's own: a socket that is bound and does
// not listen keeps the port from everybody who asks for any, while the server is down too, and lets
// in who names it.
func reserved(t *testing.T) string {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(s) })
	err = errors.Join(unix.SetsockoptInt(s, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), unix.Bind(s, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	if err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(s)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*unix.SockaddrInet4).Port)
}

// start starts the server; m.ready is closed when it answers.
func (m *mortal) start() {
	m.t.Helper()
	m.process = exec.Command(m.bin, append([]string{"serve", "--data", m.data, "--listen", m.listen, "--log-format", "text"}, m.flags...)...)
	m.process.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.t.TempDir()}, m.env...)
	m.process.Stderr = m.log
	if m.prepare != nil {
		m.prepare(m.process)
	}
	stdout, err := m.process.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.process.Start(); err != nil {
		m.t.Fatal(err)
	}
	ready, ended := make(chan struct{}), make(chan struct{})
	m.ready, m.ended = ready, ended
	process := m.process
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "penstock: ready on ") {
				close(ready)
				break
			}
		}
		io.Copy(io.Discard, stdout)
		process.Wait()
	}()
}

// await waits until the server answers.
func (m *mortal) await() {
	m.t.Helper()
	select {
	case <-m.ready:
	case <-m.ended:
		m.t.Fatal("the server ended before it was ready")
	case <-time.After(patience):
		m.t.Fatal("the server was not ready in time")
	}
}

// insist starts the server again as long as it ends before it is ready, as one does that finds
// no database.
func (m *mortal) insist() {
	m.t.Helper()
	for end := time.After(patience); ; {
		select {
		case <-m.ready:
			return
		case <-m.ended:
			m.start()
		case <-end:
			m.t.Fatal("the server was never ready")
		}
	}
}

// kill ends the server as a crash does.
func (m *mortal) kill() {
	if m.process != nil {
		m.process.Process.Signal(syscall.SIGKILL)
		<-m.ended
	}
}

// stop ends the server as an administrator does.
func (m *mortal) stop() {
	m.t.Helper()
	m.process.Process.Signal(os.Interrupt)
	select {
	case <-m.ended:
	case <-time.After(patience):
		m.t.Fatal("the server did not end")
	}
	if code := m.process.ProcessState.ExitCode(); code != 0 {
		m.t.Errorf("the server ended with code %d", code)
	}
}

// config is a client's configuration. It does not retry: the test does, and counts.
func (m *mortal) config() aws.Config {
	m.t.Helper()
	out, err := exec.Command(m.bin, "env", "--json", "--data", m.folder()).Output()
	var env map[string]string
	if err := errors.Join(err, json.Unmarshal(out, &env)); err != nil {
		m.t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	m.t.Cleanup(transport.CloseIdleConnections)
	return aws.Config{
		Region: env["AWS_REGION"], BaseEndpoint: new(env["AWS_ENDPOINT_URL"]), HTTPClient: &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
	}
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// tail keeps the last of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails.
func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if over := len(l.text) - 1<<15; over > 0 {
		l.text = append(l.text[:0], l.text[over:]...)
	}
	return len(p), nil
}

// String gives what is kept.
func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.text)
}
