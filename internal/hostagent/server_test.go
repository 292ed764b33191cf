package hostagent

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/sigv4"
)

const (
	testHost   = "arn:aws:iam::000000000000:user/host-1"
	testKey    = "AKIDEXAMPLE"
	testSecret = "a secret of the host"
	patience   = 5 * time.Minute
)

// server is a server at the socket: the command service, a bucket, and who the caller is.
type server struct {
	t   *testing.T
	dir string // of this test: bundles go nowhere, files and logs here

	mu      sync.Mutex
	objects map[string][]byte
	specs   map[string]envelope
	status  string         // answer to acknowledgements
	broken  map[string]int // how many calls of an operation fail first
	sent    int            // commands

	commands  chan command
	acks      chan ack
	completed chan done
}

type ack struct {
	id   string
	noop bool
}

// done is the end of a command as it was reported.
type done struct {
	ID, Status   string
	Code         int    `json:"error_code"`
	Script       string `json:"script_name"`
	Message, Log string
}

func newServer(t *testing.T) *server {
	t.Helper()
	return &server{
		t: t, dir: t.TempDir(), objects: map[string][]byte{}, specs: map[string]envelope{}, broken: map[string]int{},
		commands: make(chan command, 100), acks: make(chan ack, 100), completed: make(chan done, 100),
	}
}

