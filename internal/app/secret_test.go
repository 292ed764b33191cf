package app

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"penstock/internal/api"
	"penstock/internal/store/storetest"
)

// looks are the forms in which a secret can stand in a text.
func looks(secret string) (list []string) {
	quoted, _ := json.Marshal(secret)
	list = append(list, secret, strings.Trim(string(quoted), `"`), url.QueryEscape(secret), url.PathEscape(secret), strings.ReplaceAll(secret, "&", "&amp;"),
		hex.EncodeToString([]byte(secret)), strings.ToUpper(hex.EncodeToString([]byte(secret))), strings.Trim(fmt.Sprintf("%q", secret), `"`), strings.Trim(fmt.Sprint([]byte(secret)), "[]"))
	for _, coding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 { // wherever in what is encoded it begins
			text := coding.EncodeToString(append(make([]byte, before), secret...))
			list = append(list, text[[]int{0, 2, 3}[before]:len(text)-2])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// spellings are the looks of secrets that were looked for before.
var spellings sync.Map

// found says in which look a secret stands in a text; "" if in none.
func found(text []byte, secret string) string {
	known, ok := spellings.Load(secret)
	if !ok {
		known, _ = spellings.LoadOrStore(secret, looks(secret))
	}
	for _, look := range known.([]string) {
		if bytes.Contains(text, []byte(look)) {
			return look
		}
	}
	return ""
}

// giving are the operations that are there to give a secret to who may have it.
var giving = map[string][]string{
	"secretsmanager.GetSecretValue": {"secret string", "secret binary"}, "ssm.GetParameter": {"secure string"}, "ssm.GetParameters": {"secure string"}, "ssm.GetParametersByPath": {"secure string"}, "ssm.GetParameterHistory": {"secure string"},
	"codepipeline.PollForJobs": {"secret configuration"}, "codepipeline.GetJobDetails": {"secret configuration"},
	"codeconnections.CompleteConnection": {"secret of a connection's webhook"}, "codestarconnections.CompleteConnection": {"secret of a connection's webhook"},
}

// S-38, S-252, W-32, N-14, N-17, N-18: one secret of every kind, every operation with the right
// names, every input once more with each of its members broken; and no answer but those that are
// there to give it, no line of the log at its most talkative, no file and no dump of the stacks has
// one, in whatever spelling.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	log := &logged{}
	a := logging(t, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	n := newTenant(t, a, "000000000000", "tenant")
	n.secrets["password of the mail server"] = "s3cret&smtp/0a1b2c3d4e5f"
	master, err := os.ReadFile(filepath.Join(a.cfg.Data, masterKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	n.secrets["master key"] = strings.TrimSpace(string(master))
	var inputs []func()
	look := func(name string, body []byte) {
		for kind, secret := range n.secrets {
			if as := found(body, secret); as != "" && !slices.Contains(giving[name], kind) {
				t.Errorf("the answer to %s has the %s, as %s", name, kind, as)
			}
		}
	}
	asked := 0
	send := func(s *api.Service, m *published, op modelled, in object) {
		w := n.asked(n.keys, "us-east-1", s, m, op, in)
		asked++
		look(s.Name+"."+op.Name, slices.Concat(w.Body.Bytes(), fmt.Append(nil, w.Header())))
	}
	n.before = func(s *api.Service, m *published, op modelled, in object) {
		inputs = append(inputs, func() {
			eachLeaf(in, func(set func(any), was any) {
				for _, wrong := range []any{"", "\u202ewrong", strings.Repeat("x", 3000), 7, nil, []any{}, object{}} {
					set(wrong)
					var again object // operations take their inputs apart
					text, err := json.Marshal(in)
					if err == nil {
						err = json.Unmarshal(text, &again)
					}
					if err != nil {
						t.Fatal(err)
					}
					send(s, m, op, again)
				}
				set(was)
			})
		})
	}
	n.furnish()
	n.before = nil
	look("furnishing", []byte(n.answers.String()))
	n.approving("p")
	n.waiting("p")
	for _, write := range inputs {
		write()
	}
	for _, reads := range []bool{true, false} { // what is removed cannot be read
		n.eachOperation(func(s *api.Service, m *published, op modelled) {
			if reading.MatchString(op.Name) == reads {
				in := n.pointed(m, op, func(member string) string { return n.right[s.Name+"."+strings.ToLower(member)] })
				if strings.HasPrefix(op.Name, "GetParameter") {
					in["WithDecryption"] = true
				}
				send(s, m, op, in)
			}
		})
	}
	if asked < 2000 {
		t.Errorf("only %d operations", asked)
	}
	stacks := make([]byte, 16<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	kept := func(when string) {
		if err := filepath.WalkDir(a.cfg.Data, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			for kind, secret := range n.secrets {
				own := d.Name() == masterKeyFile && kind == "master key" || d.Name() == credentialsFile && kind == "administrator's key"
				if as := found(text, secret); as != "" && !own {
					t.Errorf("%s, the file %s has the %s, as %s", when, d.Name(), kind, as)
				}
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
	kept("while it runs")
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	kept("afterwards")
	for kind, secret := range n.secrets {
		for where, text := range map[string]string{"the log": log.String(), "the stacks": string(stacks)} {
			if as := found([]byte(text), secret); as != "" {
				i := strings.Index(text, as)
				t.Errorf("%s have the %s, as …%s", where, kind, text[max(0, i-200):i+len(as)])
			}
		}
	}
	if len(n.secrets) < 20 || !strings.Contains(log.String(), "operation=PutWebhook") {
		t.Errorf("%d secrets, %d bytes of log", len(n.secrets), len(log.String()))
	}
}

// S-38, S-252, N-14, N-17, N-18: no file of PostgreSQL has a secret of any kind, neither its tables
// nor its log of writes, and no row of any table, which might be compressed there.
func TestSecretsAreNowhereInPostgres(t *testing.T) {
	t.Parallel()
	database, _ := storetest.RestartablePostgres(t)
	n := newTenant(t, loggingOn(t, "us-east-1", database, slog.New(slog.DiscardHandler)), "000000000000", "tenant")
	n.furnish()
	n.approving("p")
	n.waiting("p")
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	look := func(where string, text []byte) {
		for kind, secret := range n.secrets {
			if as := found(text, secret); as != "" {
				i := bytes.Index(text, []byte(as))
				t.Errorf("%s has the %s, as …%q", where, kind, text[max(0, i-100):i+len(as)])
			}
		}
	}
	look("a row", []byte(strings.Join(storetest.Rows(t, database), "\n")))
	db, err := sql.Open("pgx", database)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "CHECKPOINT")
		err = errors.Join(err, db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	tables, writes := false, false
	root := filepath.Join(at.Query().Get("host"), "data")
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // PostgreSQL removes files while it runs
			}
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		name, err2 := filepath.Rel(root, path)
		plain := bytes.Contains(text, []byte(inner))
		tables, writes = tables || plain && strings.HasPrefix(name, "base"), writes || plain && strings.HasPrefix(name, "pg_wal")
		look("the file "+name, text)
		return errors.Join(err, err2)
	}); err != nil {
		t.Fatal(err)
	}
	if !tables || !writes || len(n.secrets) < 18 {
		t.Errorf("what is no secret is in its tables %v, in its log of writes %v; %d secrets", tables, writes, len(n.secrets))
	}
}

// eachLeaf visits every value in a document that has no others in it; set puts another there.
func eachLeaf(v any, visit func(set func(any), was any)) {
	at := func(e any, set func(any)) {
		switch e.(type) {
		case object, []any:
			eachLeaf(e, visit)
		default:
			visit(set, e)
		}
	}
	switch v := v.(type) {
	case object:
		for k, e := range v {
			at(e, func(other any) { v[k] = other })
		}
	case []any:
		for i, e := range v {
			at(e, func(other any) { v[i] = other })
		}
	}
}

// crashing is set, to the file for what it knows, for the process that is to be ended by a dump.
const crashing = "PENSTOCK_TEST_CRASHES"

// A server that is ended by a signal or by a panic, with all its stacks written, tells none of its
// secrets.
func TestCrashDump(t *testing.T) {
	t.Parallel()
	if file := os.Getenv(crashing); file != "" {
		n := newTenant(t, logging(t, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))), "000000000000", "tenant")
		n.furnish()
		text, err := json.Marshal(n.secrets)
		if err == nil {
			err = os.WriteFile(file+".new", text, 0o600)
		}
		if err == nil {
			err = os.Rename(file+".new", file)
		}
		if err != nil {
			t.Fatal(err)
		}
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGUSR1)
		<-end // SIGQUIT ends it without
		go func() { panic("as a mistake would") }()
		<-t.Context().Done()
		return
	}
	for name, end := range map[string]syscall.Signal{"signal": syscall.SIGQUIT, "panic": syscall.SIGUSR1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crash(t, end)
		})
	}
}

// crash has a process of its own crash at a signal, and looks at what it said.
func crash(t *testing.T, end syscall.Signal) {
	file := filepath.Join(t.TempDir(), "secrets")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashDump$", "-test.timeout=30m")
	cmd.Env = append(os.Environ(), crashing+"="+file, "GOTRACEBACK=all", "TMPDIR="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var secrets map[string]string
	for secrets == nil {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &secrets)
		}
		select {
		case <-ended:
			t.Fatalf("it ended before: %v\n%s", err, out.String())
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := cmd.Process.Signal(end); err != nil {
		t.Fatal(err)
	}
	<-ended
	if strings.Count(out.String(), "\ngoroutine ") < 10 || len(secrets) < 18 {
		t.Fatalf("%d secrets, and no dump: %.2000s", len(secrets), out.String())
	}
	for kind, secret := range secrets {
		if as := found(out.Bytes(), secret); as != "" {
			t.Errorf("the dump has the %s, as %s", kind, as)
		}
	}
}
