package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/awswire"
	"penstock/internal/blob"
	"penstock/internal/mishap"
	"penstock/internal/store"
)

// App is a running system.
type App struct {
	cfg         Config
	log         *slog.Logger
	credentials Credentials

	lock  *os.File
	db    *store.DB
	blobs *blob.Disk
	auth  *auth.Auth
	calls *calls
	// endpoints are the services that are called elsewhere.
	endpoints *endpoints
	hub       hub
	server    *http.Server
	rooms     *rooms
	// own is the context of everything that belongs to the system and not to a request.
	own    context.Context
	cancel context.CancelFunc
	// loops are what runs until stopLoops is called: conductor, worker, watchers.
	stopLoops context.CancelFunc
	loops     sync.WaitGroup

	closing sync.Once
	closed  chan struct{}
	failed  error
	ended   error
}

// Start makes a system and has it answer requests; ctx bounds the start only. When it
// returns nil, requests are answered and the loops run. The caller calls Close in the end.
func Start(ctx context.Context, cfg Config) (_ *App, err error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: cfg.logger(), closed: make(chan struct{})}
	a.own, a.cancel = context.WithCancel(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			a.release()
		}
	}()
	if err := a.remember(ctx); err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("cannot listen on %s, which another program does already: stop that, or choose another address with --listen (port 0 takes a free one): %w", cfg.Listen, err)
		}
		return nil, fmt.Errorf("cannot listen: %w", err)
	}
	if err := a.open(ctx, listener); err != nil {
		listener.Close()
		return nil, err
	}
	return a, nil
}

// remember takes the data folder and opens what is kept.
func (a *App) remember(ctx context.Context) (err error) {
	if a.lock, err = takeFolder(a.cfg.Data); err != nil {
		return err
	}
	database := a.cfg.Database
	if database == "" {
		database = "sqlite:" + filepath.Join(a.cfg.Data, "penstock.db")
	}
	keys, err := a.cfg.MasterKeys()
	if err != nil {
		return err
	}
	if a.db, err = store.Open(ctx, store.Config{URL: database, Clock: mishap.Clock(), Keys: keys, Log: a.log}); err != nil {
		return err
	}
	if err := a.db.TakeKeys(ctx); err != nil {
		return a.cfg.withoutKey(err)
	}
	if a.blobs, err = blob.OpenDisk(filepath.Join(a.cfg.Data, "blobs")); err != nil {
		return err
	}
	id, secret, err := auth.Bootstrap(ctx, a.db, a.cfg.Region, a.cfg.Account)
	if err != nil {
		return err
	}
	a.credentials = Credentials{AccessKeyID: id, SecretAccessKey: string(secret), Region: a.cfg.Region, Account: a.cfg.Account}
	return nil
}

// open builds the system around the listener and starts it.
func (a *App) open(ctx context.Context, listener net.Listener) error {
	a.credentials.URL = a.address(listener)
	if err := a.connect(ctx); err != nil {
		return err
	}
	loops, stop := context.WithCancel(a.own)
	a.stopLoops = stop
	a.startLoops(loops)
	if err := writeCredentials(a.cfg.Data, a.credentials); err != nil {
		return fmt.Errorf("the credentials file: %w", err)
	}
	go a.serve(listener)
	return nil
}