// ServeHTTP answers what is signed by the host, for the right service.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	operation, commands := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "CodeDeployCommandService_v20141006.")
	scope := "s3"
	switch {
	case commands:
		scope = "codedeploy-commands"
	case r.Method == http.MethodPost:
		scope = "sts"
	}
	sign, err := sigv4.Parse(r)
	if err == nil {
		err = sign.Verify(r, testSecret, sigv4.Options{Service: scope, Now: time.Now(), Skew: time.Minute, Body: body})
	}
	if err != nil || sign.AccessKeyID != testKey || sign.Region != "eu-west-3" {
		s.t.Errorf("%s %s: %+v, %v", r.Method, r.URL, sign, err)
		w.WriteHeader(http.StatusForbidden)
		return
	}
	switch scope {
	case "sts":
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>%s</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`, testHost)
	case "s3":
		s.object(w, r)
	default:
		if r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
			s.t.Errorf("content type %q", r.Header.Get("Content-Type"))
		}
		s.command(w, r, operation, body)
	}
}

func (s *server) object(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	data, ok := s.objects[strings.TrimPrefix(r.URL.Path, "/bundles/")]
	s.mu.Unlock()
	version := r.URL.Query().Get("versionId")
	if !ok || version != "" && version != "v1" {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
		return
	}
	w.Header().Set("ETag", `"`+etag(data)+`"`)
	w.Header().Set("x-amz-version-id", "v1")
	w.Write(data)
}

func etag(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

func (s *server) command(w http.ResponseWriter, r *http.Request, operation string, body []byte) {
	var in struct {
		HostIdentifier, DeploymentExecutionId, HostCommandIdentifier, CommandStatus string
		Diagnostics                                                                 envelope
	}
	if err := json.Unmarshal(body, &in); err != nil {
		s.t.Error(err)
	}
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		json.NewEncoder(w).Encode(v)
	}
	s.mu.Lock()
	broken := s.broken[operation] > 0
	s.broken[operation]--
	spec, status := s.specs[in.DeploymentExecutionId], s.status
	s.mu.Unlock()
	if broken {
		w.WriteHeader(http.StatusInternalServerError)
		answer(map[string]string{"__type": "ServerException", "message": "asked to fail"})
		return
	}
	if in.Diagnostics.Format != "" && in.Diagnostics.Format != "JSON" {
		s.t.Errorf("%s: diagnostics of format %q", operation, in.Diagnostics.Format)
	}
	switch operation {
	case "PollHostCommand":
		if in.HostIdentifier != testHost {
			s.t.Errorf("host %q", in.HostIdentifier)
		}
		select {
		case c := <-s.commands:
			answer(map[string]any{"HostCommand": map[string]any{"HostCommandIdentifier": c.HostCommandIdentifier, "HostIdentifier": testHost,
				"DeploymentExecutionId": c.DeploymentExecutionId, "CommandName": c.CommandName, "Nonce": 7}})
		case <-r.Context().Done():
		}
	case "GetDeploymentSpecification":
		answer(map[string]any{"DeploymentSystem": "CodeDeploy", "DeploymentSpecification": map[string]any{"GenericEnvelope": spec}})
	case "PutHostCommandAcknowledgement":
		var noop struct{ IsCommandNoop *bool }
		if err := json.Unmarshal([]byte(in.Diagnostics.Payload), &noop); err != nil || noop.IsCommandNoop == nil {
			s.t.Errorf("acknowledgement %q", in.Diagnostics.Payload)
			return
		}
		s.acks <- ack{in.HostCommandIdentifier, *noop.IsCommandNoop}
		answer(map[string]string{"CommandStatus": status})
	case "PutHostCommandComplete":
		d := done{ID: in.HostCommandIdentifier, Status: in.CommandStatus}
		if err := json.Unmarshal([]byte(in.Diagnostics.Payload), &d); err != nil {
			s.t.Errorf("%q: %v", in.Diagnostics.Payload, err)
		}
		s.completed <- d
		answer(struct{}{})
	default:
		s.t.Errorf("operation %q", operation)
	}
}

// agent starts an agent. stop has it end, and returns when the server has noticed.
func (s *server) agent() (stop func()) {
	s.t.Helper()
	h := httptest.NewServer(s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, config(h.URL, s.root(), s.t.Output())) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				s.t.Error(err)
			}
		case <-time.After(patience):
			s.t.Error("the agent does not stop")
		}
		h.Close()
	})
	s.t.Cleanup(stop)
	return stop
}

func config(url, root string, log io.Writer) Config {
	return Config{
		AWS:  aws.Config{Region: "eu-west-3", BaseEndpoint: &url, Credentials: credentials.NewStaticCredentialsProvider(testKey, testSecret, "")},
		Root: root, Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}

func (s *server) root() string { return filepath.Join(s.dir, "root") }

// path is a place on the host that is deployed to.
func (s *server) path(name ...string) string {
	return filepath.Join(append([]string{s.dir, "host"}, name...)...)
}

// bundle makes a zip archive of files, of which those that begin with #! can be executed, and puts it into the bucket. HOST in the
// files stands for where the test deploys to.
func (s *server) bundle(key string, files map[string]string) {
	s.t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if strings.HasPrefix(text, "#!") {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		if err != nil {
			s.t.Fatal(err)
		}
		io.WriteString(w, strings.ReplaceAll(text, "HOST", s.path()))
	}
	if err := z.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.put(key, b.Bytes())
}

func (s *server) put(key string, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = data
}

// deployment tells of a deployment d-… of the bundle with the same key; more changes its specification.
func (s *server) deployment(id string, more ...func(spec, s3 map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	revision := map[string]any{"Bucket": "bundles", "Key": id, "BundleType": "zip", "Version": "v1", "ETag": `"` + etag(s.objects[id]) + `"`}
	spec := map[string]any{
		"DeploymentId": id, "DeploymentGroupId": "group-1", "DeploymentGroupName": "production", "ApplicationName": "shop",
		"DeploymentCreator": "user", "DeploymentType": "IN_PLACE", "AppSpecFilename": "appspec.yml",
		"Revision":             map[string]any{"RevisionType": "S3", "S3Revision": revision},
		"AgentActionOverrides": map[string]any{"AgentOverrides": map[string]any{"FileExistsBehavior": "DISALLOW"}},
	}
	for _, f := range more {
		f(spec, revision)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		s.t.Fatal(err)
	}
	s.specs[execution(id)] = envelope{"PKCS7/JSON", sealed(s.t, text)}
}

func execution(id string) string { return "a/b/c/" + id }

// sealed makes a PKCS#7 message that nobody has signed.
func sealed(t *testing.T, text []byte) string {
	t.Helper()
	der := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	within := func(class, tag int, parts ...[]byte) []byte {
		return der(asn1.RawValue{Class: class, Tag: tag, IsCompound: true, Bytes: bytes.Join(parts, nil)})
	}
	content := func(kind asn1.ObjectIdentifier, data []byte) []byte {
		return within(asn1.ClassUniversal, asn1.TagSequence, der(kind), within(asn1.ClassContextSpecific, 0, data))
	}
	none := within(asn1.ClassUniversal, asn1.TagSet)
	message := content(signedOID, within(asn1.ClassUniversal, asn1.TagSequence, der(1), none, content(dataOID, der(text)), none))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PKCS7", Bytes: message}))
}

// send gives the agent a command and does not wait for its end.
func (s *server) send(name, id string) (command string) {
	s.mu.Lock()
	s.sent++
	command = fmt.Sprintf("%s/%s/%d", id, name, s.sent)
	s.mu.Unlock()
	s.give(name, id, command)
	return command
}

func (s *server) give(name, id, identifier string) {
	s.commands <- command{HostCommandIdentifier: identifier, DeploymentExecutionId: execution(id), CommandName: name}
}

// do gives the agent a command and waits for its end.
func (s *server) do(name, id string) done {
	s.t.Helper()
	return s.endOf(s.send(name, id))
}

// endOf gives the end of a command, whatever is reported once more before it: an agent that
// dies after a report may not know that it has arrived.
func (s *server) endOf(command string) done {
	s.t.Helper()
	for {
		if d := s.end(); d.ID == command {
			return d
		}
	}
}

func (s *server) end() done {
	s.t.Helper()
	select {
	case d := <-s.completed:
		return d
	case <-time.After(patience):
		s.t.Fatal("no command has ended")
		return done{}
	}
}

// succeed gives the agent commands that must succeed.
func (s *server) succeed(id string, names ...string) {
	s.t.Helper()
	for _, name := range names {
		if d := s.do(name, id); d.Status != "Succeeded" || d.Code != 0 {
			s.t.Fatalf("%s of %s: %+v", name, id, d)
		}
	}
}

// fail gives the agent a command that must fail.
func (s *server) fail(id, name string, code int, script string, words ...string) done {
	s.t.Helper()
	d := s.do(name, id)
	if d.Status != "Failed" || d.Code != code || d.Script != script {
		s.t.Errorf("%s of %s: %+v", name, id, d)
	}
	for _, w := range words {
		if !strings.Contains(d.Message, strings.ReplaceAll(w, "HOST", s.path())) {
			s.t.Errorf("%s of %s: %q does not say %q", name, id, d.Message, w)
		}
	}
	return d
}

// acknowledged gives the newest acknowledgement.
func (s *server) acknowledged() (a ack) {
	for {
		select {
		case a = <-s.acks:
		default:
			return a
		}
	}
}

// tree lists the files below a folder of the host.
func (s *server) tree(name ...string) []string {
	s.t.Helper()
	var out []string
	top := s.path(name...)
	filepath.WalkDir(top, func(p string, d os.DirEntry, err error) error {
		if err == nil && p != top {
			rel, _ := filepath.Rel(top, p)
			out = append(out, rel)
		}
		return nil
	})
	slices.Sort(out)
	return out
}

func (s *server) read(path string) string {
	s.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

func (s *server) write(path, text string) {
	s.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}
