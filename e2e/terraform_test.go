//go:build terraform

package e2e

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// C-22: Terraform and its AWS provider, as their makers built them. scripts/terraform says
// where the provider is, and runs this only where there is one.
func TestTerraform(t *testing.T) {
	t.Parallel()
	runScripts(t, "testdata/terraform", func(env *testscript.Env) {
		env.Setenv("PROVIDERS", os.Getenv("PENSTOCK_TERRAFORM_PROVIDERS"))
		env.Setenv("TF_CLI_CONFIG_FILE", os.DevNull)
		env.Setenv("TF_CLI_ARGS", "-no-color")
		env.Setenv("CHECKPOINT_DISABLE", "1")
	})
}
