package hostagent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const head = "version: 0.0\nos: linux\n"

// P-26: files and folders have the modes of a deployment, whatever the umask of the agent takes away.
func TestDeploymentUmask(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", `umask 077; exec "$0" -test.run='^TestDeployment$'`, os.Args[0]).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// P-26, C.1, D.4: a whole deployment, in the order of its events.
func TestDeployment(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	stop := s.agent()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	const say = "#!/bin/sh\necho \"$LIFECYCLE_EVENT $DEPLOYMENT_ID $APPLICATION_NAME $DEPLOYMENT_GROUP_NAME $DEPLOYMENT_GROUP_ID $BUNDLE_BUCKET $BUNDLE_KEY $BUNDLE_VERSION $BUNDLE_ETAG\" >>HOST/said\necho out\necho err >&2\n"
	s.bundle("d-1", map[string]string{
		"appspec.yml": head + `files:
  - {source: /, destination: HOST/all}
  - {source: conf/app.ini, destination: HOST/etc}
  - {source: site, destination: HOST/www/site}
permissions:
  - {object: HOST/www, pattern: "**", except: [], mode: 640, type: [file], owner: "` + me.Username + `"}
  - {object: HOST/etc/app.ini, mode: 4700, owner: "` + me.Username + `"}
  - {object: HOST/www, mode: 711, type: [directory]}
hooks:
  ApplicationStop: [{location: say.sh}]
  BeforeInstall: [{location: say.sh}, {location: plain.sh}]
  AfterInstall: [{location: say.sh, timeout: 20}]
  ApplicationStart: [{location: say.sh}]
`,
		"conf/app.ini": "ini", "site/index.html": "page", "site/a/b.html": "deep",
		"say.sh": say, "plain.sh": "echo \"not executable\"\n/usr/bin/env >HOST/environment\npwd >HOST/pwd\n",
	})
	s.deployment("d-1")
	if err := os.MkdirAll(s.path(), 0o755); err != nil {
		t.Fatal(err)
	}

	// Nothing was there before: there is nothing to stop.
	s.succeed("d-1", "ApplicationStop")
	if !s.acknowledged().noop {
		t.Error("ApplicationStop without a revision before is a noop")
	}
	s.succeed("d-1", "DownloadBundle", "BeforeInstall")
	if s.acknowledged().noop {
		t.Error("BeforeInstall has scripts")
	}
	if _, err := os.Stat(s.path("all")); err == nil {
		t.Error("files are there before Install")
	}
	s.succeed("d-1", "Install", "AfterInstall", "ApplicationStart", "ValidateService")
	if !s.acknowledged().noop {
		t.Error("ValidateService has no scripts")
	}

	want := []string{"appspec.yml", "conf", "conf/app.ini", "plain.sh", "say.sh", "site", "site/a", "site/a/b.html", "site/index.html"}
	if got := s.tree("all"); !slices.Equal(got, want) {
		t.Errorf("all: %q", got)
	}
	if got := s.tree("www"); !slices.Equal(got, []string{"site", "site/a", "site/a/b.html", "site/index.html"}) {
		t.Errorf("www: %q", got)
	}
	for file, mode := range map[string]os.FileMode{
		"all/say.sh": 0o755, "all/conf/app.ini": 0o644, "etc/app.ini": 0o700 | os.ModeSetuid, "www/site/index.html": 0o640, "www/site/a": 0o711 | os.ModeDir, "www": 0o755 | os.ModeDir,
	} {
		if info, err := os.Stat(s.path(file)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	said := strings.Fields(s.read(s.path("said")))
	if etag := etag(s.objects["d-1"]); !slices.Equal(said[:9], []string{"BeforeInstall", "d-1", "shop", "production", "group-1", "bundles", "d-1", "v1", `"` + etag + `"`}) || len(said) != 27 || said[9] != "AfterInstall" || said[18] != "ApplicationStart" {
		t.Errorf("%q", said)
	}
	// C.1: an environment that begins empty, and the folder of the agent.
	for line := range strings.Lines(s.read(s.path("environment"))) {
		name, _, _ := strings.Cut(line, "=")
		if !slices.Contains([]string{"PATH", "PWD", "OLDPWD", "_", "SHLVL", "LIFECYCLE_EVENT", "DEPLOYMENT_ID", "APPLICATION_NAME", "DEPLOYMENT_GROUP_NAME", "DEPLOYMENT_GROUP_ID", "BUNDLE_BUCKET", "BUNDLE_KEY", "BUNDLE_VERSION", "BUNDLE_ETAG"}, name) {
			t.Errorf("environment: %s", line)
		}
	}
	if here, _ := os.Getwd(); strings.TrimSpace(s.read(s.path("pwd"))) != here {
		t.Error("not the folder of the agent")
	}
	// D.4: the files that the agent keeps.
	log := s.read(filepath.Join(s.root(), "group-1", "d-1", "logs", "scripts.log"))
	for _, line := range []string{" LifecycleEvent - BeforeInstall\n", " Script - say.sh\n", " [stdout]out\n", " [stderr]err\n", " [stdout]not executable\n", " LifecycleEvent - AfterInstall\n"} {
		if !strings.Contains(log, line) {
			t.Errorf("no %q in\n%s", line, log)
		}
	}
	var install struct{ Instructions []map[string]any }
	if err := json.Unmarshal([]byte(s.read(filepath.Join(s.root(), instructionsDir, "group-1-install.json"))), &install); err != nil || install.Instructions[0]["type"] != "mkdir" {
		t.Error(err, install)
	}
	if got := s.read(filepath.Join(s.root(), instructionsDir, "group-1_last_successful_install")); got != filepath.Join(s.root(), "group-1", "d-1") {
		t.Error(got)
	}
	stop()
	if left, _ := os.ReadDir(filepath.Join(s.root(), ongoingDir)); len(left) != 0 {
		t.Error(left)
	}
}

// P-26, D.1: the end of a script's output is told, with its lines in order.
func TestLog(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	s.bundle("d-1", map[string]string{
		"appspec.yml": head + "hooks: {AfterInstall: [{location: a.sh}, {location: b.sh}]}",
		"a.sh":        "#!/bin/sh\ni=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done",
		"b.sh":        "#!/bin/sh\necho bad >&2; exit 9",
	})
	s.deployment("d-1")
	s.succeed("d-1", "DownloadBundle")
	d := s.fail("d-1", "AfterInstall", codeScriptFailed, "b.sh", "Script at specified location: b.sh failed with exit code 9")
	if len(d.Log) != 2048 || !strings.HasSuffix(d.Log, "[stdout]line 1998\n[stdout]line 1999\nScript - b.sh\n[stderr]bad\n") {
		t.Errorf("%d: %q", len(d.Log), d.Log)
	}
	s.bundle("d-2", map[string]string{"appspec.yml": head + "hooks: {AfterInstall: [{location: a.sh}]}", "a.sh": "#!/bin/sh\necho hello"})
	s.deployment("d-2")
	s.succeed("d-2", "DownloadBundle")
	if d := s.do("AfterInstall", "d-2"); d.Log != "LifecycleEvent - AfterInstall\nScript - a.sh\n[stdout]hello\n" {
		t.Errorf("%q", d.Log)
	}
}

// P-26, D.4: the next deployment takes away what the one before brought, stops with its
// scripts, and nothing else counts as in the way.
func TestSecondDeployment(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	const spec = head + "files: [{source: app, destination: HOST/app}]\nhooks: {ApplicationStop: [{location: stop.sh}], BeforeBlockTraffic: [{location: stop.sh}]}\n"
	s.bundle("d-1", map[string]string{"appspec.yml": spec, "app/old": "1", "app/same": "1", "app/dir/x": "1", "app/kept/y": "1", "stop.sh": "#!/bin/sh\necho first $DEPLOYMENT_ID >>HOST/stopped"})
	s.bundle("d-2", map[string]string{"appspec.yml": spec, "app/new": "2", "app/same": "2", "stop.sh": "#!/bin/sh\necho second $DEPLOYMENT_ID >>HOST/stopped"})
	s.deployment("d-1")
	s.deployment("d-2")
	s.succeed("d-1", "DownloadBundle", "Install")
	s.write(s.path("app", "kept", "mine"), "mine")
	s.succeed("d-2", "BeforeBlockTraffic", "ApplicationStop", "DownloadBundle", "BeforeInstall", "Install")
	if got := s.tree("app"); !slices.Equal(got, []string{"kept", "kept/mine", "new", "same"}) {
		t.Errorf("%q", got)
	}
	if got := s.read(s.path("app", "same")); got != "2" {
		t.Error(got)
	}
	if got := s.read(s.path("stopped")); got != "first d-2\nfirst d-2\n" {
		t.Errorf("%q", got)
	}
	// A deployment that fails after its bundle is here: what the old one does is over.
	s.bundle("d-3", map[string]string{"appspec.yml": spec, "stop.sh": "#!/bin/sh\necho third $DEPLOYMENT_ID >>HOST/stopped"})
	s.deployment("d-3")
	s.succeed("d-3", "ApplicationStop", "DownloadBundle", "ApplicationStop")
	if got := s.read(s.path("stopped")); !strings.HasSuffix(got, "second d-3\nthird d-3\n") {
		t.Errorf("%q", got)
	}
	// The rollback of a blue/green deployment blocks with the scripts of the most recent one.
	s.bundle("d-4", map[string]string{"appspec.yml": spec})
	s.deployment("d-4", func(spec, _ map[string]any) {
		spec["DeploymentCreator"], spec["DeploymentType"] = "codeDeployRollback", "BLUE_GREEN"
	})
	s.succeed("d-4", "BeforeBlockTraffic", "ApplicationStop")
	if got := s.read(s.path("stopped")); !strings.HasSuffix(got, "third d-4\nsecond d-4\n") {
		t.Errorf("%q", got)
	}
}

// P-26, D.4: what to do with a file that somebody else has put there.
func TestFileExists(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	deploy := func(id, behaviour, override string) done {
		s.bundle(id, map[string]string{"appspec.yml": head + behaviour + "files: [{source: app, destination: HOST/app}]", "app/f": "ours", "app/g": "ours"})
		s.deployment(id, func(spec, _ map[string]any) {
			spec["AgentActionOverrides"] = map[string]any{"AgentOverrides": map[string]any{"FileExistsBehavior": override}}
			spec["DeploymentGroupId"] = "group-" + id
		})
		s.succeed(id, "DownloadBundle")
		return s.do("Install", id)
	}
	const message = "The deployment failed because a specified file already exists at this location: "
	s.write(s.path("app", "f"), "theirs")
	if d := deploy("d-1", "", "DISALLOW"); d.Status != "Failed" || d.Code != codeUnknown || d.Message != message+s.path("app", "f") {
		t.Errorf("%+v", d)
	}
	if _, err := os.Stat(s.path("app", "g")); err == nil {
		t.Error("something was done before everything was planned")
	}
	if d := deploy("d-2", "", "RETAIN"); d.Status != "Succeeded" || s.read(s.path("app", "f")) != "theirs" || s.read(s.path("app", "g")) != "ours" {
		t.Errorf("%+v", d)
	}
	// A link is replaced, not written through.
	os.Remove(s.path("app", "f"))
	s.write(s.path("elsewhere"), "theirs")
	if err := os.Symlink(s.path("elsewhere"), s.path("app", "f")); err != nil {
		t.Fatal(err)
	}
	if d := deploy("d-3", "file_exists_behavior: OVERWRITE\n", "DISALLOW"); d.Status != "Succeeded" || s.read(s.path("app", "f")) != "ours" || s.read(s.path("elsewhere")) != "theirs" {
		t.Errorf("%+v", d)
	}
	if d := deploy("d-4", "", "SOMETIMES"); d.Status != "Failed" || !strings.Contains(d.Message, "invalid option was specified for fileExistsBehavior: SOMETIMES") {
		t.Errorf("%+v", d)
	}
}

// P-26, C.1, D.4: how scripts fail.
func TestScripts(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	s.bundle("d-1", map[string]string{
		"appspec.yml": head + `hooks:
  BeforeInstall: [{location: none.sh}]
  AfterInstall: [{location: dir}]
  ApplicationStart: [{location: slow.sh, timeout: 1}]
  ValidateService: [{location: open.sh, timeout: 1}]
  BeforeAllowTraffic: [{location: odd.sh}]
`,
		"dir/x": "", "slow.sh": "#!/bin/sh\necho $$ >HOST/slow\necho begun\nexec sleep 1000",
		"open.sh": "#!/bin/sh\nsleep 1000 &\necho $! >HOST/open", "odd.sh": "#!/no/such/interpreter\n",
	})
	s.deployment("d-1")
	s.write(s.path("x"), "")
	s.succeed("d-1", "DownloadBundle")
	s.fail("d-1", "BeforeInstall", codeScriptMissing, "none.sh", "Script does not exist at specified location: "+filepath.Join(s.root(), "group-1/d-1/deployment-archive/none.sh"))
	s.fail("d-1", "AfterInstall", codeNotExecutable, "dir", "is no file")
	d := s.fail("d-1", "ApplicationStart", codeTimedOut, "slow.sh", "Script at specified location: slow.sh failed to complete in 1 seconds")
	if !strings.HasSuffix(d.Log, "[stdout]begun\n") {
		t.Errorf("%q", d.Log)
	}
	s.fail("d-1", "ValidateService", codeOutputsLeftOpen, "open.sh", "Script at specified location: open.sh failed to close STDOUT")
	kill(t, s.read(s.path("open")))
	s.fail("d-1", "BeforeAllowTraffic", codeScriptFailed, "odd.sh", "Script at specified location: odd.sh failed with error")
	// D.1: what the agent does not know is acknowledged as nothing to do, and else refused.
	s.fail("d-1", "BlockTraffic", codeUnknown, "", "Unsupported command type: BlockTraffic.")
	if !s.acknowledged().noop {
		t.Error("BlockTraffic is no noop")
	}
}

// P-26, D.1: a command that the server has ended meanwhile is not carried out.
func TestAcknowledgement(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	s.bundle("d-1", map[string]string{"appspec.yml": head + "hooks: {AfterInstall: [{location: a.sh}]}", "a.sh": "#!/bin/sh\necho ran >HOST/ran"})
	s.deployment("d-1")
	s.succeed("d-1", "DownloadBundle")
	s.acknowledged()
	answer := func(status string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.status = status
	}
	for _, status := range []string{"Failed", "Succeeded"} {
		answer(status)
		s.send("AfterInstall", "d-1")
		if a := <-s.acks; a.noop {
			t.Errorf("%+v", a)
		}
	}
	answer("Failed")
	if d := s.do("ValidateService", "d-1"); d.Status != "Succeeded" || d.Message != "Succeeded: CompletedNoopCommand" {
		t.Errorf("%+v", d)
	}
	if _, err := os.Stat(s.path("ran")); err == nil {
		t.Error("it was carried out")
	}
	answer("InProgress")
	s.write(s.path("x"), "")
	s.succeed("d-1", "AfterInstall")
	if got := s.read(s.path("ran")); got != "ran\n" {
		t.Error(got)
	}
}

// P-26: other kinds of bundles, and one whose files lie in a single folder.
func TestBundles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	for name, text := range map[string]string{"top/appspec.yaml": head + "files: [{source: f, destination: " + s.path("app") + "}]", "top/f": "x"} {
		w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		w.Write([]byte(text))
	}
	w.Close()
	z := gzip.NewWriter(&packed)
	z.Write(plain.Bytes())
	z.Close()
	for kind, data := range map[string][]byte{"tar": plain.Bytes(), "tgz": packed.Bytes()} {
		s.put("d-"+kind, data)
		s.deployment("d-"+kind, func(_, s3 map[string]any) { s3["BundleType"] = kind })
		s.succeed("d-"+kind, "DownloadBundle", "Install")
		if got := s.tree("app"); !slices.Equal(got, []string{"f"}) {
			t.Errorf("%s: %q", kind, got)
		}
	}
}

// P-26, hostile: bundles that are not what was asked for, or reach out of their folder.
func TestBadBundles(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	s.write(s.path("secret"), "secret")
	spec := func(rest string) map[string]string { return map[string]string{"appspec.yml": head + rest, "f": "x"} }
	for id, c := range map[string]struct {
		event string
		files map[string]string
		more  func(spec, s3 map[string]any)
		words string
		code  int
		name  string
	}{
		"d-escape":     {event: "DownloadBundle", files: map[string]string{"../../evil": "x"}, words: `"../../evil" leaves the archive`},
		"d-absolute":   {event: "DownloadBundle", files: map[string]string{"/evil": "x"}, words: `has an absolute name`},
		"d-etag":       {event: "DownloadBundle", files: spec(""), more: func(_, s3 map[string]any) { s3["ETag"] = "0123" }, words: "Expected deployment artifact bundle etag 0123 but was actually"},
		"d-version":    {event: "DownloadBundle", files: spec(""), more: func(_, s3 map[string]any) { s3["Version"] = "v2" }, words: "NoSuchKey"},
		"d-key":        {event: "DownloadBundle", files: spec(""), more: func(_, s3 map[string]any) { s3["Key"] = "other" }, words: "the bundle s3://bundles/other cannot be read"},
		"d-tar":        {event: "DownloadBundle", files: spec(""), more: func(_, s3 map[string]any) { s3["BundleType"] = "tar" }, words: "not a tar file"},
		"d-none":       {event: "Install", files: map[string]string{"f": "x", "g": "x"}, words: "did not find an AppSpec file"},
		"d-yaml":       {event: "Install", files: map[string]string{"appspec.yml": "version: 1.0"}, words: "invalid version value (1.0)"},
		"d-os":         {event: "Install", files: map[string]string{"appspec.yml": "version: 0.0\nos: windows"}, words: "unsupported operating system (windows)"},
		"d-source":     {event: "Install", files: spec("files: [{source: ../../../../host/secret, destination: HOST/out}]"), words: "leaves the bundle"},
		"d-missing":    {event: "Install", files: spec("files: [{source: none, destination: HOST/out}]"), words: "is not in the bundle"},
		"d-two":        {event: "Install", files: spec("files: [{source: f, destination: HOST/out}, {source: f, destination: HOST/out}]"), words: "specifies two source files"},
		"d-in-the-way": {event: "Install", files: spec("files: [{source: f, destination: HOST/out/f}, {source: f, destination: HOST/out}]"), words: "already exists at the location"},
		"d-folder":     {event: "Install", files: spec("files: [{source: f, destination: HOST/secret/in}]"), words: "already exists at this location: HOST/secret"},
		"d-event":      {event: "Install", files: spec("hooks: {Sometimes: [{location: f}]}"), more: func(spec, _ map[string]any) { spec["AllPossibleLifecycleEvents"] = []string{"Install"} }, words: `unknown lifecycle events: ["Sometimes"]`},
		"d-break":      {event: "DownloadBundle", files: map[string]string{"app/x\n/secret": "x"}, words: "control character in its name"},
		"d-break-to":   {event: "Install", files: spec(`files: [{source: f, destination: "HOST/out\n"}]`), words: "has a control character"},
		"d-pattern":    {event: "Install", files: spec("files: [{source: f, destination: HOST/out}]\npermissions: [{object: HOST/out/f, pattern: '*'}]"), words: "invalid pattern (*)"},
		"d-twice":      {event: "Install", files: spec("files: [{source: f, destination: HOST/out}]\npermissions: [{object: HOST/out/f, mode: 644}, {object: HOST/out, mode: 600}]"), words: "specified more than once"},
		"d-default":    {event: "Install", files: spec("files: [{source: f, destination: HOST/out}]\npermissions: [{object: HOST/out/f, acls: ['d:me:r']}]"), words: "-d parameter"},
		"d-owner":      {event: "Install", files: spec("files: [{source: f, destination: HOST/out}]\npermissions: [{object: HOST/out/f, owner: no-such-user}]"), words: "cannot be given to the owner no-such-user"},
		"d-hook":       {event: "AfterInstall", files: spec("hooks: {AfterInstall: [{location: ../../../../host/secret}]}"), words: "leaves the bundle"},
	} {
		s.bundle(id, c.files)
		s.deployment(id, func(spec, s3 map[string]any) {
			spec["DeploymentGroupId"] = "g-" + id
			if c.more != nil {
				c.more(spec, s3)
			}
		})
		if c.event != "DownloadBundle" {
			s.succeed(id, "DownloadBundle")
		}
		s.fail(id, c.event, codeUnknown, "", c.words)
		// A clash of the next with what this one may have made is not what is tested.
		os.RemoveAll(s.path("out"))
	}
	if got := s.tree(); !slices.Equal(got, []string{"secret"}) {
		t.Errorf("%q", got)
	}
	if evil, _ := filepath.Glob(filepath.Join(s.dir, "*", "evil")); evil != nil {
		t.Error(evil)
	}
}

// P-26, hostile: a script that makes links cannot lead the agent out of the bundle, and a
// link that goes in circles ends.
func TestLinks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	s.write(s.path("secret"), "#!/bin/sh\necho ran >"+s.path("ran"))
	s.bundle("d-1", map[string]string{
		"appspec.yml": head + "files: [{source: d, destination: HOST/out}]\nhooks: {BeforeInstall: [{location: link.sh}], AfterInstall: [{location: out}]}",
		"d/f":         "x",
		"link.sh":     "#!/bin/sh\ncd \"${0%/*}\" && ln -s HOST/secret out && ln -s HOST/secret d/out && ln -s f d/in",
	})
	s.deployment("d-1")
	s.succeed("d-1", "DownloadBundle", "BeforeInstall", "Install")
	s.fail("d-1", "AfterInstall", codeScriptMissing, "out", "cannot be used")
	for link, want := range map[string]string{"in": "f", "out": s.path("secret")} {
		if got, err := os.Readlink(s.path("out", link)); err != nil || got != want {
			t.Errorf("%s: %q, %v", link, got, err)
		}
	}
	s.bundle("d-2", map[string]string{"appspec.yml": head + "files: [{source: d, destination: HOST/out}]\nhooks: {BeforeInstall: [{location: link.sh}]}", "d/f": "x", "link.sh": "#!/bin/sh\ncd \"${0%/*}\" && ln -s . d/loop"})
	s.deployment("d-2")
	s.succeed("d-2", "DownloadBundle", "BeforeInstall")
	s.fail("d-2", "Install", codeUnknown, "", "the link d/loop/loop/loop/loop/loop/loop/loop/loop/loop leads in a circle")
	if _, err := os.Stat(s.path("ran")); err == nil {
		t.Error("a file outside of the bundle was run")
	}
}

// P-26, D.4: five revisions of a group are kept, and the one that is installed.
func TestRevisions(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.agent()
	for i := range 8 {
		id := fmt.Sprintf("d-%d", i)
		s.bundle(id, map[string]string{"appspec.yml": head, "f": id})
		s.deployment(id)
		s.succeed(id, "DownloadBundle")
		if i == 0 {
			s.succeed(id, "Install")
		}
		// Their ages are told apart by the clock.
		old := time.Now().Add(time.Duration(i-100) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.root(), "group-1", id), old, old); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(filepath.Join(s.root(), "group-1"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"d-0", "d-4", "d-5", "d-6", "d-7"}) {
		t.Errorf("%q, %v", names, err)
	}
}
