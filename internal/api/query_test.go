package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/api"
	"penstock/internal/api/cloudwatch"
	"penstock/internal/api/iam"
	"penstock/internal/api/sns"
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

// A number is finite, as it is in JSON and CBOR.
func TestQueryNumbers(t *testing.T) {
	t.Parallel()
	s := cloudwatch.New(cloudwatch.Unimplemented{})
	for number, want := range map[string]string{"1e3": "UnknownOperationException", "-0.5": "UnknownOperationException", "NaN": "MalformedInput", "inf": "MalformedInput", "-Infinity": "MalformedInput", "1e1000": "MalformedInput"} {
		form := url.Values{"Namespace": {"n"}, "MetricData.member.1.MetricName": {"m"}, "MetricData.member.1.Value": {number}}
		if _, err := s.ServeQuery(t.Context(), s.Operations["PutMetricData"], form, "", nil); fault.Code(err) != want {
			t.Errorf("%s: %v", number, err)
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

// formOf writes an input as the query protocol has it; the entries of maps are SNS's.
func formOf(t *testing.T, form url.Values, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			formOf(t, form, name, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			formOf(t, form, strings.TrimPrefix(name+"."+v.Type().Field(i).Name, "."), v.Field(i))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if !v.IsNil() {
				form.Set(name, base64.StdEncoding.EncodeToString(v.Bytes()))
			}
			return
		}
		if !v.IsNil() && v.Len() == 0 {
			form.Set(name, "")
		}
		for i := range v.Len() {
			if e := name + ".member." + strconv.Itoa(i+1); v.Index(i).Kind() == reflect.String {
				form.Set(e, v.Index(i).String())
			} else {
				form.Set(e, "") // an element may have nothing within
				formOf(t, form, e, v.Index(i))
			}
		}
	case reflect.Map:
		if !v.IsNil() && v.Len() == 0 {
			form.Set(name, "")
		}
		for i, key := range v.MapKeys() {
			e := name + ".entry." + strconv.Itoa(i+1)
			if !utf8.ValidString(key.String()) || strings.Contains(key.String(), "\x00") {
				t.Errorf("the key %q", key)
			}
			form.Set(e+".Name", key.String())
			form.Set(e+".Value", "")
			formOf(t, form, e+".Value", v.MapIndex(key))
		}
	case reflect.String:
		if !utf8.ValidString(v.String()) || strings.Contains(v.String(), "\x00") {
			t.Errorf("%s is %q", name, v)
		}
		if v.Len() > 0 {
			form.Set(name, v.String())
		}
	default:
		form.Set(name, fmt.Sprint(v))
	}
}

// FuzzQuery: what is read of a form is the same each time, has only characters that every database
// can hold, and is the same again when it is written as a form.
func FuzzQuery(z *testing.F) {
	for _, s := range []string{"ActionNames.member.1=abc&PolicyInputList.member.1=x", "ActionNames=", "A.member.1.B.entry.1.key=x", "....=1", "ActionNames.member.1.x=1",
		"PolicyInputList.member.1=a&PolicyInputList.member.01=b&PolicyInputList.member.3=c&ActionNames=&MaxItems=7&ContextEntries.member.1.ContextKeyName=k",
		"Message=m&TopicArn=t&MessageAttributes.entry.1.Name=%ff&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=x",
		"Message=m&MessageAttributes.entry.2.Name=b&MessageAttributes.entry.2.Value.DataType=Binary&MessageAttributes.entry.2.Value.BinaryValue=AA%3D%3D&MessageAttributes.entry.02.Name=b&MessageAttributes.entry.02.Value.DataType=x",
		"Message=&MessageAttributes.entry.7.Name=%EF%BF%BD&MessageAttributes.entry.7.Value.DataType=&MessageAttributes.entry.7.Value.BinaryValue=&MessageAttributes.entry.8.Name=%EF%BF%BD&MessageAttributes.entry.8.Value=&Message=x",
		"ActionNames.member.1=abc&PolicyInputList.member.1=x&MaxItems=%2B007&ContextEntries.member.1=&ContextEntries.member.2.ContextKeyValues=&ContextEntries.member.9223372036854775807.ContextKeyType=string&ResourceArns.x=1"} {
		z.Add(s)
	}
	z.Fuzz(func(t *testing.T, form string) {
		v, err := url.ParseQuery(form)
		if err != nil {
			return
		}
		for _, op := range []string{"SimulateCustomPolicy", "Publish"} {
			read := func(form url.Values) (any, error) {
				room, board := new(entities), new(topics)
				s := iam.New(room)
				if op == "Publish" {
					s = sns.New(board)
				}
				_, err := s.ServeQuery(t.Context(), s.Operations[op], form, "", nil)
				if err != nil && fault.Code(err) == "" {
					t.Fatal(err)
				}
				if op == "Publish" {
					return board.published, err
				}
				return room.simulated, err
			}
			got, err := read(v)
			same, err2 := read(v)
			if fmt.Sprint(err) != fmt.Sprint(err2) || !cmp.Equal(got, same) {
				t.Fatalf("%s: %v %v\nthen %v %v", form, got, err, same, err2)
			}
			if err != nil {
				continue
			}
			again := url.Values{}
			formOf(t, again, "", reflect.ValueOf(got))
			// A required text that is empty is not written again.
			if second, err := read(again); fault.Code(err) == "MalformedInput" || err == nil && !cmp.Equal(got, second) {
				t.Fatalf("%s\nas %s: %v\n%s", form, again.Encode(), err, cmp.Diff(got, second))
			}
		}
	})
}
