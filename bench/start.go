package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codepipeline"
)

// start measures the way from the start of the process to the first answered request, on a
// fresh data folder and on one that exists, and the memory of a server that does nothing.
func (b *bench) start() error {
	if b.inProcess {
		return nil
	}
	var fresh, again []time.Duration
	memory := 0
	for i := range b.count(10) {
		for _, samples := range []*[]time.Duration{&fresh, &again} {
			begun := time.Now()
			s, err := b.serve(fmt.Sprint("start", i))
			if err != nil {
				return err
			}
			_, err = codepipeline.NewFromConfig(s.cfg).ListPipelines(b.ctx, &codepipeline.ListPipelinesInput{})
			*samples = append(*samples, time.Since(begun))
			if err == nil && i == 0 {
				<-time.After(3 * time.Second)
				memory, err = residentKiB(s.process.Process.Pid)
			}
			if err := errors.Join(err, s.stop()); err != nil {
				return err
			}
		}
	}
	b.add("(d) start to first answered request, fresh data folder", fresh, 0, "", "≤ 100 ms")
	b.add("(d) start to first answered request, existing data folder", again, 0, "", "≤ 100 ms")
	b.rows = append(b.rows, row{what: fmt.Sprintf("(d) resident memory when idle: %.1f MiB", float64(memory)/1024), target: "≤ 40 MiB"})
	return nil
}

// residentKiB reads the resident memory of a process.
func residentKiB(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, errors.New("the system does not tell a process's memory")
}
