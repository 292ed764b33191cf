package main

import (
	"errors"
	"strings"
	"testing"
)

// A command line that is wrong says what is wrong with it and what may be meant, and is told by
// its exit code.
func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"frobnicate":           `unknown command "frobnicate" for "penstock"; penstock --help lists the commands`,
		"serv":                 `unknown command "serv" for "penstock"; did you mean env or serve?; penstock --help lists the commands`,
		"audit verfy":          `unknown command "verfy" for "penstock audit"; did you mean verify?; penstock audit --help lists the commands`,
		"help frobnicate":      `unknown command "frobnicate" for "penstock"; penstock --help lists the commands`,
		"help audit verfy":     `unknown command "verfy" for "penstock audit"; did you mean verify?; penstock audit --help lists the commands`,
		"show":                 `accepts 1 arg(s), received 0; usage: penstock show NAME [flags]`,
		"show a --bogus":       `unknown flag: --bogus`,
		"history a --limit -1": `--limit -1: it is a number of executions, or 0 for all`,
	} {
		root := newRoot()
		root.SetArgs(strings.Fields(line))
		err := root.ExecuteContext(t.Context())
		var usage usageError
		if err == nil || err.Error() != want || !errors.As(err, &usage) {
			t.Errorf("%s: %v, want %s", line, err, want)
		}
	}
}
