package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// EvidenceFormat names the form of Evidence.
const EvidenceFormat = "penstock release evidence 1"

// Evidence is what an auditor gets of one execution of a pipeline. Deeds are what the sealed
// records say; History is what the server says of the execution besides, which is not sealed.
type Evidence struct {
	Format    string    `json:"format"`
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	Pipeline  string    `json:"pipeline"`
	Execution string    `json:"execution"`
	Exported  time.Time `json:"exportedAt"`
	// Deeds are in the order of Records, which is that of their numbers.
	Deeds   []Deed         `json:"deeds"`
	History History        `json:"history"`
	Records []ProvedRecord `json:"records"`
}

// ReadEvidence reads a file of evidence. It may be laid out otherwise than it was written, but every
// reader must find in it what this one does: a member that is not of it, or is there twice or in
// other case, would show people what Check has not seen.
func ReadEvidence(text []byte) (*Evidence, error) {
	e := &Evidence{}
	if err := json.Unmarshal(text, e); err != nil {
		return nil, err
	}
	own, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var compact, given bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, err
	}
	json.HTMLEscape(&given, compact.Bytes()) // as Marshal does
	if !bytes.Equal(given.Bytes(), own) {
		return nil, errors.New("it has a member that evidence has not, or one twice, or is written otherwise than penstock writes it")
	}
	return e, nil
}

// ProvedRecord is a record with the proof that the server sealed it.
type ProvedRecord struct {
	Text  string `json:"record"`
	Proof Proof  `json:"proof"`
}

// Deed is one thing that somebody did, as its record tells.
type Deed struct {
	Seq  int64     `json:"sequence"`
	What string    `json:"what"`
	By   string    `json:"by"`
	From string    `json:"from"`
	At   time.Time `json:"at"`
	// Refused is the error code of a call that was refused.
	Refused   string `json:"refused,omitempty"`
	Execution string `json:"execution,omitempty"`
	Stage     string `json:"stage,omitempty"`
	Action    string `json:"action,omitempty"`
	Status    string `json:"status,omitempty"`
	Summary   string `json:"summary,omitempty"`
	// Version and SHA256 are those of a definition that was stored.
	Version int    `json:"version,omitempty"`
	SHA256  string `json:"definitionSha256,omitempty"`
	// Commits are those that a push moved branches to.
	Commits []string `json:"commits,omitempty"`
}

// History is what the API says of an execution.
type History struct {
	Status     string          `json:"status"`
	Trigger    string          `json:"triggerType,omitempty"`
	Detail     string          `json:"triggerDetail,omitempty"`
	Version    int             `json:"pipelineVersion"`
	Definition json.RawMessage `json:"definition,omitempty"`
	Revisions  []Revision      `json:"revisions,omitempty"`
	Actions    []Result        `json:"actions,omitempty"`
	Artifacts  []Artifact      `json:"artifacts,omitempty"`
}

// Revision is what a source action took. Author and Committer are what the commit says.
type Revision struct {
	Action    string `json:"action"`
	Revision  string `json:"revision"`
	Summary   string `json:"summary,omitempty"`
	Author    string `json:"author,omitempty"`
	Committer string `json:"committer,omitempty"`
}

// Result is one run of an action.
type Result struct {
	Stage      string    `json:"stage"`
	Action     string    `json:"action"`
	Category   string    `json:"category"`
	ID         string    `json:"actionExecutionId"`
	Status     string    `json:"status"`
	Started    time.Time `json:"startedAt"`
	Updated    time.Time `json:"updatedAt"`
	By         string    `json:"by,omitempty"`
	Summary    string    `json:"summary,omitempty"`
	ExternalID string    `json:"externalExecutionId,omitempty"`
	Error      string    `json:"error,omitempty"`
}

// Artifact is an object of the artifact store. Error says why it could not be read.
type Artifact struct {
	Name   string `json:"name"`
	Action string `json:"producedBy"`
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	Error  string `json:"error,omitempty"`
}

