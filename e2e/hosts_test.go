package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDeployHosts does what docs/deploy-hosts.md says, word for word but for the server's
// port: the agent and the server are those that people run. P-26
func TestDeployHosts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "docs", "deploy-hosts.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := consoleBlocks(string(text))
	if len(blocks) != 4 {
		t.Fatalf("%d blocks of commands", len(blocks))
	}
	checkout := readmeCheckout(t)
	env := readmeServer(t, checkout)
	runBlock(t, checkout, env, blocks[0])
	hostAgent(t, checkout, env, string(text))
	for _, b := range blocks[1:3] {
		runBlock(t, checkout, env, b)
	}
	out := runBlock(t, checkout, env, blocks[3])
	for _, want := range []string{"Succeeded\n", "<p>Hello from a host.</p>\n", ` LifecycleEvent - AfterInstall\n`, ` \[stdout\]deployed by d-[A-Z0-9]{9} of hello\n`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
}

// hostAgent starts the agent as the page does, on the server's port, and ends it politely
// with the test.
func hostAgent(t *testing.T, checkout string, env []string, page string) {
	t.Helper()
	const address = "http://127.0.0.1:7788"
	_, block, _ := strings.Cut(page, "\n```\nexport AWS_ENDPOINT_URL="+address)
	block, _, found := strings.Cut(block, "\n```\n")
	if !found {
		t.Fatal("the page does not start an agent")
	}
	url := strings.TrimSpace(runBlock(t, checkout, env, `echo "$AWS_ENDPOINT_URL"`))
	agent := exec.Command("bash", "-euc", "export AWS_ENDPOINT_URL="+url+block)
	agent.Dir, agent.Env = checkout, env
	agent.Stderr = t.Output()
	agent.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	agent.WaitDelay = patience
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-agent.Process.Pid, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("the agent does not end")
			syscall.Kill(-agent.Process.Pid, syscall.SIGKILL)
			<-ended
		}
	})
}
