package codebuild_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	api "penstock/internal/api/codebuild"
	"penstock/internal/auth"
	"penstock/internal/runner"
	"penstock/internal/runner/fake"
	"penstock/internal/runner/process"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/codebuild"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const role = "arn:aws:iam::000000000000:role/build"

// services plays S3, Logs, Parameter Store and Secrets Manager for SDK clients.
type services struct {
	// parameters and secrets are what there is; a secret is asked for as "id stage version".
	parameters, secrets map[string]string
	asked               []string
	mu                  sync.Mutex
	objects             map[string][]byte
	meta                map[string]http.Header
	logs                map[string]string
	streams             map[string]bool
}

func (s *services) RoundTrip(req *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body := []byte{}
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
	}
	answer := func(code int, text string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: req}, nil
	}
	if target := req.Header.Get("X-Amz-Target"); target != "" {
		var in struct {
			LogGroupName, LogStreamName string
			LogEvents                   []struct{ Message string }
			Names                       []string
			SecretId                    string
			VersionStage, VersionId     string
			WithDecryption              bool
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, err
		}
		id := in.LogGroupName + " " + in.LogStreamName
		switch {
		case target == "AmazonSSM.GetParameters" && in.WithDecryption:
			s.asked = append(s.asked, fmt.Sprint(len(in.Names), " parameters"))
			var found []string
			for _, name := range in.Names {
				if v, ok := s.parameters[name]; ok {
					bare, selector, _ := strings.Cut(name, ":")
					if selector != "" {
						selector = ":" + selector
					}
					text, _ := json.Marshal(map[string]string{"Name": bare, "Selector": selector, "Value": v, "Type": map[bool]string{true: "SecureString", false: "String"}[strings.Contains(name, "pass")]})
					found = append(found, string(text))
				}
			}
			return answer(200, `{"Parameters":[`+strings.Join(found, ",")+`]}`)
		case target == "secretsmanager.GetSecretValue":
			key := strings.TrimSpace(in.SecretId + " " + in.VersionStage + " " + in.VersionId)
			s.asked = append(s.asked, key)
			v, ok := s.secrets[key]
			if !ok {
				return answer(400, `{"__type":"ResourceNotFoundException","message":"Secrets Manager can't find the specified secret."}`)
			}
			text, _ := json.Marshal(v)
			return answer(200, `{"SecretString":`+string(text)+`}`)
		case strings.HasSuffix(target, "CreateLogGroup"):
			s.streams[in.LogGroupName] = true
		case strings.HasSuffix(target, "CreateLogStream") && s.streams[in.LogGroupName]:
			s.streams[id] = true
		case strings.HasSuffix(target, "PutLogEvents") && s.streams[id]:
			for _, e := range in.LogEvents {
				s.logs[id] += e.Message
			}
		default:
			return answer(400, `{"__type":"ResourceNotFoundException","message":"none"}`)
		}
		return answer(200, `{}`)
	}
	if req.Method == http.MethodPut {
		if strings.HasPrefix(req.Header.Get("Content-Encoding"), "aws-chunked") {
			return answer(400, "chunked bodies are not for this test")
		}
		s.objects[req.URL.Path], s.meta[req.URL.Path] = body, req.Header
		return answer(200, "")
	}
	data, ok := s.objects[req.URL.Path]
	if !ok {
		return answer(404, `<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>`)
	}
	r, err := answer(200, string(data))
	r.Header.Set("X-Amz-Version-Id", "v1")
	return r, err
}

func (s *services) object(path string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[path]
}

func (s *services) log(b *api.Build) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs[b.Logs.GroupName+" "+b.Logs.StreamName]
}

// bench is a running room.
type bench struct {
	t       *testing.T
	room    *codebuild.Room
	ctx     context.Context
	aws     *services
	changes chan string
	db      *store.DB
	stop    func()
}

