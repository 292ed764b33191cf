package app

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// logged is a log that several goroutines write.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const canary = "canary-0a1b2c3d4e5f"

// S-38, W-32: secrets are in the answers that are there to give them, and in no other answer
// and no line of the log at its most talkative.
func TestSecretsStayWhereTheyAre(t *testing.T) {
	t.Parallel()
	log, data := &logged{}, t.TempDir()
	cfg := Default()
	cfg.Data, cfg.Listen = data, "127.0.0.1:0"
	cfg.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	admin := a.administrator()
	keys, err := admin.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	answers := &strings.Builder{}
	call := func(keys aws.Credentials, scope, target, body string, status int) string {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://penstock.example/", strings.NewReader(body))
		if strings.HasPrefix(body, "{") {
			r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			r.Header.Set("X-Amz-Target", target)
		} else {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		w := a.ask(t, &keys, scope, r, []byte(body))
		if w.Code != status {
			t.Errorf("%s%.60s: %d %s", target, body, w.Code, w.Body)
		}
		return w.Body.String()
	}
	const version = "&Version=2010-05-08"
	pipelines := func(operation, body string, status int) string {
		t.Helper()
		text := call(keys, "codepipeline", "CodePipeline_20150709."+operation, body, status)
		switch operation {
		case "PollForJobs", "GetJobDetails": // give the secret to the worker that asks for its job
		default:
			answers.WriteString(text)
		}
		return text
	}
	trust := `%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%7B%22Service%22%3A%22codepipeline.amazonaws.com%22%7D%7D%5D%7D`
	answers.WriteString(call(keys, "iam", "", "Action=CreateRole&RoleName=release&AssumeRolePolicyDocument="+trust+version, 200))
	bucket := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://penstock.example/artifacts", nil)
	if w := a.ask(t, &keys, "s3", bucket, nil); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	property := `{"name":"Password","required":true,"key":true,"secret":true}`
	for _, category := range []string{"Source", "Build"} {
		artifacts := `"inputArtifactDetails":{"minimumCount":0,"maximumCount":0},"outputArtifactDetails":{"minimumCount":1,"maximumCount":1}`
		if category == "Build" {
			artifacts = `"inputArtifactDetails":{"minimumCount":1,"maximumCount":1},"outputArtifactDetails":{"minimumCount":0,"maximumCount":1}`
		}
		pipelines("CreateCustomActionType", `{"category":"`+category+`","provider":"mine","version":"1","configurationProperties":[`+property+`],`+artifacts+`}`, 200)
	}
	declaration := func(password string) string {
		action := func(category, artifacts string) string {
			return `{"name":"` + category + `","actions":[{"name":"a","actionTypeId":{"category":"` + category + `","owner":"Custom","provider":"mine","version":"1"},` +
				`"configuration":{"Password":"` + password + `"},` + artifacts + `}]}`
		}
		return `{"pipeline":{"name":"p","roleArn":"arn:aws:iam::000000000000:role/release","artifactStore":{"type":"S3","location":"artifacts"},"stages":[` +
			action("Source", `"outputArtifacts":[{"name":"out"}]`) + `,` + action("Build", `"inputArtifacts":[{"name":"out"}]`) + `]}}`
	}
	pipelines("CreatePipeline", declaration(canary), 200)
	pipelines("CreatePipeline", declaration(canary), 400)
	pipelines("UpdatePipeline", declaration("****"), 200)
	pipelines("GetPipeline", `{"name":"p"}`, 200)
	pipelines("StartPipelineExecution", `{"name":"p"}`, 200)
	polled := pipelines("PollForJobs", `{"actionTypeId":{"category":"Source","owner":"Custom","provider":"mine","version":"1"}}`, 200)
	var out struct {
		Jobs []struct {
			ID, Nonce string
			Data      struct {
				ArtifactCredentials struct{ SecretAccessKey, SessionToken string }
			}
		}
	}
	if err := json.Unmarshal([]byte(polled), &out); err != nil || len(out.Jobs) != 1 || !strings.Contains(polled, canary) {
		t.Fatalf("the worker's job: %v %s", err, polled)
	}
	job := out.Jobs[0]
	pipelines("AcknowledgeJob", `{"jobId":"`+job.ID+`","nonce":"`+job.Nonce+`"}`, 200)
	if text := pipelines("GetJobDetails", `{"jobId":"`+job.ID+`"}`, 200); strings.Contains(text, job.Data.ArtifactCredentials.SessionToken) {
		t.Error("a second look at the job shows the credentials of the first")
	}
	pipelines("PutJobSuccessResult", `{"jobId":"`+job.ID+`"}`, 200)
	pipelines("PutJobSuccessResult", `{"jobId":"`+job.ID+`","continuationToken":"x"}`, 400)
	for _, operation := range []string{"GetPipelineState", "GetPipeline"} {
		pipelines(operation, `{"name":"p"}`, 200)
	}
	for _, operation := range []string{"ListActionExecutions", "ListPipelineExecutions"} {
		pipelines(operation, `{"pipelineName":"p"}`, 200)
	}
	pipelines("ListActionTypes", `{}`, 200)
	webhook := `{"webhook":{"name":"h","targetPipeline":"p","targetAction":"a","filters":[{"jsonPath":"$.ref"}],"authentication":"GITHUB_HMAC","authenticationConfiguration":{"SecretToken":"` + canary + `"}}}`
	pipelines("PutWebhook", webhook, 200)
	pipelines("ListWebhooks", `{}`, 200)
	// A wrong secret, and a session that has been tampered with, are refused without being repeated.
	wrong := keys
	wrong.SecretAccessKey = canary
	answers.WriteString(call(wrong, "codepipeline", "CodePipeline_20150709.ListPipelines", `{}`, 400))
	wrong.AccessKeyID, wrong.SessionToken = "ASIAIOSFODNN7EXAMPLE", canary
	answers.WriteString(call(wrong, "codepipeline", "CodePipeline_20150709.ListPipelines", `{}`, 400))
	answers.WriteString(call(keys, "iam", "", "Action=ListAccessKeys"+version, 200))
	answers.WriteString(call(keys, "iam", "", "Action=ListUsers"+version, 200))

	// Parameters, secrets and tokens: the answers to these do not repeat them either.
	said := func(scope, target, body string) {
		t.Helper()
		answers.WriteString(call(keys, scope, target, body, 200))
	}
	said("ssm", "AmazonSSM.PutParameter", `{"Name":"/p","Type":"SecureString","Value":"`+canary+`"}`)
	said("ssm", "AmazonSSM.PutParameter", `{"Name":"/plain","Type":"String","Value":"`+canary+`"}`)
	said("ssm", "AmazonSSM.GetParameter", `{"Name":"/p"}`)
	said("ssm", "AmazonSSM.DescribeParameters", `{}`)
	said("secretsmanager", "secretsmanager.CreateSecret", `{"Name":"s","SecretString":"`+canary+`","ClientRequestToken":"12345678-1234-1234-1234-123456789012"}`)
	said("secretsmanager", "secretsmanager.PutSecretValue", `{"SecretId":"s","SecretString":"{\"k\":\"`+canary+`\"}","ClientRequestToken":"22345678-1234-1234-1234-123456789012"}`)
	said("secretsmanager", "secretsmanager.UpdateSecret", `{"SecretId":"s","SecretString":"`+canary+`2","ClientRequestToken":"32345678-1234-1234-1234-123456789012"}`)
	said("secretsmanager", "secretsmanager.DescribeSecret", `{"SecretId":"s"}`)
	said("secretsmanager", "secretsmanager.ListSecrets", `{}`)
	if text := call(keys, "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"s"}`, 200); !strings.Contains(text, canary) {
		t.Error(text)
	}
	connection := struct{ ConnectionArn string }{}
	text := call(keys, "codeconnections", "com.amazonaws.codeconnections.CodeConnections_20231201.CreateConnection", `{"ConnectionName":"c","ProviderType":"GitHub"}`, 200)
	if err := json.Unmarshal([]byte(text), &connection); err != nil {
		t.Fatal(err)
	}
	// Its answer has the secret for the provider's webhooks, which is made for whoever asks.
	text = call(keys, "codeconnections", "com.amazonaws.codeconnections.CodeConnections_20231201.CompleteConnection",
		`{"ConnectionArn":"`+connection.ConnectionArn+`","GitUrl":"https://git.example.org/{repository}","Username":"u","Token":"`+canary+`"}`, 200)
	var hook struct{ WebhookSecret string }
	if err := json.Unmarshal([]byte(text), &hook); err != nil || strings.Contains(text, canary) {
		t.Fatal(text, err)
	}
	made := call(keys, "iam", "", "Action=CreateAccessKey&UserName=administrator"+version, 200)
	_, made, _ = strings.Cut(made, "<SecretAccessKey>")
	second, _, _ := strings.Cut(made, "<")

	// S-38, S-252, N-17: what is kept tells nothing to those who have a copy of the database,
	// while it is in use and afterwards.
	kept := func(when string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(data, "penstock.db*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for what, secret := range map[string]string{"the canary": canary, "the administrator's secret": keys.SecretAccessKey, "a user's secret": second,
				"the secret of a connection": hook.WebhookSecret, "a job's session token": job.Data.ArtifactCredentials.SessionToken} {
				if i := bytes.Index(text, []byte(secret)); i >= 0 || secret == "" {
					t.Errorf("%s is in %s, %s: …%.300q", what, filepath.Base(file), when, text[max(0, i-150):])
				}
			}
		}
	}
	kept("while it is in use")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	kept("after the end")
	secrets := map[string]string{"the canary": canary, "the administrator's secret": keys.SecretAccessKey,
		"a job's secret key": job.Data.ArtifactCredentials.SecretAccessKey, "a job's session token": job.Data.ArtifactCredentials.SessionToken}
	for what, secret := range secrets {
		if secret == "" {
			t.Fatalf("%s is empty", what)
		}
		for where, text := range map[string]string{"the log": log.String(), "the answers": answers.String()} {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s is in %s: …%s", what, where, text[max(0, i-300):i])
			}
		}
	}
	if !strings.Contains(log.String(), "operation=PutWebhook") {
		t.Error("the log says little")
	}
	// What is kept is closed to everybody else.
	err = filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		// The users that builds and functions run as pass through their folder, and read nothing.
		if err == nil && info.Mode().Perm()&0o077 != 0 && filepath.Base(path) != "builds" && filepath.Base(path) != "functions" {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
