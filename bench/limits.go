package main

import (
	"bytes"
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

// limits measures what nothing can be faster than, on this machine and now.
func (b *bench) limits() error {
	fsyncs, err := b.measureFsync()
	if err != nil {
		return err
	}
	trips, err := b.measureRoundTrip()
	if err != nil {
		return err
	}
	shells, err := b.measureShells()
	if err != nil {
		return err
	}
	b.add("append 4 KiB and fsync", fsyncs, 0, "", "")
	b.add("HTTP round trip on loopback, 1 KiB each way", trips, 0, "", "")
	b.add("fork+exec of 5 shells at once", shells, 0, "", "")
	b.fsync, b.roundTrip, b.shells = percentile(fsyncs, 50), percentile(trips, 50), percentile(shells, 50)
	return nil
}

func (b *bench) measureFsync() (samples []time.Duration, err error) {
	f, err := os.Create(filepath.Join(b.dir, "fsync"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	page := make([]byte, 4096)
	for range b.count(300) {
		begun := time.Now()
		if _, err := f.Write(page); err != nil {
			return nil, err
		}
		if err := f.Sync(); err != nil {
			return nil, err
		}
		samples = append(samples, time.Since(begun))
	}
	return samples, nil
}

func (b *bench) measureRoundTrip() (samples []time.Duration, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	answer := bytes.Repeat([]byte("x"), 1024)
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Write(answer)
	})}
	go srv.Serve(l)
	defer srv.Close()
	client := &http.Client{Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for i := range b.count(2000) + 100 {
		begun := time.Now()
		resp, err := client.Post("http://"+l.Addr().String(), "application/json", bytes.NewReader(answer))
		if err != nil {
			return nil, err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if i >= 100 { // warm
			samples = append(samples, time.Since(begun))
		}
	}
	return samples, nil
}

// measureShells runs as many shells at once as a release has builds.
func (b *bench) measureShells() (samples []time.Duration, err error) {
	for range b.count(30) {
		begun := time.Now()
		var all sync.WaitGroup
		errs := make([]error, buildShells)
		for i := range errs {
			all.Go(func() { errs[i] = exec.CommandContext(b.ctx, "/bin/sh", "-c", "true").Run() })
		}
		all.Wait()
		samples = append(samples, time.Since(begun))
		for _, err := range errs {
			if err != nil {
				return nil, err
			}
		}
	}
	return samples, nil
}
