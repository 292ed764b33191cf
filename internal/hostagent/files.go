package hostagent

import (
	"os"
	"path/filepath"
	"strings"
)

// Names in the deployment root, as AWS's agent has them (D.4).
const (
	instructionsDir = "deployment-instructions"
	ongoingDir      = "ongoing-deployment"
	lockFile        = "agent.lock"
	archiveDir      = "deployment-archive"
	bundleFile      = "bundle.tar"
)

// instructions gives the path of a file about a group.
func (a *agent) instructions(name string) string {
	return filepath.Join(a.cfg.Root, instructionsDir, name)
}

// dir is the folder of a deployment.
func (a *agent) dir(d *deployment) string { return filepath.Join(a.cfg.Root, d.group, d.id) }

// archive is where the bundle of a deployment is unpacked.
func (a *agent) archive(d *deployment) string { return filepath.Join(a.dir(d), archiveDir) }

// markers of a group: which deployments were the last to be installed and to be downloaded.
func (a *agent) lastSuccessful(d *deployment) string {
	return a.instructions(d.group + "_last_successful_install")
}

func (a *agent) mostRecent(d *deployment) string {
	return a.instructions(d.group + "_most_recent_install")
}

// marked gives the folder that a marker names; "" is none. Only a folder of the group is one.
func (a *agent) marked(d *deployment, marker string) (string, error) {
	text, err := os.ReadFile(marker)
	if os.IsNotExist(err) {
		return "", nil
	}
	dir := filepath.Clean(strings.TrimSpace(string(text)))
	if err != nil || filepath.Dir(dir) != filepath.Join(a.cfg.Root, d.group) {
		return "", err
	}
	return dir, nil
}

// replace writes a file in one step.
func replace(name string, data []byte) error {
	temporary := filepath.Join(filepath.Dir(name), "."+filepath.Base(name))
	if err := os.WriteFile(temporary, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, name)
}

func isDir(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.IsDir()
}
