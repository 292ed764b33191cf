package approval

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
)

// answered is a job whose topic's service answers with a status and a body, and tells the form.
func answered(t *testing.T, status int, body string) (provider.Job, <-chan url.Values) {
	t.Helper()
	forms := make(chan url.Values, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		form, perr := url.ParseQuery(string(text))
		if err != nil || perr != nil {
			t.Error(err, perr)
		}
		forms <- form
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	job := providertest.Job(Provider{}.Types()[0])
	job.Env.AWS = aws.Config{Region: job.Region, BaseEndpoint: &srv.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		RetryMaxAttempts: 1}
	job.Env.ConsoleURL = "https://penstock.example"
	job.ApprovalToken = "5a7b6c1e-0000-4000-8000-00000000000a"
	job.Deadline = time.Date(2016, 7, 7, 20, 22, 59, 0, time.UTC)
	job.Configuration[keyTopic] = "arn:aws:sns:eu-west-1:111111111111:approvals"
	return job, forms
}

// S-229, W-40: one message with exactly these members, and null for what is not configured.
func TestRequest(t *testing.T) {
	t.Parallel()
	job, forms := answered(t, 200, `<PublishResponse><PublishResult><MessageId>m</MessageId></PublishResult></PublishResponse>`)
	if r := (Provider{}).Run(t.Context(), job); r.Error != nil || r.Continue != "" || r.Summary != "" {
		t.Fatalf("%+v", r)
	}
	form := <-forms
	want := `{"region":"eu-west-1","consoleLink":"https://penstock.example/codepipeline/home?region=eu-west-1#/view/release","approval":{` +
		`"pipelineName":"release","stageName":"Stage","actionName":"Action","token":"5a7b6c1e-0000-4000-8000-00000000000a","expires":"2016-07-07T20:22Z",` +
		`"externalEntityLink":null,"approvalReviewLink":"https://penstock.example/codepipeline/home?region=eu-west-1#/view/release/Stage/Action/approve/` +
		`5a7b6c1e-0000-4000-8000-00000000000a","customData":null}}`
	if got := form.Get("Message"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if form.Get("Subject") != "APPROVAL NEEDED: AWS CodePipeline release for action Action" || form.Get("TopicArn") != job.Configuration[keyTopic] {
		t.Errorf("%v", form)
	}
	// S-231: the resolved texts; P-39: a subject that fits.
	job.Configuration[keyLink], job.Configuration[keyData] = "https://example.org/?a=1&b=2", "<look>"
	job.Pipeline = strings.Repeat("p", 100)
	if r := (Provider{}).Run(t.Context(), job); r.Error != nil {
		t.Fatalf("%+v", r.Error)
	}
	form = <-forms
	var got request
	if err := json.Unmarshal([]byte(form.Get("Message")), &got); err != nil || *got.Approval.Link != job.Configuration[keyLink] || *got.Approval.Data != "<look>" {
		t.Errorf("%v %s", err, form.Get("Message"))
	}
	if n := len(form.Get("Subject")); n != maxSubject {
		t.Errorf("a subject of %d", n)
	}
}

// S-230: what fails the publication fails the action, and says why.
func TestFailures(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>": pipeline.PermissionError,
		"<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>":       pipeline.PermissionError,
		"<ErrorResponse><Error><Code>NotFound</Code><Message>no</Message></Error></ErrorResponse>":           pipeline.ConfigurationError,
		"<ErrorResponse><Error><Code>Throttled</Code><Message>no</Message></Error></ErrorResponse>":          pipeline.SystemUnavailable,
	} {
		job, _ := answered(t, 403, body)
		r := Provider{}.Run(t.Context(), job)
		if r.Error == nil || r.Error.Code != want || !strings.Contains(r.Error.Message, job.Configuration[keyTopic]) || !strings.Contains(r.Error.Message, job.RoleARN) {
			t.Errorf("%s: %+v", body, r.Error)
		}
	}
	job, _ := answered(t, 200, "")
	delete(job.Configuration, keyTopic)
	if r := (Provider{}).Run(context.Background(), job); r.Error == nil || r.Error.Code != pipeline.ConfigurationError {
		t.Errorf("%+v", r.Error)
	}
}
