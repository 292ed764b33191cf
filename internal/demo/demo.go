// Package demo shows the whole thing at work: a push of a small Go program becomes a
// release, on a server and in a folder that are gone afterwards.
//
// It does nothing that its reader could not do: everything goes through git and the AWS SDK.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/app"
	"penstock/internal/watch"
)

// Options say how the demo is shown.
type Options struct {
	// Out gets what is told; a Screen, if there is one, what is drawn.
	Out    io.Writer
	Screen *watch.Screen
	Style  watch.Style
	// Keep leaves the server running in the end, until ctx ends.
	Keep bool
	// Client makes the SDK's configuration for the server.
	Client func(app.Credentials) aws.Config
}

// patience bounds every single thing that is waited for; a build from nothing takes minutes where
// the machine is small.
const patience = 10 * time.Minute

// demo is one run.
type demo struct {
	Options
	dir    string
	app    *app.App
	cfg    aws.Config
	s3     *s3.Client
	api    *watch.Client
	repo   string
	began  time.Time
	serial int
}

// Run runs the demo. It returns nil when everything happened as it should.
func Run(ctx context.Context, o Options) (err error) {
	for _, program := range []string{"go", "git"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the demo builds a Go program and pushes it with git: %w", err)
		}
	}
	d := &demo{Options: o, began: time.Now()}
	if d.dir, err = os.MkdirTemp("", "penstock-demo-"); err != nil {
		return err
	}
	if d.dir, err = filepath.EvalSymlinks(d.dir); err != nil {
		return err
	}
	defer func() {
		if err != nil && ctx.Err() == nil {
			d.say("the server's log:")
			d.showLog()
		}
		err = errors.Join(err, os.RemoveAll(d.dir))
	}()
	if err := os.Mkdir(filepath.Join(d.dir, "cache"), 0o700); err != nil {
		return err
	}
	logFile, err := os.Create(filepath.Join(d.dir, "server.log"))
	if err != nil {
		return err
	}
	defer logFile.Close()
	cfg := app.Default()
	cfg.Data, cfg.Listen, cfg.ShareTemp = filepath.Join(d.dir, "data"), "127.0.0.1:0", true
	cfg.Log = slog.New(slog.NewTextHandler(logFile, nil))
	if d.app, err = app.Start(ctx, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.app.Close()) }()
	d.say("A server on %s, after %d ms, in a folder that will be gone", d.app.URL(), time.Since(d.began).Milliseconds())
	d.cfg = d.Client(d.app.Credentials())
	d.api = watch.NewClient(d.cfg)
	d.s3 = s3.NewFromConfig(d.cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if err := d.story(ctx); err != nil {
		return err
	}
	if d.Keep {
		return d.stay(ctx)
	}
	return nil
}

// story is what the demo shows.
func (d *demo) story(ctx context.Context) error {
	for _, chapter := range []func(context.Context) error{d.prepare, d.release, d.supersede} {
		if err := chapter(ctx); err != nil {
			return err
		}
	}
	d.say("\nDone in %s.", watch.Elapsed(time.Since(d.began)))
	return nil
}

// stay leaves the server to the user.
func (d *demo) stay(ctx context.Context) error {
	d.say("\nThe server stays on %s until you press ^C. In another terminal:\n", d.app.URL())
	d.say("    eval \"$(penstock env --data %s)\"", filepath.Join(d.dir, "data"))
	d.say("    penstock show hello")
	d.say("    git clone %s  # the work tree of the demo", d.repo)
	<-ctx.Done()
	return nil
}

// say tells one thing.
func (d *demo) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if d.Screen != nil {
		d.Screen.Print(text)
		return
	}
	fmt.Fprintln(d.Out, text)
}

// showLog prints the end of the server's log.
func (d *demo) showLog() {
	text, err := os.ReadFile(filepath.Join(d.dir, "server.log"))
	if err != nil {
		return
	}
	const end = 8 << 10
	d.Out.Write(text[max(0, len(text)-end):])
}
