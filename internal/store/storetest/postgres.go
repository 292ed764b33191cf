package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"penstock/internal/store"
)

// server is a PostgreSQL server of this process.
type server struct {
	dir   string
	shell *exec.Cmd
	// lifeline is the pipe whose end stops the server, and whose lines restart it.
	lifeline io.WriteCloser
	drained  chan struct{}
	// making lets one CREATE DATABASE copy the template at a time.
	making sync.Mutex
	count  atomic.Int64
}

var (
	running atomic.Pointer[server]
	start   = sync.OnceValues(startServer)
)

// keeper runs the server until its standard input ends, which it does when the test
// process ends in whatever way, and then removes everything, but for the folder itself where
// its account may not: stop does that. A line names a signal that ends the server before its
// time: it is started again.
const keeper = `
dir=$1; shift
"$@" 2>&1 </dev/null &
while read -r signal; do
	kill -"$signal" $!
	wait $!
	"$@" 2>&1 </dev/null &
done
kill -INT $! 2>/dev/null
wait $!
rm -rf "$dir" 2>/dev/null || :`

// startLimit is generous: all packages of a test run start their server at once.
const startLimit = 10 * time.Minute

// PostgresURL names a PostgreSQL database with all tables, of the test's own.
func PostgresURL(t testing.TB) string {
	t.Helper()
	return postgresURL(t, "penstock")
}

// EmptyPostgresURL names a PostgreSQL database without tables, of the test's own.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	return postgresURL(t, "template0")
}

func postgresURL(t testing.TB, template string) string {
	t.Helper()
	if sqliteOnly() {
		t.Fatal("storetest: PENSTOCK_TEST_SQLITE_ONLY=1 is set and this test needs PostgreSQL")
	}
	s, err := start()
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	name := "test" + strconv.FormatInt(s.count.Add(1), 10)
	s.making.Lock()
	err = s.execute(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template)
	s.making.Unlock()
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startLimit)
		defer cancel()
		if err := s.execute(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	return s.url(name)
}

func (s *server) url(database string) string {
	q := url.Values{"host": {s.dir}, "user": {"penstock"}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// execute runs one statement beside the tests' databases.
func (s *server) execute(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, statement)
	return err
}

// startServer starts the server that the tests of this process share: nothing that it keeps
// need outlive it.
func startServer() (*server, error) {
	s, err := launch("fsync=off", "synchronous_commit=off", "full_page_writes=off")
	if s != nil {
		running.Store(s)
	}
	return s, err
}

// RestartablePostgres starts a PostgreSQL server of the test's own, and names a database on it
// that has all tables. The function it gives restarts the server: immediately, as after a
// crash, or by ending all connections first. Commits that were acknowledged survive both.
func RestartablePostgres(t testing.TB) (url string, restart func(immediately bool)) {
	t.Helper()
	if sqliteOnly() {
		t.Fatal("storetest: PENSTOCK_TEST_SQLITE_ONLY=1 is set and this test needs PostgreSQL")
	}
	s, err := launch("fsync=off", "synchronous_commit=on")
	if err != nil {
		t.Fatalf("storetest: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.accepts(), s.stop()); err != nil {
			t.Errorf("storetest: %v", err)
		}
	})
	return s.url("penstock"), func(immediately bool) {
		t.Helper()
		if err := s.accepts(); err != nil {
			t.Fatalf("storetest: %v", err)
		}
		signal := "INT"
		if immediately {
			signal = "QUIT"
		}
		if _, err := io.WriteString(s.lifeline, signal+"\n"); err != nil {
			t.Fatalf("storetest: %v", err)
		}
	}
}

// Launch starts a PostgreSQL server with these settings for a program that is no test, and
// names a database on it that has all tables. It ends with the program, or when stop is called.
func Launch(settings ...string) (url string, stop func() error, err error) {
	s, err := launch(settings...)
	if err != nil {
		return "", nil, err
	}
	return s.url("penstock"), s.stop, nil
}

// accepts waits until the server takes connections: one that has only just been started, or
// started again, would not notice a signal.
func (s *server) accepts() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	for {
		err := s.execute(ctx, "SELECT 1")
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// launch starts a server with settings of its own beside those of all.
func launch(settings ...string) (_ *server, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	as, err := account()
	if err != nil {
		return nil, err
	}
	s := &server{drained: make(chan struct{})}
	if s.dir, err = os.MkdirTemp("", "penstock-pg-"); err != nil {
		return nil, err
	}
	started := false
	defer func() {
		if !started {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	if as != nil {
		if err := os.Chown(s.dir, int(as.Uid), int(as.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(s.dir, "data")
	// An order of texts that is not that of their bytes, as most installations have it:
	// who relies on byte order must say so.
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--pgdata", data, "--username=penstock",
		"--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US",
		"--no-sync", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = s.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	args := []string{"-c", keeper, "keeper", s.dir, filepath.Join(bin, "postgres"), "-D", data}
	for _, setting := range append([]string{
		"listen_addresses=", "unix_socket_directories=" + s.dir, "wal_level=minimal", "max_wal_senders=0", "shared_buffers=16MB",
		"max_connections=1000", "autovacuum=off", "lc_messages=C", "log_min_error_statement=panic",
	}, settings...) {
		args = append(args, "-c", setting)
	}
	s.shell = exec.Command("/bin/sh", args...)
	// Of its own group: an interrupt from the terminal must leave it time to clean up.
	s.shell.Dir, s.shell.SysProcAttr = "/", &syscall.SysProcAttr{Credential: as, Setpgid: true}
	lifeline, err := s.shell.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.lifeline = lifeline
	log, err := s.shell.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.shell.Start(); err != nil {
		return nil, err
	}
	started = true // the keeper removes the folder
	if err := s.awaitReady(ctx, log); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.execute(ctx, "CREATE DATABASE penstock"); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	db, err := store.Open(ctx, store.Config{URL: s.url("penstock")})
	if err == nil {
		err = db.Close()
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// awaitReady reads the server's log until it says that it is ready; the rest is read and
// forgotten.
func (s *server) awaitReady(ctx context.Context, log io.Reader) error {
	ready := make(chan error, 1)
	go func() {
		defer close(s.drained)
		var last []string
		lines := bufio.NewScanner(log)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "database system is ready to accept connections") {
				ready <- nil
				break
			}
			last = append(last[max(0, len(last)-20):], lines.Text())
		}
		select {
		case ready <- fmt.Errorf("postgres did not start:\n%s", strings.Join(last, "\n")):
		default: // it did
		}
		_, _ = io.Copy(io.Discard, log)
	}()
	select {
	case err := <-ready:
		return err
	case <-ctx.Done():
		return errors.New("postgres is not ready after " + startLimit.String())
	}
}

// stop ends the shared server, if there is one.
func stop() error {
	s := running.Swap(nil)
	if s == nil {
		return nil
	}
	return s.stop()
}

// stop ends the server and waits until nothing is left of it.
func (s *server) stop() error {
	_ = s.lifeline.Close()
	<-s.drained
	if err := s.shell.Wait(); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	return os.RemoveAll(s.dir)
}

// programs is the folder with initdb and postgres: of the newest version that Debian's
// packages have put where they do, or else on the path.
func programs() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", errors.New("PostgreSQL is not installed: install Debian's package postgresql, " +
		"or set PENSTOCK_TEST_SQLITE_ONLY=1 to test on SQLite only")
}

// account is whom the server runs as: PostgreSQL refuses to run as root.
func account() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("as root the server runs as user postgres, whom Debian's package postgresql makes: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
