package codecommit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	api "penstock/internal/api/codecommit"
	"penstock/internal/auth"
	"penstock/internal/courier"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codecommit/git"
)

// Principal is the service that tells the destinations of triggers; their policies name it.
const Principal = "codecommit.amazonaws.com"

const (
	queue = "codecommit"
	// maxTriggers is how many triggers a repository has, maxBranches how many branches one names.
	maxTriggers = 10
	maxBranches = 10
	maxCustom   = 1000
	// triggerTime bounds one call to a destination.
	triggerTime = 30 * time.Second
	// The wait doubles from the first to the longest, less a random part, for a day.
	firstWait   = time.Second
	longestWait = 5 * time.Minute
	longestAge  = 24 * time.Hour
)

var (
	triggerForm     = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w.-]{1,100}$`) })
	destinationForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^arn:aws[a-z-]*:(?:(sns):([^:]+):(\d{12}):[A-Za-z0-9_-]{1,256}|lambda:([^:]+):(\d{12}):function:[A-Za-z0-9_-]{1,64}(?::[A-Za-z0-9_-]{1,128})?)$`)
	})
)

// triggersDoc is what the row of a repository keeps of its triggers.
type triggersDoc struct {
	ID       string                  `json:"id"`
	Triggers []api.RepositoryTrigger `json:"triggers"`
}

// parcel is what is kept of what a destination is told.
type parcel struct {
	Account     string `json:"account"`
	Region      string `json:"region"`
	Repository  string `json:"repository"`
	Destination string `json:"destination"`
	Text        string `json:"text"`
}

// Run tells the destinations of triggers until ctx ends.
func (r *Room) Run(ctx context.Context) error { return r.courier.Run(ctx) }

func again(d store.Delivery, _ error) (time.Duration, bool) {
	wait := min(firstWait<<min(d.Attempts, 20), longestWait)
	wait -= time.Duration(rand.Int64N(int64(wait) / 2))
	return wait, time.Since(d.Created)+wait < longestAge
}

// checkTriggers says what is wrong with the triggers of a repository.
func checkTriggers(c auth.Caller, list []api.RepositoryTrigger) error {
	if len(list) > maxTriggers {
		return fault.New("MaximumRepositoryTriggersExceededException", "A repository has at most %d triggers.", maxTriggers)
	}
	for i := range list {
		t := &list[i]
		of := destinationForm().FindStringSubmatch(t.DestinationArn)
		switch {
		case !triggerForm().MatchString(t.Name) || slices.ContainsFunc(list[:i], func(other api.RepositoryTrigger) bool { return other.Name == t.Name }):
			return fault.New("InvalidRepositoryTriggerNameException", "The name %.110q of a trigger is not valid, or there twice. It has up to 100 letters, digits, dots, hyphens and underscores.", t.Name)
		case of == nil || of[3]+of[5] != c.Account:
			return fault.New("InvalidRepositoryTriggerDestinationArnException", "The destination %.300s of the trigger %s is not the ARN of a topic or a function of the account %s.", t.DestinationArn, t.Name, c.Account)
		case of[2]+of[4] != c.Region:
			return fault.New("InvalidRepositoryTriggerRegionException", "The destination %s of the trigger %s is not in the Region of the repository, %s.", t.DestinationArn, t.Name, c.Region)
		case len(t.CustomData) > maxCustom:
			return fault.New("InvalidRepositoryTriggerCustomDataException", "The custom data of the trigger %s is longer than %d characters.", t.Name, maxCustom)
		case len(t.Branches) > maxBranches:
			return fault.New("MaximumBranchesExceededException", "The trigger %s names more than %d branches.", t.Name, maxBranches)
		case len(t.Events) == 0:
			return fault.New("RepositoryTriggerEventsListRequiredException", "The trigger %s needs at least one event.", t.Name)
		case len(t.Events) > 1 && slices.Contains(t.Events, "all"):
			return fault.New("InvalidRepositoryTriggerEventsException", "The event all of the trigger %s stands alone.", t.Name)
		}
		if slices.Contains(t.Branches, "") {
			return fault.New("InvalidRepositoryTriggerBranchNameException", "A branch of the trigger %s has no name.", t.Name)
		}
	}
	return nil
}

