package api_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/api"
	"penstock/internal/api/iam"
	"penstock/internal/api/sts"
	"penstock/internal/fault"
)

type entities struct {
	iam.Unimplemented
	simulated *iam.SimulateCustomPolicyInput
}

func (e *entities) SimulateCustomPolicy(_ context.Context, in *iam.SimulateCustomPolicyInput) (*iam.SimulateCustomPolicyOutput, error) {
	e.simulated = in
	return &iam.SimulateCustomPolicyOutput{
		IsTruncated: new(false), Marker: "\x01<\r\n",
		EvaluationResults: []iam.EvaluationResult{{
			EvalActionName: "s3:GetObject", EvalDecisionDetails: map[string]string{"b": "allowed", "a": "denied"}, MissingContextValues: []string{},
		}},
	}, nil
}

func (*entities) GetAccountSummary(context.Context, *iam.GetAccountSummaryInput) (*iam.GetAccountSummaryOutput, error) {
	return &iam.GetAccountSummaryOutput{SummaryMap: map[string]int32{"Users": 27}}, nil
}

func serveForm(t *testing.T, room iam.Service, op, form string) (string, error) {
	t.Helper()
	s := iam.New(room)
	v, err := url.ParseQuery(form)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.ServeQuery(t.Context(), s.Operations[op], v, "id", nil)
	return string(out), err
}

// The query protocol: numbered lists in, wrapped XML out (W-36, STS and IAM).
func TestQueryCodec(t *testing.T) {
	t.Parallel()
	room := new(entities)
	got, err := serveForm(t, room, "SimulateCustomPolicy", "Action=x&PolicyInputList.member.2=second&PolicyInputList.member.1=%7B%7D&PolicyInputList.member.10=third"+
		"&ActionNames.member.1=s3:GetObject&ContextEntries.member.1.ContextKeyName=aws:key&ContextEntries.member.1.ContextKeyValues.member.1=v"+
		"&ResourceArns=&MaxItems=7&Unknown.member.x=1")
	if err != nil {
		t.Fatal(err)
	}
	want := &iam.SimulateCustomPolicyInput{
		PolicyInputList: []string{"{}", "second", "third"}, ActionNames: []string{"s3:GetObject"}, MaxItems: new(int32(7)), ResourceArns: []string{},
		ContextEntries: []iam.ContextEntry{{ContextKeyName: "aws:key", ContextKeyValues: []string{"v"}}},
	}
	if d := cmp.Diff(want, room.simulated); d != "" {
		t.Error(d)
	}
	if want := `<SimulateCustomPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><SimulateCustomPolicyResult><EvaluationResults><member>` +
		`<EvalActionName>s3:GetObject</EvalActionName><MissingContextValues></MissingContextValues><EvalDecisionDetails><entry><key>a</key><value>denied</value></entry>` +
		`<entry><key>b</key><value>allowed</value></entry></EvalDecisionDetails></member></EvaluationResults><IsTruncated>false</IsTruncated><Marker>` + "\uFFFD&lt;&#xD;\n" +
		`</Marker></SimulateCustomPolicyResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></SimulateCustomPolicyResponse>`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, err = serveForm(t, room, "GetAccountSummary", ""); err != nil || !strings.Contains(got, "<SummaryMap><entry><key>Users</key><value>27</value></entry></SummaryMap>") {
		t.Error(got, err)
	}
}

func TestQueryRefusals(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]string{
		"MaxItems=x":             "MalformedInput: A parameter can not be converted to an Integer",
		"MaxItems=1.0":           "MalformedInput: ",
		"MaxItems=99999999999":   "MalformedInput: ",
		"MaxItems.member.1=1":    "MalformedInput: Unexpected complex element termination",
		"ActionNames.member.x=1": "MalformedInput: Start of list found where not expected",
		"ActionNames.member.0=1": "MalformedInput: ",
		"CallerArn=%ff":          "MalformedInput: ",
		"CallerArn=%00":          "MalformedInput: ",
		"CallerArn" + strings.Repeat(".a", 50) + "=1":       "MalformedInput: The parameter name nests deeper",
		"PolicyInputList.member.1=a&MaxItems=0":             "ValidationError: 2 validation errors detected: Value null at 'actionNames' failed to satisfy constraint: Member must not be null; Value at 'maxItems' failed to satisfy constraint: Member must have value greater than or equal to 1",
		"ActionNames.member.1=a&PolicyInputList.member.1=a": "ValidationError: 1 validation error detected: Value at 'actionNames' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 128, Member must have length greater than or equal to 3]",
	} {
		_, err := serveForm(t, new(entities), "SimulateCustomPolicy", form)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", form, err, want)
		}
	}
}

// N-18: an operation without a room names this server.
func TestUnimplemented(t *testing.T) {
	t.Parallel()
	_, err := serveForm(t, new(entities), "CreateUser", "UserName=u")
	if fault.Code(err) != "UnknownOperationException" || !strings.Contains(err.Error(), "penstock") {
		t.Error(err)
	}
}

// W-32: errors of a query service have their own spelling and status.
func TestSpelling(t *testing.T) {
	t.Parallel()
	s := iam.New(iam.Unimplemented{})
	for _, name := range []string{"NoSuchEntityException", "NoSuchEntity"} {
		if code, status, ok := s.Spelling(name); code != "NoSuchEntity" || status != 404 || !ok {
			t.Error(name, code, status, ok)
		}
	}
	if _, _, ok := s.Spelling("Nonsense"); ok {
		t.Error("Nonsense is a class of IAM")
	}
}

func TestXMLTimes(t *testing.T) {
	t.Parallel()
	at := time.Date(2017, 6, 2, 4, 39, 38, 0, time.FixedZone("", 7200))
	for want, at := range map[string]time.Time{"2017-06-02T02:39:38Z": at, "2017-06-02T02:39:38.250Z": at.Add(250 * time.Millisecond)} {
		s := sts.New(clock{at: at})
		out, err := s.ServeQuery(t.Context(), s.Operations["GetSessionToken"], nil, "", nil)
		if err != nil || !strings.Contains(string(out), "<Expiration>"+want+"</Expiration>") {
			t.Errorf("%s %v", out, err)
		}
	}
}

type clock struct {
	sts.Unimplemented
	at time.Time
}

func (c clock) GetSessionToken(context.Context, *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	return &sts.GetSessionTokenOutput{Credentials: &sts.Credentials{Expiration: &c.at}}, nil
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	ctx := api.WithRequestID(t.Context(), "x")
	if api.RequestID(ctx) != "x" || api.RequestID(t.Context()) != "" {
		t.Error("the request id does not travel")
	}
}

func FuzzQuery(z *testing.F) {
	for _, s := range []string{"ActionNames.member.1=abc&PolicyInputList.member.1=x", "ActionNames=", "A.member.1.B.entry.1.key=x", "....=1", "ActionNames.member.1.x=1"} {
		z.Add(s)
	}
	s := iam.New(new(entities))
	z.Fuzz(func(t *testing.T, form string) {
		v, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		_, err = s.ServeQuery(t.Context(), s.Operations["SimulateCustomPolicy"], v, "", nil)
		if err != nil && fault.Code(err) == "" {
			t.Fatal(err)
		}
	})
}
