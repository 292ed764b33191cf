package lambda

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/auth"
	"penstock/internal/logstream"
	"penstock/internal/runner"
)

const (
	// initTime is how long a process may take until it asks for its first event.
	initTime = 60 * time.Second
	// maxAge is how old a process gets: its credentials live for an hour, and an invocation may
	// take a quarter of that.
	maxAge = 30 * time.Minute
)

// instance is a process that runs the code of one version, one invocation at a time.
type instance struct {
	room    *Room
	v       *version
	key     string
	born    time.Time
	work    string
	log     *logstream.Writer
	tail    tail
	session runner.Session
	server  *http.Server
	// mark is the part of the Runtime API's address that only the process is told.
	mark string
	stop context.CancelFunc

	// events gives the runtime its next invocation.
	events chan *invocation
	// gone is closed when the process has ended, and exit says how.
	gone chan struct{}
	exit string
	// reading is held by the request whose body is read.
	reading chan struct{}

	mu      sync.Mutex
	current *invocation
	failed  *outcome      // of a start that the runtime says went wrong
	broken  chan struct{} // closed with it
	rest    *time.Timer
	once    sync.Once
}

// start makes a process for a version. caller is whose account and Region count.
func (r *Room) start(ctx context.Context, v *version, key string) (_ *instance, err error) {
	cmd, err := r.command(v.Runtime)
	if err != nil {
		return nil, err
	}
	caller := auth.Caller{Account: v.Account, Region: v.Region, ARN: v.Role}
	if ctx, err = auth.Limited(ctx, caller); err != nil {
		return nil, err
	}
	cfg, err := r.deps.RoleAWS(ctx, v.Role, sessionName(v.Name))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRole, err)
	}
	keys, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRole, err)
	}
	i := &instance{room: r, v: v, key: key, mark: randomHex(16), born: time.Now(), events: make(chan *invocation, 1), gone: make(chan struct{}), reading: make(chan struct{}, 1), broken: make(chan struct{})}
	if i.work, err = r.folder(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			i.clear()
		}
	}()
	if err := cmd.lay(filepath.Join(i.work, "runtime")); err != nil {
		return nil, err
	}
	if err := r.unpack(ctx, v, filepath.Join(i.work, "task")); err != nil {
		return nil, fmt.Errorf("the code of %s: %w", v.name().bare(), err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go i.server.Serve(listener)
	stream := time.Now().UTC().Format("2006/01/02/") + "[" + versionText(v.Number) + "]" + randomHex(16)
	i.log = logstream.New(ctx, cfg, v.logGroup(), stream, []string{keys.SecretAccessKey, keys.SessionToken, i.mark})
	i.tail.to = i.log
	i.tail.hide(keys.SecretAccessKey, keys.SessionToken, i.mark)
	view := r.deps.Runner.Path(i.work)
	i.session, err = r.deps.Runner.Start(ctx, runner.Spec{ID: v.Name, Workspace: i.work, Output: &i.tail, Grace: 100 * time.Millisecond,
		Env: i.environment(keys, view, listener.Addr().String()+"/"+i.mark, stream)})
	if err != nil {
		i.log.Close()
		return nil, err
	}
	run, stop := context.WithCancel(context.Background())
	i.stop = stop
	go func() {
		res, err := i.session.Run(run, runner.Command{Script: cmd.script, Dir: "task"})
		if i.exit = fmt.Sprintf("exit status %d", res.ExitCode); err != nil {
			i.exit = err.Error()
		}
		close(i.gone)
	}()
	return i, nil
}

// errRole means that the role of a function cannot be used.
var errRole = errors.New("the role of the function cannot be assumed")

// sessionName is the name of a function as that of a role's session, which has 2 to 64
// characters.
func sessionName(function string) string {
	if len(function) < 2 {
		return function + "-"
	}
	return function[:min(len(function), 64)]
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// environment is that of a function's process. What the user set comes after the address of this
// server, so that it may be another, and before what cannot be set.
func (i *instance) environment(keys aws.Credentials, view, api, stream string) []string {
	v := i.v
	env := []string{"LANG=C.UTF-8", "TZ=:UTC"}
	if url := i.room.deps.Endpoint(); url != "" {
		env = append(env, "AWS_ENDPOINT_URL="+url)
	}
	for name, text := range v.Variables {
		env = slices.DeleteFunc(env, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
		env = append(env, name+"="+text)
	}
	return append(env,
		"_HANDLER="+v.Handler, "LAMBDA_TASK_ROOT="+filepath.Join(view, "task"), "LAMBDA_RUNTIME_DIR="+filepath.Join(view, "runtime"),
		"AWS_LAMBDA_RUNTIME_API="+api, "AWS_LAMBDA_FUNCTION_NAME="+v.Name, "AWS_LAMBDA_FUNCTION_VERSION="+versionText(v.Number),
		fmt.Sprintf("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=%d", v.Memory), "AWS_LAMBDA_LOG_GROUP_NAME="+v.logGroup(), "AWS_LAMBDA_LOG_STREAM_NAME="+stream,
		"AWS_LAMBDA_INITIALIZATION_TYPE=on-demand", "AWS_EXECUTION_ENV=AWS_Lambda_"+v.Runtime, "AWS_REGION="+v.Region, "AWS_DEFAULT_REGION="+v.Region,
		"AWS_ACCESS_KEY_ID="+keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+keys.SecretAccessKey, "AWS_SESSION_TOKEN="+keys.SessionToken)
}

// close ends the process with all it has started and returns when nothing is left of it.
func (i *instance) close() {
	i.once.Do(func() {
		i.mu.Lock()
		if i.rest != nil {
			i.rest.Stop()
		}
		i.mu.Unlock()
		i.session.Close()
		<-i.gone
		i.stop()
		i.log.Close()
		i.clear()
		r := i.room
		r.mu.Lock()
		delete(r.live, i)
		r.idle[i.key] = slices.DeleteFunc(r.idle[i.key], func(o *instance) bool { return o == i })
		if len(r.idle[i.key]) == 0 {
			delete(r.idle, i.key)
		}
		r.mu.Unlock()
		r.ends.Done()
	})
}

// clear gives back what does not belong to the process itself.
func (i *instance) clear() {
	if i.server != nil {
		i.server.Close()
	}
	if err := runner.Remove(i.work); err != nil {
		i.room.deps.Log.Warn("lambda: workspace not removed", "function", i.v.Name, "error", err)
	}
}

// do runs one invocation. The process is of use for another if the answer says so.
func (i *instance) do(inv *invocation) (out outcome, reusable bool) {
	i.mu.Lock()
	i.current = inv
	i.mu.Unlock()
	i.tail.begin()
	i.events <- inv
	limit := time.NewTimer(initTime)
	defer limit.Stop()
	select {
	case <-inv.taken:
	case <-i.broken:
		return i.ended(inv), false
	case <-i.gone:
		return i.ended(inv), false
	case <-limit.C:
		return i.finish(inv, fails("Sandbox.Timedout", "RequestId: %s Error: the function did not ask for its event within %s", inv.id, initTime)), false
	}
	timeout := time.Duration(i.v.functionDoc.Timeout) * time.Second
	limit.Reset(time.Until(inv.begun.Add(timeout)))
	select {
	case out = <-inv.done:
		return i.finish(inv, out), true
	case <-i.gone:
		select { // it may have ended right after its answer
		case out = <-inv.done:
			return i.finish(inv, out), false
		default:
		}
		return i.ended(inv), false
	case <-limit.C:
		i.log.Line(fmt.Sprintf("%s %s Task timed out after %.2f seconds", time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), inv.id, timeout.Seconds()))
		return i.finish(inv, fails("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", inv.id, timeout.Seconds())), false
	}
}

// ended is the outcome of an invocation whose process went away.
func (i *instance) ended(inv *invocation) outcome {
	i.mu.Lock()
	failed := i.failed
	i.mu.Unlock()
	if failed != nil {
		return i.finish(inv, *failed)
	}
	return i.finish(inv, fails("Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: %s", inv.id, i.exit))
}

// finish writes the last lines of an invocation and gives its outcome with the end of its log.
func (i *instance) finish(inv *invocation, out outcome) outcome {
	i.session.Drain()
	i.mu.Lock()
	i.current = nil
	begun := inv.begun
	i.mu.Unlock()
	took := time.Duration(0)
	if begun.IsZero() {
		i.tail.line("START RequestId: " + inv.id + " Version: " + versionText(i.v.Number))
	} else {
		took = time.Since(begun)
	}
	ms := float64(took.Microseconds()) / 1000
	i.tail.line("END RequestId: " + inv.id)
	i.tail.line(fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\t", inv.id, ms, int64(ms)+1, i.v.Memory))
	out.log = i.tail.end()
	return out
}