// PutRepositoryTriggers replaces the triggers of a repository (N-8).
func (r *Room) PutRepositoryTriggers(ctx context.Context, in *api.PutRepositoryTriggersInput) (*api.PutRepositoryTriggersOutput, error) {
	p, err := r.open(ctx, "PutRepositoryTriggers", in.RepositoryName)
	if err == nil {
		err = checkTriggers(auth.From(ctx), in.Triggers)
	}
	if err != nil {
		return nil, err
	}
	doc := triggersDoc{ID: auth.NewUUID(), Triggers: in.Triggers}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return &api.PutRepositoryTriggersOutput{ConfigurationId: doc.ID}, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		return tx.SetRepositoryTriggers(ctx, p.ID, string(text))
	})
}

// GetRepositoryTriggers shows the triggers of a repository.
func (r *Room) GetRepositoryTriggers(ctx context.Context, in *api.GetRepositoryTriggersInput) (*api.GetRepositoryTriggersOutput, error) {
	p, err := r.open(ctx, "GetRepositoryTriggers", in.RepositoryName)
	if err != nil {
		return nil, err
	}
	doc, err := r.triggers(ctx, p.ID)
	out := &api.GetRepositoryTriggersOutput{ConfigurationId: doc.ID, Triggers: doc.Triggers}
	if out.Triggers == nil {
		out.Triggers = []api.RepositoryTrigger{}
	}
	return out, err
}

// TestRepositoryTriggers tells the destinations of triggers of a push that was none.
func (r *Room) TestRepositoryTriggers(ctx context.Context, in *api.TestRepositoryTriggersInput) (*api.TestRepositoryTriggersOutput, error) {
	p, err := r.open(ctx, "TestRepositoryTriggers", in.RepositoryName)
	if err == nil {
		err = checkTriggers(auth.From(ctx), in.Triggers)
	}
	if err != nil {
		return nil, err
	}
	out := &api.TestRepositoryTriggersOutput{SuccessfulExecutions: []string{}, FailedExecutions: []api.RepositoryTriggerExecutionFailure{}}
	for i := range in.Triggers {
		t := &in.Triggers[i]
		branch := "main"
		if len(t.Branches) > 0 {
			branch = t.Branches[0]
		}
		text, err := r.told(p, t, "", git.Change{Ref: heads + branch, New: strings.Repeat("0", 40)}, auth.From(ctx).ARN, "TestEventTriggers")
		if err != nil {
			return nil, err
		}
		if err := r.execute(ctx, &parcel{p.Account, p.Region, p.arn(), t.DestinationArn, text}); err != nil {
			var refusal smithy.APIError
			if !errors.As(err, &refusal) {
				return nil, err
			}
			out.FailedExecutions = append(out.FailedExecutions, api.RepositoryTriggerExecutionFailure{Trigger: t.Name, FailureMessage: refusal.ErrorMessage()})
			continue
		}
		out.SuccessfulExecutions = append(out.SuccessfulExecutions, t.Name)
	}
	return out, nil
}

// triggers reads the triggers of a repository.
func (r *Room) triggers(ctx context.Context, id string) (doc triggersDoc, err error) {
	return doc, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		text, err := tx.RepositoryTriggers(ctx, id)
		if err != nil || text == "" {
			return err
		}
		return json.Unmarshal([]byte(text), &doc)
	})
}

// wants says whether a trigger is about what happened to a ref.
func wants(t *api.RepositoryTrigger, c git.Change) bool {
	event := "updateReference"
	switch {
	case c.Old == "":
		event = "createReference"
	case c.New == "":
		event = "deleteReference"
	}
	branch, ok := strings.CutPrefix(c.Ref, heads)
	return (t.Events[0] == "all" || slices.Contains(t.Events, event)) && (len(t.Branches) == 0 || ok && slices.Contains(t.Branches, branch))
}