// connect makes the rooms, the door in front of them, and the way back in for their own
// calls.
func (a *App) connect(ctx context.Context) error {
	// Calls need the door, the door the rooms, and rooms make calls: the last knot is tied
	// when the door is there.
	var door http.Handler
	var transport http.RoundTripper = &inProcess{
		base: a.own, log: a.log, handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { door.ServeHTTP(w, r) }),
	}
	var err error
	if a.endpoints, err = parseEndpoints(&a.cfg); err != nil {
		return err
	}
	if len(a.endpoints.urls) > 0 {
		transport = &elsewhere{endpoints: a.endpoints, here: transport, auth: func() *auth.Auth { return a.auth }, network: newNetwork(), log: a.log,
			credentials: operatorCredentials(&a.cfg, os.Getenv)}
	}
	a.calls = &calls{partition: arn.Partition(a.cfg.Region), url: a.URL, client: &http.Client{Transport: transport}}
	if a.rooms, err = a.newRooms(ctx); err != nil {
		return err
	}
	door = awswire.New(awswire.Config{
		Authenticate: a.auth.Authenticate, Plausible: a.auth.Plausible, Services: a.rooms.services,
		S3: a.rooms.s3, Git: http.HandlerFunc(a.rooms.codecommit.ServeGit), SNS: a.rooms.sns, Hooks: a.rooms.hooks,
		Ready:   func(ctx context.Context) error { return a.db.View(ctx, func(*store.Tx) error { return nil }) },
		Refused: a.rooms.cloudtrail.Refused, Log: a.log,
	})
	a.server = newServer(door, a.log)
	a.server.RegisterOnShutdown(a.rooms.codedeploy.EndPolls)
	return a.loadCertificate()
}

// startLoops begins everything that runs beside requests.
func (a *App) startLoops(ctx context.Context) {
	run := func(what string, f func(context.Context) error) {
		a.loops.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				a.log.Error(what, "error", err)
			}
		})
	}
	run("audit", a.rooms.cloudtrail.Run)
	run("codebuild", a.rooms.codebuild.Run)
	run("codedeploy", a.rooms.codedeploy.Run)
	run("conductor", a.rooms.conductor.Run)
	run("events", a.rooms.events.Run)
	run("cloudwatch", a.rooms.cloudwatch.Run)
	run("notifications", a.rooms.notifications.Run)
	run("lambda", a.rooms.lambda.Run)
	run("sns", a.rooms.sns.Run)
	run("worker", a.rooms.worker.Run)
	run("polling", func(ctx context.Context) error { a.rooms.poller.run(ctx); return nil })
	run("sources", func(ctx context.Context) error { a.rooms.changes.run(ctx); return nil })
	run("codecommit", a.rooms.codecommit.Run)
	run("codecommit: what moved before the start", a.rooms.codecommit.Reconcile)
	run("retention", a.rooms.keeper.Run)
	run("s3: sweep", a.sweep)
}

// URL is the address under which clients reach the server, without a slash at the end.
func (a *App) URL() string { return a.credentials.URL }

// Credentials are the administrator's, with the address.
func (a *App) Credentials() Credentials { return a.credentials }

// address is the public one if there is one, else one that works on this machine.
func (a *App) address(listener net.Listener) string {
	if a.cfg.PublicURL != "" {
		return a.cfg.PublicURL
	}
	scheme := "http"
	if a.cfg.TLSCert != "" {
		scheme = "https"
	}
	host := listener.Addr().String()
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		_, port, _ := net.SplitHostPort(host)
		host = net.JoinHostPort("127.0.0.1", port)
	}
	return (&url.URL{Scheme: scheme, Host: host}).String()
}

// hosts are the names of the server, for buckets in host names (W-37).
func (a *App) hosts() []string {
	u, err := url.Parse(a.cfg.PublicURL)
	if err != nil || u.Hostname() == "" || net.ParseIP(u.Hostname()) != nil {
		return nil
	}
	return []string{u.Hostname()}
}

// Wait returns when the system has ended: nil after Close, else why it could not go on.
func (a *App) Wait() error {
	<-a.closed
	return a.failed
}

// node names this process among those that share a database.
func node() string {
	host, _ := os.Hostname()
	return host + "-" + rand.Text()
}

// Close ends the system in order: no more requests, those under way are drained, then the
// worker with the builds it has started, the conductor, the rooms and the database. Every
// step has its deadline. Later calls wait for the first and give its result.
func (a *App) Close() error {
	a.closing.Do(func() {
		a.ended = errors.Join(a.stopServing(), a.stopWorking(), a.release())
		close(a.closed)
	})
	return a.ended
}