// record is what is read of a record.
type record struct {
	UserIdentity struct {
		ARN string `json:"arn"`
	} `json:"userIdentity"`
	EventTime         time.Time `json:"eventTime"`
	EventName         string    `json:"eventName"`
	SourceIPAddress   string    `json:"sourceIPAddress"`
	ErrorCode         string    `json:"errorCode"`
	RequestParameters struct {
		PipelineName      string `json:"pipelineName"`
		Execution         string `json:"pipelineExecutionId"`
		StageName         string `json:"stageName"`
		ActionName        string `json:"actionName"`
		Reason            string `json:"reason"`
		TargetExecutionID string `json:"targetPipelineExecutionId"`
		Result            struct {
			Status  string `json:"status"`
			Summary string `json:"summary"`
		} `json:"result"`
	} `json:"requestParameters"`
	ResponseElements struct {
		Execution  string `json:"pipelineExecutionId"`
		CommitID   string `json:"commitId"`
		References []struct {
			Commit string `json:"commit"`
		} `json:"references"`
	} `json:"responseElements"`
	AdditionalEventData struct {
		Execution  string `json:"pipelineExecutionId"`
		Definition struct {
			After  int    `json:"versionAfter"`
			SHA256 string `json:"sha256"`
		} `json:"definition"`
	} `json:"additionalEventData"`
}

// ReadDeed gives what a record tells; its number is not in it.
func ReadDeed(text string) (Deed, error) {
	var r record
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return Deed{}, fmt.Errorf("a record is no JSON of the expected form: %w", err)
	}
	p, a := r.RequestParameters, r.AdditionalEventData
	d := Deed{What: r.EventName, By: r.UserIdentity.ARN, From: r.SourceIPAddress, At: r.EventTime, Refused: r.ErrorCode,
		Stage: p.StageName, Action: p.ActionName, Status: p.Result.Status, Summary: p.Result.Summary + p.Reason, Version: a.Definition.After, SHA256: a.Definition.SHA256}
	for _, id := range []string{a.Execution, r.ResponseElements.Execution, p.Execution} {
		if d.Execution == "" {
			d.Execution = id
		}
	}
	for _, ref := range r.ResponseElements.References {
		d.Commits = append(d.Commits, ref.Commit)
	}
	if c := r.ResponseElements.CommitID; c != "" {
		d.Commits = append(d.Commits, c)
	}
	return d, nil
}

// Tell fills in Deeds from Records.
func (e *Evidence) Tell() error {
	deeds, err := e.deeds()
	e.Deeds = deeds
	return err
}

func (e *Evidence) deeds() ([]Deed, error) {
	list := []Deed{}
	for _, r := range e.Records {
		d, err := ReadDeed(r.Text)
		if err != nil {
			return nil, err
		}
		d.Seq = r.Proof.Seq
		list = append(list, d)
	}
	return list, nil
}

// Check says whether every record was sealed, with one of the keys if any are given, whether the
// deeds are what the records say, and whether somebody on record gave every approval that the
// history has.
func (e *Evidence) Check(trusted []string) error {
	if e.Format != EvidenceFormat {
		return fmt.Errorf("the format is %.100q and not %q", e.Format, EvidenceFormat)
	}
	for i, r := range e.Records {
		if r.Proof.Seal.Account != e.Account {
			return fmt.Errorf("record %d is one of account %.20s and not of %.20s", r.Proof.Seq, r.Proof.Seal.Account, e.Account)
		}
		if i > 0 && e.Records[i-1].Proof.Seq >= r.Proof.Seq {
			return fmt.Errorf("record %d is not in its place", r.Proof.Seq)
		}
		if err := r.Proof.Check(r.Text, trusted); err != nil {
			return err
		}
	}
	told, err := e.deeds()
	if err != nil {
		return err
	}
	for i := range max(len(told), len(e.Deeds)) {
		if i >= len(told) || i >= len(e.Deeds) || !reflect.DeepEqual(told[i], e.Deeds[i]) {
			return fmt.Errorf("deed %d is not what the records say", i+1)
		}
	}
	return e.approved(told)
}

// approved compares the approvals of the history with the records.
func (e *Evidence) approved(told []Deed) error {
	var errs []error
	for _, a := range e.History.Actions {
		if a.Category != "Approval" || a.Status != "Succeeded" {
			continue
		}
		if !slices.ContainsFunc(told, func(d Deed) bool {
			return d.What == "PutApprovalResult" && d.Refused == "" && d.Status == "Approved" && d.Execution == e.Execution && d.Stage == a.Stage && d.Action == a.Action && d.By == a.By
		}) {
			errs = append(errs, fmt.Errorf("no record says that %s approved the action '%s' in stage '%s'", a.By, a.Action, a.Stage))
		}
	}
	return errors.Join(errs...)
}

// Keys are the public keys that the seals are signed with.
func (e *Evidence) Keys() []string {
	var keys []string
	for _, r := range e.Records {
		if !slices.Contains(keys, r.Proof.Seal.Key) {
			keys = append(keys, r.Proof.Seal.Key)
		}
	}
	return keys
}