// fire keeps what the triggers of a repository tell of a ref that moved.
func (r *Room) fire(ctx context.Context, p *place, c git.Change, caller string) error {
	doc, err := r.triggers(ctx, p.ID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var due []store.Delivery
	for i := range doc.Triggers {
		t := &doc.Triggers[i]
		if !wants(t, c) {
			continue
		}
		text, err := r.told(p, t, doc.ID, c, caller, "ReferenceChanges")
		if err != nil {
			return err
		}
		body, err := json.Marshal(parcel{p.Account, p.Region, p.arn(), t.DestinationArn, text})
		if err != nil {
			return err
		}
		due = append(due, store.Delivery{Queue: queue, ID: derived(p.ID, doc.ID, t.Name, c.Ref, c.Old, c.New), Lane: derived(p.ID, t.DestinationArn), Target: t.DestinationArn, Doc: string(body)})
	}
	if len(due) == 0 {
		return nil
	}
	return r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		for _, d := range due {
			if err := tx.InsertDelivery(ctx, d); err != nil {
				return err
			}
		}
		return nil
	})
}

func derived(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:20])
}

// reference is a ref in what a destination is told.
type reference struct {
	Commit  string `json:"commit"`
	Created bool   `json:"created,omitempty"`
	Deleted bool   `json:"deleted,omitempty"`
	Ref     string `json:"ref"`
}

// event is one record of what a destination is told.
type event struct {
	Region     string `json:"awsRegion"`
	CodeCommit struct {
		References []reference `json:"references"`
	} `json:"codecommit"`
	CustomData    string `json:"customData"`
	ID            string `json:"eventId"`
	Name          string `json:"eventName"`
	Part          int    `json:"eventPartNumber"`
	Source        string `json:"eventSource"`
	SourceARN     string `json:"eventSourceARN"`
	Time          string `json:"eventTime"`
	Parts         int    `json:"eventTotalParts"`
	Configuration string `json:"eventTriggerConfigId"`
	Trigger       string `json:"eventTriggerName"`
	Version       string `json:"eventVersion"`
	User          string `json:"userIdentityARN"`
}

// told is what a trigger tells of a ref.
func (r *Room) told(p *place, t *api.RepositoryTrigger, configuration string, c git.Change, caller, name string) (string, error) {
	e := event{Region: p.Region, CustomData: t.CustomData, ID: auth.NewUUID(), Name: name, Part: 1, Source: "aws:codecommit", SourceARN: p.arn(),
		Time: r.deps.Now().UTC().Format("2006-01-02T15:04:05.000-0700"), Parts: 1, Configuration: configuration, Trigger: t.Name, Version: "1.0", User: caller}
	ref := reference{Commit: c.New, Created: c.Old == "", Deleted: c.New == "", Ref: c.Ref}
	if ref.Deleted {
		ref.Commit = c.Old
	}
	e.CodeCommit.References = []reference{ref}
	text, err := json.Marshal(map[string][]event{"Records": {e}})
	return string(text), err
}

// execute tells a destination.
func (r *Room) execute(ctx context.Context, p *parcel) (err error) {
	ctx, stop := context.WithTimeout(ctx, triggerTime)
	defer stop()
	cfg := r.deps.TriggerAWS(p.Account, p.Region, p.Repository, p.Destination)
	if destinationForm().FindStringSubmatch(p.Destination)[1] == "sns" {
		_, err = sns.NewFromConfig(cfg).Publish(ctx, &sns.PublishInput{TopicArn: &p.Destination, Message: &p.Text})
	} else {
		_, err = lambda.NewFromConfig(cfg).Invoke(ctx, &lambda.InvokeInput{FunctionName: &p.Destination, InvocationType: types.InvocationTypeEvent, Payload: []byte(p.Text)})
	}
	return err
}

// deliver tells a destination of a ref. One that is gone or lets nobody in is not told again.
func (r *Room) deliver(ctx context.Context, d store.Delivery) error {
	var p parcel
	if err := json.Unmarshal([]byte(d.Doc), &p); err != nil {
		return courier.GiveUp(err)
	}
	err := r.execute(ctx, &p)
	var refusal smithy.APIError
	var answer *smithyhttp.ResponseError
	if errors.As(err, &refusal) && errors.As(err, &answer) && answer.HTTPStatusCode() >= 400 && answer.HTTPStatusCode() < 500 {
		code := refusal.ErrorCode()
		if !strings.Contains(code, "Throttl") && !strings.HasPrefix(code, "TooManyRequests") && !strings.HasPrefix(code, "ExpiredToken") && !strings.HasPrefix(code, "RequestExpired") {
			return courier.GiveUp(err)
		}
	}
	return err
}
