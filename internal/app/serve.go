package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// headerTime is how long a client may take to say what it wants; bodies have the
	// deadlines of whoever reads them.
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	// maxHeader leaves room for session tokens with policies in them, twice.
	maxHeader = 160 << 10
	// drainTime is how long requests under way may take when the server ends, workTime how
	// long the loops may.
	drainTime = 5 * time.Second
	workTime  = 15 * time.Second
)

func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// loadCertificate reads the certificate before anybody is told that the server is ready.
func (a *App) loadCertificate() error {
	if a.cfg.TLSCert == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(a.cfg.TLSCert, a.cfg.TLSKey)
	if err != nil {
		return fmt.Errorf("the certificate: %w", err)
	}
	a.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}}
	return nil
}

// serve answers requests until Close, or until the listener breaks.
func (a *App) serve(listener net.Listener) {
	var err error
	if a.cfg.TLSCert != "" {
		err = a.server.ServeTLS(listener, "", "") // with the certificate of loadCertificate
	} else {
		err = a.server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		a.failed = fmt.Errorf("the server cannot go on: %w", err)
		a.Close()
	}
}

// stopServing takes no more requests and waits for those under way.
func (a *App) stopServing() error {
	ctx, stop := context.WithTimeout(context.Background(), drainTime)
	defer stop()
	err := a.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		a.log.Warn("requests were cut off at the end of the server")
		err = a.server.Close()
	}
	return err
}

// stopWorking ends the loops; builds are ended by their providers and their room.
func (a *App) stopWorking() error {
	a.stopLoops()
	ended := make(chan struct{})
	go func() {
		a.loops.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(workTime):
		return errors.New("the work under way did not end in time; it is taken up at the next start")
	}
}

// release gives back what the system holds, as far as it was taken.
func (a *App) release() error {
	var errs []error
	if a.rooms != nil {
		errs = append(errs, a.rooms.close())
		ctx, stop := context.WithTimeout(context.Background(), drainTime)
		errs = append(errs, a.rooms.cloudtrail.Flush(ctx))
		stop()
	}
	a.cancel() // requests that the server's own parts still make
	if a.rooms != nil && a.rooms.fetch != nil {
		ctx, stop := context.WithTimeout(context.Background(), drainTime)
		errs = append(errs, a.rooms.fetch.Close(ctx))
		stop()
	}
	if a.auth != nil {
		a.auth.Close()
	}
	if a.blobs != nil {
		errs = append(errs, a.blobs.Close())
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Close())
	}
	return errors.Join(errs...)
}

func (r *rooms) close() error { return r.codecommit.Close() }

// shared says whether several servers may use the database.
func (a *App) shared() bool { return strings.HasPrefix(a.cfg.Database, "postgres") }
