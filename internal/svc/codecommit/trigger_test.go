package codecommit

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

const (
	topic    = "arn:aws:sns:us-east-1:000000000000:pushes"
	function = "arn:aws:lambda:us-east-1:000000000000:function:pushed:live"
)

// N-8: what happens to branches is told to the destinations of the triggers that want it, again
// after a failure, and a test tells them at once.
func TestTriggers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		got := make(chan string, 20)
		fail := make(chan int, 5)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			select {
			case code := <-fail:
				w.Header().Set("X-Amzn-Errortype", "AccessDeniedException")
				w.WriteHeader(code)
				return
			default:
			}
			to := "function"
			if r.URL.Path == "/" {
				to = "topic"
				r.Body = io.NopCloser(strings.NewReader(string(body)))
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				body = []byte(r.Form.Get("Message"))
				_, _ = w.Write([]byte(`<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`))
			} else {
				w.WriteHeader(http.StatusAccepted)
			}
			var all struct{ Records []event }
			if err := json.Unmarshal(body, &all); err != nil || len(all.Records) != 1 {
				t.Error(string(body), err)
				return
			}
			e := all.Records[0]
			ref := e.CodeCommit.References[0]
			if e.SourceARN != "arn:aws:codecommit:us-east-1:000000000000:web" || e.User != admin.ARN || e.Region != "us-east-1" || (e.Name == "ReferenceChanges") != (e.Configuration != "") {
				t.Errorf("%s", body)
			}
			got <- fmt.Sprintf("%s %s %s %s created=%v deleted=%v %s", to, e.Trigger, e.Name, ref.Ref, ref.Created, ref.Deleted, e.CustomData)
		}))
		t.Cleanup(srv.Close)
		b := newBench(t, db, func(d *Deps) {
			d.TriggerAWS = func(account, region, repository, destination string) aws.Config {
				if account != "000000000000" || repository != "arn:aws:codecommit:us-east-1:000000000000:web" || destination != topic && destination != function {
					t.Error(account, repository, destination)
				}
				return aws.Config{Region: region, BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
			}
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		next := func(want ...string) {
			t.Helper()
			var seen []string
			for range want {
				select {
				case text := <-got:
					seen = append(seen, text)
				case <-time.After(5 * time.Minute):
					t.Fatalf("only %v", seen)
				}
			}
			if slices.Sort(seen); !slices.Equal(seen, want) {
				t.Errorf("%v, not %v", seen, want)
			}
		}
		b.create("web")
		shown, err := b.GetRepositoryTriggers(b.ctx, &api.GetRepositoryTriggersInput{RepositoryName: "web"})
		if err != nil || shown.ConfigurationId != "" || shown.Triggers == nil || len(shown.Triggers) > 0 {
			t.Error(shown, err)
		}
		triggers := []api.RepositoryTrigger{
			{Name: "all", DestinationArn: topic, Events: []string{"all"}},
			{Name: "main", DestinationArn: function, Branches: []string{"main"}, Events: []string{"updateReference", "deleteReference"}, CustomData: "x"},
		}
		made, err := b.PutRepositoryTriggers(b.ctx, &api.PutRepositoryTriggersInput{RepositoryName: "web", Triggers: triggers})
		if err != nil || len(made.ConfigurationId) != 36 {
			t.Fatal(made, err)
		}
		fail <- 500 // and again
		first := b.put("web", "main", "", "a", "1")
		next("topic all ReferenceChanges refs/heads/main created=true deleted=false ")
		second := b.put("web", "main", first, "a", "2")
		next("function main ReferenceChanges refs/heads/main created=false deleted=false x", "topic all ReferenceChanges refs/heads/main created=false deleted=false ")
		if _, err := b.CreateBranch(b.ctx, &api.CreateBranchInput{RepositoryName: "web", BranchName: "other", CommitId: second}); err != nil {
			t.Fatal(err)
		}
		next("topic all ReferenceChanges refs/heads/other created=true deleted=false ")
		if _, err := b.DeleteBranch(b.ctx, &api.DeleteBranchInput{RepositoryName: "web", BranchName: "other"}); err != nil {
			t.Fatal(err)
		}
		next("topic all ReferenceChanges refs/heads/other created=false deleted=true ")
		tested, err := b.TestRepositoryTriggers(b.ctx, &api.TestRepositoryTriggersInput{RepositoryName: "web", Triggers: triggers})
		if err != nil || !slices.Equal(tested.SuccessfulExecutions, []string{"all", "main"}) {
			t.Error(tested, err)
		}
		next("function main TestEventTriggers refs/heads/main created=true deleted=false x", "topic all TestEventTriggers refs/heads/main created=true deleted=false ")
		fail <- 403
		if tested, err = b.TestRepositoryTriggers(b.ctx, &api.TestRepositoryTriggersInput{RepositoryName: "web", Triggers: triggers[1:]}); err != nil || len(tested.FailedExecutions) != 1 || tested.FailedExecutions[0].Trigger != "main" {
			t.Error(tested, err)
		}
		if shown, err = b.GetRepositoryTriggers(b.ctx, &api.GetRepositoryTriggersInput{RepositoryName: "web"}); err != nil || shown.ConfigurationId != made.ConfigurationId || len(shown.Triggers) != 2 {
			t.Error(shown, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// N-8: triggers that cannot be are refused, all of the request.
func TestBadTriggers(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t))
	b.create("web")
	for code, change := range map[string]func(*api.RepositoryTrigger){
		"InvalidRepositoryTriggerNameException": func(t *api.RepositoryTrigger) { t.Name = "a b" },
		"InvalidRepositoryTriggerDestinationArnException": func(t *api.RepositoryTrigger) {
			t.DestinationArn = strings.Replace(topic, "000000000000", "111111111111", 1)
		},
		"InvalidRepositoryTriggerRegionException":      func(t *api.RepositoryTrigger) { t.DestinationArn = strings.Replace(topic, "us-east-1", "eu-west-1", 1) },
		"InvalidRepositoryTriggerCustomDataException":  func(t *api.RepositoryTrigger) { t.CustomData = strings.Repeat("x", 1001) },
		"InvalidRepositoryTriggerBranchNameException":  func(t *api.RepositoryTrigger) { t.Branches = []string{""} },
		"InvalidRepositoryTriggerEventsException":      func(t *api.RepositoryTrigger) { t.Events = []string{"all", "createReference"} },
		"RepositoryTriggerEventsListRequiredException": func(t *api.RepositoryTrigger) { t.Events = nil },
		"MaximumBranchesExceededException":             func(t *api.RepositoryTrigger) { t.Branches = strings.Split("a b c d e f g h i j k", " ") },
	} {
		bad := api.RepositoryTrigger{Name: "n", DestinationArn: function, Events: []string{"all"}}
		change(&bad)
		_, err := b.PutRepositoryTriggers(b.ctx, &api.PutRepositoryTriggersInput{RepositoryName: "web", Triggers: []api.RepositoryTrigger{{Name: "good", DestinationArn: topic, Events: []string{"all"}}, bad}})
		if fault.Code(err) != code {
			t.Errorf("%v, not %s", err, code)
		}
	}
	many := slices.Repeat([]api.RepositoryTrigger{{Name: "n", DestinationArn: topic, Events: []string{"all"}}}, 11)
	for n, code := range map[int]string{11: "MaximumRepositoryTriggersExceededException", 2: "InvalidRepositoryTriggerNameException", 0: ""} {
		if _, err := b.PutRepositoryTriggers(b.ctx, &api.PutRepositoryTriggersInput{RepositoryName: "web", Triggers: many[:n]}); fault.Code(err) != code || err != nil && code == "" {
			t.Errorf("%d: %v", n, err)
		}
	}
	none, err := auth.Limited(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"put": func() error {
			_, err := b.PutRepositoryTriggers(none, &api.PutRepositoryTriggersInput{RepositoryName: "web"})
			return err
		},
		"get": func() error {
			_, err := b.GetRepositoryTriggers(none, &api.GetRepositoryTriggersInput{RepositoryName: "web"})
			return err
		},
		"test": func() error {
			_, err := b.TestRepositoryTriggers(none, &api.TestRepositoryTriggersInput{RepositoryName: "web"})
			return err
		},
	} {
		if err := call(); fault.Code(err) != "AccessDeniedException" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
