package lambda

import (
	_ "embed" // the clients of the Runtime API
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// The clients of the Runtime API for handlers in languages that need one.
var (
	//go:embed runtimes/bootstrap.py
	pythonClient []byte
	//go:embed runtimes/bootstrap.mjs
	nodeClient []byte
)

// command is how a runtime begins.
type command struct {
	// script is shell text.
	script string
	// file and text are the client that goes beside the code.
	file string
	text []byte
}

// command gives how a runtime begins on this machine, or refuses one that does not.
func (r *Room) command(runtime string) (command, error) {
	family := strings.TrimRight(runtime, "0123456789.x")
	switch family {
	case "provided", "provided.al":
		return command{script: `"$LAMBDA_TASK_ROOT/bootstrap"`}, nil
	case "python":
		if runtime == "python2.7" {
			break
		}
		program := r.find(runtime, "python3")
		if program == "" {
			return command{}, lacks(runtime, runtime+" or python3", "Python 3")
		}
		return command{script: quote(program) + ` -u "$LAMBDA_RUNTIME_DIR/bootstrap.py"`, file: "bootstrap.py", text: pythonClient}, nil
	case "nodejs":
		program := r.find("node", "nodejs")
		if program == "" {
			return command{}, lacks(runtime, "node", "Node.js")
		}
		return command{script: quote(program) + ` "$LAMBDA_RUNTIME_DIR/bootstrap.mjs"`, file: "bootstrap.mjs", text: nodeClient}, nil
	}
	return command{}, invalid("The runtime %s does not run on this server. It runs provided.al2023, provided.al2 and provided with an executable named bootstrap, python3.x and nodejs.", runtime)
}

func lacks(runtime, programs, install string) error {
	return invalid("The runtime %s needs the program %s, which is not on this machine where other users can run it. Install %s on the machine of the server, in a folder of the server's PATH.", runtime, programs, install)
}

// find looks for the first of the programs in the folders of Path.
func (r *Room) find(programs ...string) string {
	for _, p := range programs {
		for _, dir := range filepath.SplitList(r.deps.Path) {
			if file := filepath.Join(dir, p); filepath.IsAbs(dir) && usable(file) {
				return file
			}
		}
	}
	return ""
}

// usable says whether whoever a function runs as can run the program: it need not be the
// server's own user.
func usable(file string) bool {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return false
	}
	for _, p := range []string{file, real} {
		for ; ; p = filepath.Dir(p) {
			fi, err := os.Stat(p)
			if err != nil || fi.Mode().Perm()&0o001 == 0 {
				return false
			}
			if p == filepath.Dir(p) {
				break
			}
		}
	}
	fi, err := os.Stat(real)
	return err == nil && fi.Mode().IsRegular()
}

// quote makes one shell word.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// lay writes the client of the Runtime API into dir.
func (c command) lay(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if c.file != "" {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, c.file), c.text, 0o644))
	}
	return err
}
