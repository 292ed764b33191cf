package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// C-3, C-5, C-6, C-26, C-27, C-28, C-29: boto3, unmodified, a script for each group of
// operations; each paginator is used in one of them.
func TestBoto3(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	scripts, err := filepath.Glob("python/*.py")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("scripts", func(t *testing.T) {
		for _, script := range scripts {
			name := strings.TrimSuffix(filepath.Base(script), ".py")
			if name == "world" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s.python(t, script)
			})
		}
	})
}

// C-3, N-18: every paginator and every waiter of boto3 that has an operation on the page
// docs/api-coverage.md, with nobody beside it.
func TestPaginators(t *testing.T) {
	t.Parallel()
	newSite(t).python(t, "python/alone/paginators.py")
}

// python runs a script as a client of the site.
func (s *site) python(t *testing.T, script string) {
	t.Helper()
	python, err := filepath.Abs(filepath.Join("..", ".venv", "bin", "python"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, python, "-B", script)
	cmd.Env = append(s.environment(t), "PYTHONPATH=python")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", script, err, out)
	}
}

// environment is what a client of the site needs, and nothing else of this process.
func (s *site) environment(t *testing.T) []string {
	t.Helper()
	cfg := s.config()
	keys, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_ENDPOINT_URL=" + *cfg.BaseEndpoint, "AWS_REGION=" + cfg.Region, "AWS_DEFAULT_REGION=" + cfg.Region,
		"AWS_ACCESS_KEY_ID=" + keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + keys.SecretAccessKey, "AWS_EC2_METADATA_DISABLED=true",
	}
}
