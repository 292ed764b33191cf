package fake_test

import (
	"testing"

	"penstock/internal/runner"
	"penstock/internal/runner/fake"
	"penstock/internal/runner/runnertest"
)

// P-9: the fake keeps the contract of runners.
func TestConformance(t *testing.T) {
	t.Parallel()
	runnertest.Run(t, func(*testing.T) runner.Runner { return fake.Runner{} })
}

// P-9: a build may ask the fake not to start.
func TestStartFails(t *testing.T) {
	t.Parallel()
	if _, err := (fake.Runner{}).Start(t.Context(), runner.Spec{Workspace: t.TempDir(), Env: []string{"FAKE_START=fail"}}); err == nil {
		t.Fatal("started")
	}
}
