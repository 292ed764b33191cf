package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"
)

// buildShells is how many builds a release of the measurement has.
const buildShells = 5

// limits measures what nothing can be faster than, on this machine and now. Measurements
// that are compared with a limit also take samples of it while they run: a disk that
// others use is not the same from one second to the next.
func (b *bench) limits() error {
	p, err := b.newProbe()
	if err != nil {
		return err
	}
	defer p.close()
	for range b.count(300) {
		if err := p.sample(1, 5); err != nil {
			return err
		}
	}
	var shells []time.Duration
	for range b.count(30) {
		took, err := b.shells()
		if err != nil {
			return err
		}
		shells = append(shells, took)
	}
	b.add("append 4 KiB and fsync", p.fsyncs, 0, "", "")
	b.add("HTTP round trip on loopback, 1 KiB each way", p.trips, 0, "", "")
	b.add("fork+exec of 5 shells at once", shells, 0, "", "")
	b.roundTrip = percentile(p.trips, 50)
	return nil
}

// probe takes samples of the disk and of the loopback interface.
type probe struct {
	fsyncs, trips []time.Duration
	file          *os.File
	server        *http.Server
	client        *http.Client
	url           string
}

// page is what is written and sent.
var page = make([]byte, 4096)

func (b *bench) newProbe() (*probe, error) {
	f, err := os.CreateTemp(b.dir, "probe-")
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	p := &probe{file: f, client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, url: "http://" + l.Addr().String(),
		server: &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Write(page[:1024])
		})}}
	go p.server.Serve(l)
	if err := p.sample(5, 100); err != nil { // warm
		return nil, errors.Join(err, p.close())
	}
	p.fsyncs, p.trips = nil, nil
	return p, nil
}

// sample makes so many durable appends and round trips.
func (p *probe) sample(fsyncs, trips int) error {
	for range fsyncs {
		begun := time.Now()
		if _, err := p.file.Write(page); err != nil {
			return err
		}
		if err := p.file.Sync(); err != nil {
			return err
		}
		p.fsyncs = append(p.fsyncs, time.Since(begun))
	}
	for range trips {
		begun := time.Now()
		resp, err := p.client.Post(p.url, "application/json", bytes.NewReader(page[:1024]))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return err
		}
		p.trips = append(p.trips, time.Since(begun))
	}
	return nil
}

// limit is the time of so many durable appends and round trips.
func (p *probe) limit(fsyncs, trips time.Duration) time.Duration {
	return fsyncs*percentile(p.fsyncs, 50) + trips*percentile(p.trips, 50)
}

func (p *probe) close() error {
	p.client.CloseIdleConnections()
	return errors.Join(p.server.Close(), p.file.Close(), os.Remove(filepath.Clean(p.file.Name())))
}

// shells runs as many shells at once as a release has builds.
func (b *bench) shells() (time.Duration, error) {
	begun := time.Now()
	var all sync.WaitGroup
	errs := make([]error, buildShells)
	for i := range errs {
		all.Go(func() { errs[i] = exec.CommandContext(b.ctx, "/bin/sh", "-c", "true").Run() })
	}
	all.Wait()
	return time.Since(begun), errors.Join(errs...)
}
