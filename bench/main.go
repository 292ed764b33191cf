// Command bench measures penstock next to the physical limits of the same minute: what the
// disk, the loopback interface and fork+exec take here and now. It prints a Markdown table.
//
// It drives the binary named by PENSTOCK_BIN, or built from ./cmd/penstock, over HTTP with
// the AWS SDK. With -cpuprofile the server runs in this process and is in the profile.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// bench is one run of all measurements.
type bench struct {
	ctx context.Context
	// dir is on the disk that is measured.
	dir string
	bin string
	// inProcess has servers run in this process.
	inProcess bool
	// scale multiplies the number of samples.
	scale float64
	rows  []row

	// roundTrip is the limit of a request.
	roundTrip time.Duration
}

// row is a line of the report.
type row struct{ what, p50, p99, limit, ratio, target string }

func main() {
	only := flag.String("only", "", "run only the measurements whose name contains this")
	profile := flag.String("cpuprofile", "", "run the servers in this process and write a profile to the file")
	dir := flag.String("dir", "", "folder on the disk to measure; the default is that of temporary files")
	scale := flag.Float64("scale", 1, "multiply the number of samples")
	into := flag.String("generate", "", "measure nothing, and fill a data folder or a postgres:// database with pipelines that have a history")
	pipelines := flag.Int("pipelines", 10_000, "how many pipelines -generate makes")
	executions := flag.Int("executions", 1_000_000, "how many executions -generate has them live through")
	asEcho := flag.Bool("echo", false, "be the echo that the server is compared with")
	withCrowd := flag.Bool("crowd", false, "measure instead how requests fare beside -pipelines and -executions")
	flag.Parse()
	if *asEcho {
		if err := serveEcho(); err != nil {
			os.Exit(1)
		}
		return
	}
	if *into != "" {
		folder, url := *into, ""
		if strings.Contains(*into, "://") {
			folder, url = "", *into
		}
		if err := generate(context.Background(), folder, url, crowd{pipelines: *pipelines, executions: *executions}); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	var c crowd
	if *withCrowd {
		c = crowd{pipelines: *pipelines, executions: *executions}
	}
	if err := run(*only, *profile, *dir, *scale, c); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(only, profile, dir string, scale float64, c crowd) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
	defer cancel()
	b := &bench{ctx: ctx, bin: os.Getenv("PENSTOCK_BIN"), inProcess: profile != "", scale: scale}
	if b.dir, err = os.MkdirTemp(dir, "penstock-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.bin == "" {
		b.bin = filepath.Join(b.dir, "penstock")
		build := exec.CommandContext(ctx, "go", "build", "-o", b.bin, "./cmd/penstock")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return err
		}
	}
	if profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	type measurement struct {
		name string
		run  func() error
	}
	all := []measurement{
		{"limits", b.limits},
		{"handover", b.handover},
		{"inprocess", b.inProcessHandover},
		{"builds", b.builds},
		{"api", b.api},
		{"throughput", b.throughput},
		{"start", b.start},
	}
	if c.pipelines > 0 {
		all = []measurement{
			{"limits", b.limits},
			{"sqlite", func() error { return b.beside("SQLite", "", c) }},
			{"postgres", func() error { return b.besidePostgres(c) }},
		}
	}
	for _, m := range all {
		if m.name != "limits" && !strings.Contains(m.name, only) {
			continue
		}
		if err := m.run(); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	fmt.Println("| measure | p50 | p99 | limit in the same run | p50 ÷ limit | target |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, r := range b.rows {
		fmt.Printf("| %s | %s | %s | %s | %s | %s |\n", r.what, r.p50, r.p99, r.limit, r.ratio, r.target)
	}
	return nil
}

// count scales a number of samples.
func (b *bench) count(n int) int { return max(3, int(float64(n)*b.scale)) }

// add adds a row of times, compared with a limit if there is one.
func (b *bench) add(what string, samples []time.Duration, limit time.Duration, limitName, target string) {
	r := row{what: what, p50: short(percentile(samples, 50)), p99: short(percentile(samples, 99)), target: target}
	if limit > 0 {
		r.limit = limitName + " = " + short(limit)
		r.ratio = fmt.Sprintf("%.1f", float64(percentile(samples, 50))/float64(limit))
	}
	b.rows = append(b.rows, r)
}

// percentile gives a percentile; it sorts the samples.
func percentile(samples []time.Duration, p int) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	slices.Sort(samples)
	return samples[min(len(samples)-1, len(samples)*p/100)]
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d >= time.Millisecond:
		return fmt.Sprintf("%.2f ms", float64(d)/1e6)
	}
	return fmt.Sprintf("%.0f µs", float64(d)/1e3)
}
