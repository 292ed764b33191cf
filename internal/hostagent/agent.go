// Package hostagent is the agent of CodeDeploy on a host: it asks the server for commands,
// does what the AppSpec file of the revision says (C.1), and reports. It behaves, speaks and
// keeps its files as AWS's agent does (D).
//
// The agent does to its host what the revision asks for, with the rights of who started it.
// Whom it listens to is therefore what its safety rests on: a server behind TLS, or one on
// the same machine. Inside of that, a bundle is held to its own folder: nothing in it is
// unpacked, read or run from a place outside of it.
package hostagent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"golang.org/x/sys/unix"
)

// DefaultRoot is where AWS's agent keeps what it deploys.
const DefaultRoot = "/opt/codedeploy-agent/deployment-root"

const (
	// parallel is how many commands run at the same time.
	parallel = 16
	// answerTime is how long the server may take for an answer; it holds a poll for up to a minute.
	answerTime = 80 * time.Second
	// pollPause is the least time between two polls that brought nothing.
	pollPause = time.Second
	// maxPause is the longest wait after an error.
	maxPause = 90 * time.Second
)

// Config says whom the agent listens to and where it works.
type Config struct {
	// AWS has the server's address, which must be https or on this machine, the Region and
	// the credentials of the host.
	AWS aws.Config
	// Root is the deployment root.
	Root string
	// Host is the host's identifier; "" is the ARN of the caller.
	Host string
	// Log is told what goes on, never what secrets are.
	Log *slog.Logger
}

// agent is one running agent.
type agent struct {
	cfg    Config
	client *client
	// stopping ends when no more commands are to be taken.
	stopping context.Context

	mu     sync.Mutex
	taken  map[string]bool // commands that are being worked on
	worker sync.WaitGroup
}

// Run polls for commands and carries them out until ctx ends; then it waits for those that
// have begun. An error means that the agent could not begin: an address that is neither https
// nor of this machine, a root that cannot be used or that another agent uses, credentials
// that the server refuses.
func Run(ctx context.Context, cfg Config) error {
	if err := allowed(cfg.AWS.BaseEndpoint); err != nil {
		return err
	}
	root, err := filepath.Abs(cfg.Root)
	if err != nil {
		return err
	}
	cfg.Root = root
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = answerTime
	cfg.AWS.HTTPClient = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer transport.CloseIdleConnections()
	a := &agent{cfg: cfg, client: newClient(cfg.AWS), stopping: ctx, taken: map[string]bool{}}
	for _, dir := range []string{a.instructions(""), a.ongoing("")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("the deployment root cannot be used: %w", err)
		}
	}
	lock, err := a.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if cfg.Host == "" {
		if a.cfg.Host, err = a.identity(ctx); err != nil {
			return stopped(ctx, err)
		}
	}
	a.cfg.Log.Info("polling for commands", "host", a.cfg.Host, "server", *cfg.AWS.BaseEndpoint, "root", root)
	a.recover()
	a.poll()
	a.worker.Wait()
	return nil
}

// stopped gives nil instead of an error of a context that ended.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// allowed refuses an address where others could read and answer.
func allowed(endpoint *string) error {
	if endpoint == nil {
		return errors.New("the server's address is missing: set AWS_ENDPOINT_URL")
	}
	u, err := url.Parse(*endpoint)
	if err != nil {
		return err
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	if local := host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback(); u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("the server's address is %q, but must begin with https:// unless it is of this machine: what it says is done", u.Redacted())
	}
	return nil
}

// lock keeps a second agent away from the root: it would report what this one does as failed.
func (a *agent) lock() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(a.cfg.Root, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the deployment root cannot be used: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("another agent works in %s: stop it, or give this one another --root", a.cfg.Root)
	}
	return f, nil
}

// identity asks for the ARN of the caller until there is an answer.
func (a *agent) identity(ctx context.Context) (string, error) {
	for failures := 1; ; failures++ {
		out, err := sts.NewFromConfig(a.cfg.AWS).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
		var refusal smithy.APIError
		switch {
		case err == nil:
			return aws.ToString(out.Arn), nil
		case errors.As(err, &refusal) && refusal.ErrorFault() == smithy.FaultClient:
			return "", err
		}
		a.cfg.Log.Warn("the server does not say who this host is", "error", err)
		if !wait(ctx, backoff(failures, rand.Float64())) {
			return "", context.Cause(ctx)
		}
	}
}

// poll takes commands until the agent stops.
func (a *agent) poll() {
	slots := make(chan struct{}, parallel)
	for failures := 0; a.stopping.Err() == nil; {
		slots <- struct{}{}
		began := time.Now()
		cmd, err := a.next()
		pause := time.Duration(0)
		switch {
		case a.stopping.Err() != nil:
			return
		case err != nil:
			failures++
			pause = backoff(failures, rand.Float64())
			a.cfg.Log.Warn("cannot poll for commands", "error", err, "again in", pause.Round(time.Millisecond))
		case cmd == nil || !a.take(cmd.HostCommandIdentifier):
			failures, pause = 0, time.Until(began.Add(pollPause))
		default:
			failures = 0
			acknowledged := make(chan struct{})
			a.worker.Go(func() {
				defer func() { <-slots }()
				defer a.leave(cmd.HostCommandIdentifier)
				a.handle(*cmd, sync.OnceFunc(func() { close(acknowledged) }))
			})
			<-acknowledged // else the next poll would bring it again
			continue
		}
		<-slots
		wait(a.stopping, pause)
	}
}

func (a *agent) take(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.taken[id] {
		return false
	}
	a.taken[id] = true
	return true
}

func (a *agent) leave(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.taken, id)
}

// backoff is how long to wait after so many failures in a row: twice as long each time, up
// to maxPause, less by chance up to a half. (D.1)
func backoff(failures int, chance float64) time.Duration {
	pause := min(time.Second<<min(failures-1, 10), maxPause)
	return pause - time.Duration(chance*float64(pause)/2)
}

// wait waits, and says whether it has: false when ctx ended before.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