func start(t *testing.T, db *store.DB, r runner.Runner, change ...func(*codebuild.Deps)) *bench {
	t.Helper()
	b := &bench{t: t, db: db, changes: make(chan string, 1000), aws: &services{
		objects: map[string][]byte{}, meta: map[string]http.Header{}, logs: map[string]string{}, streams: map[string]bool{},
	}}
	b.ctx = auth.Trusted(t.Context(), auth.Caller{Account: "000000000000", Region: "us-east-1", ARN: "arn:aws:iam::000000000000:user/me", UserName: "me"})
	deps := codebuild.Deps{
		DB: db, Runner: r, Work: t.TempDir(), Node: "n1", Endpoint: "http://127.0.0.1:7788", ConsoleURL: "http://127.0.0.1:7788",
		Notify: func(arn string) { b.changes <- arn },
		AWS: func(ctx context.Context, roleARN, session string) (aws.Config, error) {
			if roleARN != role || auth.From(ctx).Region != "us-east-1" {
				return aws.Config{}, fmt.Errorf("no role %s in %q", roleARN, auth.From(ctx).Region)
			}
			return aws.Config{
				Region: "us-east-1", HTTPClient: &http.Client{Transport: b.aws}, BaseEndpoint: new("http://penstock.test"),
				Credentials:                credentials.NewStaticCredentialsProvider("AKID", "secret", "token"),
				RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
			}, nil
		},
	}
	for _, f := range change {
		f(&deps)
	}
	b.room = codebuild.New(deps)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.room.Run(ctx) }()
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(b.stop)
	return b
}

func real(t *testing.T) runner.Runner {
	t.Helper()
	r, err := process.New(process.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bench) project(change ...func(*api.CreateProjectInput)) {
	b.t.Helper()
	in := &api.CreateProjectInput{
		Name: "p", ServiceRole: role, Source: &api.ProjectSource{Type: "CODEPIPELINE"}, Artifacts: &api.ProjectArtifacts{Type: "CODEPIPELINE"},
		Environment: &api.ProjectEnvironment{Type: "LINUX_CONTAINER", Image: "aws/codebuild/standard:7.0", ComputeType: "BUILD_GENERAL1_SMALL",
			EnvironmentVariables: []api.EnvironmentVariable{{Name: "FROM", Value: "project"}, {Name: "OVER", Value: "project"}}},
	}
	for _, f := range change {
		f(in)
	}
	if _, err := b.room.CreateProject(b.ctx, in); err != nil {
		b.t.Fatal(err)
	}
}

// inline starts a build of a text without a source.
func (b *bench) inline(spec string, change ...func(*api.StartBuildInput)) *api.Build {
	b.t.Helper()
	in := &api.StartBuildInput{ProjectName: "p", SourceTypeOverride: "NO_SOURCE", BuildspecOverride: spec, ArtifactsOverride: &api.ProjectArtifacts{Type: "NO_ARTIFACTS"}}
	for _, f := range change {
		f(in)
	}
	out, err := b.room.StartBuild(b.ctx, in)
	if err != nil {
		b.t.Fatal(err)
	}
	return out.Build
}

func (b *bench) get(id string) *api.Build {
	b.t.Helper()
	out, err := b.room.BatchGetBuilds(b.ctx, &api.BatchGetBuildsInput{Ids: []string{id}})
	if err != nil || len(out.Builds) != 1 {
		b.t.Fatalf("%s: %+v %v", id, out, err)
	}
	return &out.Builds[0]
}

// until waits for a build to be as wanted.
func (b *bench) until(id string, want func(*api.Build) bool) *api.Build {
	b.t.Helper()
	deadline := time.After(5 * time.Minute)
	for {
		if now := b.get(id); want(now) {
			return now
		}
		select {
		case <-b.changes:
		case <-deadline:
			b.t.Fatalf("build did not get there: %+v", b.get(id))
		}
	}
}

func (b *bench) end(id string) *api.Build {
	b.t.Helper()
	return b.until(id, func(now *api.Build) bool { return *now.BuildComplete })
}

func phases(b *api.Build) string {
	var all []string
	for _, p := range b.Phases {
		all = append(all, strings.TrimSuffix(p.PhaseType+" "+p.PhaseStatus, " "))
	}
	return strings.Join(all, ", ")
}

func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range files {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(text))
	}
	z.Close()
	return buf.Bytes()
}

func content(t *testing.T, data []byte) map[string]string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(r)
		out[f.Name] = string(text)
	}
	return out
}

var _ runner.Runner = fake.Runner{}
