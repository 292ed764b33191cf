package cloudtrail

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/internal/api"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

const (
	// maxPart is how much JSON a record keeps of a request or an answer, maxText of a message.
	maxPart = 100 << 10
	maxText = 1024
)

// event is a record in CloudTrail's form (W-41).
type event struct {
	EventVersion        string         `json:"eventVersion"`
	UserIdentity        identity       `json:"userIdentity"`
	EventTime           time.Time      `json:"eventTime"`
	EventSource         string         `json:"eventSource"`
	EventName           string         `json:"eventName"`
	AWSRegion           string         `json:"awsRegion"`
	SourceIPAddress     string         `json:"sourceIPAddress"`
	UserAgent           string         `json:"userAgent"`
	ErrorCode           string         `json:"errorCode,omitempty"`
	ErrorMessage        string         `json:"errorMessage,omitempty"`
	RequestParameters   map[string]any `json:"requestParameters"`
	ResponseElements    map[string]any `json:"responseElements"`
	AdditionalEventData map[string]any `json:"additionalEventData,omitempty"`
	RequestID           string         `json:"requestID,omitempty"`
	EventID             string         `json:"eventID"`
	ReadOnly            bool           `json:"readOnly"`
	EventType           string         `json:"eventType"`
	ManagementEvent     bool           `json:"managementEvent"`
	RecipientAccountID  string         `json:"recipientAccountId"`
	SharedEventID       string         `json:"sharedEventID,omitempty"`
	EventCategory       string         `json:"eventCategory"`

	username, region string
}

type identity struct {
	Type           string   `json:"type"`
	PrincipalID    string   `json:"principalId,omitempty"`
	ARN            string   `json:"arn,omitempty"`
	AccountID      string   `json:"accountId,omitempty"`
	AccessKeyID    string   `json:"accessKeyId,omitempty"`
	UserName       string   `json:"userName,omitempty"`
	SessionContext *session `json:"sessionContext,omitempty"`
	InvokedBy      string   `json:"invokedBy,omitempty"`
}

type session struct {
	SessionIssuer struct {
		Type      string `json:"type"`
		ARN       string `json:"arn"`
		AccountID string `json:"accountId"`
		UserName  string `json:"userName"`
	} `json:"sessionIssuer"`
}

// begin makes the record of a call that begins.
func (r *Room) begin(ctx context.Context, source, name string, request map[string]any) *event {
	c := auth.From(ctx)
	address, agent := auth.Origin(ctx)
	if c.InvokedBy != "" { // as CloudTrail does where a service calls for somebody
		address, agent = c.InvokedBy, c.InvokedBy
	}
	e := r.blank(source, name, c.Account, c.Region)
	e.UserIdentity, e.username = identityOf(c), c.UserName
	if e.username == "" {
		e.username = c.SessionName
	}
	e.SourceIPAddress, e.UserAgent, e.RequestID = text(address), text(agent), api.RequestID(ctx)
	e.RequestParameters = request
	return e
}

func (r *Room) blank(source, name, account, region string) *event {
	return &event{
		EventVersion: "1.11", EventTime: r.deps.Now().UTC().Truncate(time.Microsecond), EventSource: source + ".amazonaws.com", EventName: name, AWSRegion: region,
		EventID: auth.NewUUID(), EventType: "AwsApiCall", ManagementEvent: true, RecipientAccountID: account, EventCategory: "Management",
		ReadOnly: strings.HasPrefix(name, "AssumeRole"), // as AWS has it
		region:   region,
	}
}

func identityOf(c auth.Caller) identity {
	i := identity{Type: "IAMUser", PrincipalID: c.UserID, ARN: c.ARN, AccountID: c.Account, AccessKeyID: c.AccessKeyID, UserName: c.UserName, InvokedBy: c.InvokedBy}
	switch {
	case c.RoleARN != "":
		i.Type, i.SessionContext = "AssumedRole", &session{}
		s := &i.SessionContext.SessionIssuer
		s.Type, s.ARN, s.AccountID = "Role", c.RoleARN, c.Account
		s.UserName = c.RoleARN[strings.LastIndexByte(c.RoleARN, '/')+1:]
	case c.Service != "":
		i.Type, i.InvokedBy = "AWSService", c.Service
	case c.UserName == "":
		i.Type = "Root"
	}
	return i
}

// end fills in what came of the call.
func (e *event) end(response, facts map[string]any, err error) {
	e.AdditionalEventData = facts
	var f *fault.Error
	switch {
	case err == nil:
		e.ResponseElements = response
	case errors.As(err, &f):
		e.ErrorCode, e.ErrorMessage = f.Code, text(f.Message)
	default:
		e.ErrorCode = "InternalFailure"
	}
}

// row makes the record's row.
func (e *event) row() store.AuditRecord {
	kept := *e
	kept.RequestParameters, kept.ResponseElements = part(e.RequestParameters), part(e.ResponseElements)
	doc, err := json.Marshal(&kept)
	if err != nil { // maps of texts, numbers and lists of them have a JSON form
		panic("cloudtrail: " + err.Error())
	}
	return store.AuditRecord{
		ID: e.EventID, Account: e.RecipientAccountID, Region: e.region, At: e.EventTime, Source: e.EventSource, Name: e.EventName, Username: text(e.username),
		AccessKey: text(e.UserIdentity.AccessKeyID), Resource: text(resource(e.RequestParameters)), ReadOnly: e.ReadOnly, Doc: string(doc),
	}
}

// later gives the record of what came of a call whose first record, with the ID first, is sealed
// already (sharedEventID).
func later(doc, first, id string) (string, error) {
	var e event
	if err := json.Unmarshal([]byte(doc), &e); err != nil {
		return "", err
	}
	e.SharedEventID, e.EventID = first, id
	text, err := json.Marshal(&e)
	return string(text), err
}

// part gives the parameters, or their size and digest if there are too many.
func part(m map[string]any) map[string]any {
	doc, err := json.Marshal(m)
	if err == nil && len(doc) <= maxPart {
		return m
	}
	sum := sha256.Sum256(doc)
	return map[string]any{"omitted": fmt.Sprintf("%d bytes of JSON", len(doc)), "sha256": hex.EncodeToString(sum[:])}
}

// text makes any text fit for a column and a reader.
func text(s string) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	for len(s) > maxText {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}

// resource names what a call is about: the pipeline if one is named, else the first name or
// ARN among the parameters.
func resource(m map[string]any) string {
	for _, key := range []string{"pipelineName", "name", "repositoryName", "projectName", "bucketName"} {
		if s, ok := m[key].(string); ok {
			return s
		}
	}
	keys := slices.Sorted(maps.Keys(m))
	for _, end := range []string{"Name", "Arn", "ARN"} {
		for _, key := range keys {
			if s, ok := m[key].(string); ok && strings.HasSuffix(key, end) {
				return s
			}
		}
	}
	for _, key := range keys { // pipeline.name, webhook.name
		if inner, ok := m[key].(map[string]any); ok {
			if s, ok := inner["name"].(string); ok {
				return s
			}
		}
	}
	return ""
}
