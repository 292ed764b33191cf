package hostagent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"penstock/internal/appspec"
	"penstock/internal/runner/script"
)

// hookEvents are the lifecycle events that may have scripts.
var hookEvents = []string{
	"BeforeBlockTraffic", "AfterBlockTraffic", "ApplicationStop", "BeforeInstall", "AfterInstall",
	"ApplicationStart", "ValidateService", "BeforeAllowTraffic", "AfterAllowTraffic",
}

func isHook(name string) bool { return slices.Contains(hookEvents, name) }

// maxScriptLog bounds what one event writes to the log on the disk.
const maxScriptLog = 64 << 20

// revision gives the folder of the deployment whose scripts an event runs; "" is none. Before
// the bundle is here, what ends the old release is up to the old release. (D.4)
func (a *agent) revision(event string, d *deployment) (string, error) {
	if isDir(a.archive(d)) {
		return a.dir(d), nil
	}
	back := d.creator == "codeDeployRollback" && d.kind == "BLUE_GREEN"
	switch event {
	case "ApplicationStop":
		return a.marked(d, a.lastSuccessful(d))
	case "BeforeBlockTraffic", "AfterBlockTraffic":
		if back {
			return a.marked(d, a.mostRecent(d))
		}
		return a.marked(d, a.lastSuccessful(d))
	case "BeforeAllowTraffic", "AfterAllowTraffic":
		if back {
			return a.marked(d, a.lastSuccessful(d))
		}
	}
	return a.dir(d), nil
}

// scripts gives the scripts of an event and the folder they are in.
func (a *agent) scripts(event string, d *deployment) ([]appspec.Script, string, error) {
	dir, err := a.revision(event, d)
	if err != nil || dir == "" {
		return nil, "", err
	}
	archive := filepath.Join(dir, archiveDir)
	s, err := readAppSpec(archive, d)
	if err != nil {
		return nil, "", err
	}
	return s.Hooks[event], archive, nil
}

// readAppSpec reads the AppSpec file of an unpacked bundle. (C.1)
func readAppSpec(archive string, d *deployment) (*appspec.Spec, error) {
	missing := sentence("The CodeDeploy agent did not find an AppSpec file within the unpacked revision directory at revision-relative path %q. "+
		"The revision was unpacked to directory %q, and the AppSpec file was expected but not found at path %q.", d.appSpec, archive, filepath.Join(archive, d.appSpec))
	root, err := os.OpenRoot(archive)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	defer root.Close()
	for _, name := range []string{d.appSpec, "appspec.yaml", "appspec.yml"} {
		info, err := root.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is no file", name)
		case info.Size() > appspec.MaxSize:
			return nil, fmt.Errorf("%s has %d bytes, more than %d", name, info.Size(), appspec.MaxSize)
		}
		text, err := root.ReadFile(name)
		if err != nil {
			return nil, err
		}
		s, err := appspec.Parse(text)
		if err != nil {
			return nil, err
		}
		if here := "linux"; (s.OS == "windows") != (runtime.GOOS == "windows") {
			return nil, sentence("The deployment failed because the application specification file specifies an unsupported operating system (%s). Specify %q in the os section of the AppSpec file, and then try again.", s.OS, here)
		}
		return s, nil
	}
	return nil, missing
}

// hook runs the scripts of an event, one after the other.
func (a *agent) hook(ctx context.Context, event string, d *deployment, log *tail) error {
	scripts, archive, err := a.scripts(event, d)
	if err != nil || len(scripts) == 0 {
		return err
	}
	if err := os.MkdirAll(filepath.Join(a.dir(d), "logs"), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(a.dir(d), "logs", "scripts.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	left := maxScriptLog
	write := func(line string) {
		log.add(line + "\n")
		if left > 0 {
			// A full disk must not fail the script: its end is told anyway.
			n, _ := fmt.Fprintf(file, "%s %s\n", time.Now().Format("2006-01-02 15:04:05"), line)
			if left -= n; left <= 0 {
				fmt.Fprintln(file, "The rest of this event is not kept here.")
			}
		}
	}
	write("LifecycleEvent - " + event)
	for _, s := range scripts {
		if err := a.run(ctx, s, archive, environment(event, d), write); err != nil {
			return err
		}
	}
	return nil
}

// run runs one script. Its failures are in the words of AWS's agent.
func (a *agent) run(ctx context.Context, s appspec.Script, archive string, env []string, write func(line string)) error {
	path := filepath.Join(archive, s.Location)
	fail := func(code int, format string, args ...any) error {
		return &scriptError{code, s.Location, fmt.Sprintf(format, args...)}
	}
	root, err := os.OpenRoot(archive)
	if err != nil {
		return err
	}
	defer root.Close()
	// The root follows no link out of the bundle.
	info, err := root.Stat(s.Location)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(codeScriptMissing, "Script does not exist at specified location: %s", path)
	case err != nil:
		return fail(codeScriptMissing, "Script at specified location: %s cannot be used: %v", s.Location, err)
	case !info.Mode().IsRegular():
		return fail(codeNotExecutable, "Script at specified location: %s is no file", s.Location)
	case info.Mode()&0o111 != 0o111:
		if err := root.Chmod(s.Location, info.Mode().Perm()|0o111); err != nil {
			return fail(codeNotExecutable, "Unable to set script at specified location: %s as executable", s.Location)
		}
	}
	write("Script - " + s.Location)
	who := "Script at specified location: " + s.Location
	if s.RunAs != "" {
		who += " run as user " + s.RunAs
	}
	err = script.Run(ctx, script.Script{
		Argv: argv(s, path), Env: env, Timeout: s.Timeout,
		Output: func(stream, line string) { write("[" + stream + "]" + line) },
	})
	var exit *script.ExitError
	var open *script.OpenError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, script.ErrTimeout):
		return fail(codeTimedOut, "Script at specified location: %s failed to complete in %d seconds", s.Location, int(s.Timeout.Seconds()))
	case errors.As(err, &open):
		return fail(codeOutputsLeftOpen, "Script at specified location: %s failed to close %s", s.Location, strings.ToUpper(open.Stream))
	case errors.As(err, &exit):
		return fail(codeScriptFailed, "%s failed with exit code %d", who, exit.Code)
	}
	return fail(codeScriptFailed, "%s failed with error %v", who, err)
}

// argv is the command of a script: itself, or through su and sudo. (D.4)
func argv(s appspec.Script, path string) []string {
	words := []string{path}
	if s.RunAs != "" {
		words = []string{"su", s.RunAs, "-c", "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"}
	}
	if s.Sudo {
		words = append([]string{"sudo"}, words...)
	}
	return words
}

// environment is all that a script gets from the agent. (C.1)
func environment(event string, d *deployment) []string {
	env := []string{
		"PATH=" + or(os.Getenv("PATH"), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
		"LIFECYCLE_EVENT=" + event, "DEPLOYMENT_ID=" + d.id, "APPLICATION_NAME=" + d.application,
		"DEPLOYMENT_GROUP_NAME=" + d.groupName, "DEPLOYMENT_GROUP_ID=" + d.group,
		"BUNDLE_BUCKET=" + d.revision.Bucket, "BUNDLE_KEY=" + d.revision.Key,
	}
	if d.revision.Version != "" {
		env = append(env, "BUNDLE_VERSION="+d.revision.Version)
	}
	if d.revision.ETag != "" {
		env = append(env, "BUNDLE_ETAG="+d.revision.ETag)
	}
	return env
}
