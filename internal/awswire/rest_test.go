package awswire_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/google/go-cmp/cmp"

	"penstock/internal/api"
	"penstock/internal/api/lambda"
	"penstock/internal/awswire"
	"penstock/internal/fault"
)

// functions is a small room of the rest-json protocol: it answers with what it was given.
type functions struct {
	lambda.Unimplemented
}

func (functions) Invoke(_ context.Context, in *lambda.InvokeInput) (*lambda.InvokeOutput, error) {
	return &lambda.InvokeOutput{
		StatusCode: new(int32(202)), FunctionError: in.InvocationType, LogResult: "a\r\nb", ExecutedVersion: in.Qualifier,
		Payload: append([]byte(in.FunctionName+" "), in.Payload...),
	}, nil
}

func (functions) CreateFunction(_ context.Context, in *lambda.CreateFunctionInput) (*lambda.CreateFunctionOutput, error) {
	return &lambda.FunctionConfiguration{
		FunctionName: in.FunctionName, Description: string(in.Code.ZipFile), Timeout: in.Timeout,
		Environment: &lambda.EnvironmentResponse{Variables: in.Environment.Variables},
	}, nil
}

func (functions) GetFunction(_ context.Context, in *lambda.GetFunctionInput) (*lambda.GetFunctionOutput, error) {
	return nil, fault.New("ResourceNotFoundException", "Function not found: %s", in.FunctionName)
}

func (functions) DeleteFunction(context.Context, *lambda.DeleteFunctionInput) (*lambda.DeleteFunctionOutput, error) {
	return &lambda.DeleteFunctionOutput{StatusCode: new(int32(204))}, nil
}

func (functions) ListFunctions(_ context.Context, in *lambda.ListFunctionsInput) (*lambda.ListFunctionsOutput, error) {
	if in.MaxItems == nil || *in.MaxItems != 7 || in.Marker != "a b/c" {
		return nil, fault.New("TooManyRequestsException", "%v %q", in.MaxItems, in.Marker)
	}
	return &lambda.ListFunctionsOutput{}, nil
}

func (functions) ListTags(_ context.Context, in *lambda.ListTagsInput) (*lambda.ListTagsOutput, error) {
	return &lambda.ListTagsOutput{Tags: map[string]string{"of": in.Resource}}, nil
}

func (functions) UntagResource(_ context.Context, in *lambda.UntagResourceInput) (*lambda.UntagResourceOutput, error) {
	return nil, fault.New("ServiceException", "%s", strings.Join(in.TagKeys, "|"))
}

func (functions) GetLayerVersionByArn(_ context.Context, in *lambda.GetLayerVersionByArnInput) (*lambda.GetLayerVersionByArnOutput, error) {
	return nil, fault.New("AccessDeniedException", "by %s", in.Arn)
}

func withFunctions(c *awswire.Config) { c.Services = append(c.Services, lambda.New(functions{})) }

// The rest-json protocol to the byte: the operation is in method and path, members are in
// path, query, headers and body.
func TestGoldenRESTAnswers(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{}, withFunctions)
	auth := "\nAuthorization: " + signed("lambda")
	const arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"
	for name, c := range map[string]struct {
		request string
		status  int
		errors  string
		body    string
	}{
		"W-36 header, query and payload": {"POST /2015-03-31/functions/f/invocations?Qualifier=1\nX-Amz-Invocation-Type: Event" + auth + "\n\n{\"a\": 1}", 202, "", `f {"a": 1}`},
		"a body":                         {"POST /2015-03-31/functions/" + auth + "\n\n" + `{"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r","Code":{"ZipFile":"eHg="},"Timeout":3,"Environment":{"Variables":{"AB":"c"}}}`, 201, "", `{"FunctionName":"f","Description":"xx","Timeout":3,"Environment":{"Variables":{"AB":"c"}}}`},
		"no content":                     {"DELETE /2015-03-31/functions/f" + auth, 204, "", ""},
		"W-14 nothing to say":            {"GET /2015-03-31/functions?MaxItems=7&Marker=a+b%2Fc" + auth, 200, "", "{}"},
		"an error in a header":           {"GET /2015-03-31/functions" + auth, 429, "TooManyRequestsException", `{"Type":"User","message":"<nil> \"\""}`},
		"an error with a capital":        {"GET /2015-03-31/functions/" + arn + auth, 404, "ResourceNotFoundException", `{"Type":"User","Message":"Function not found: arn:aws:lambda:us-east-1:000000000000:function:f"}`},
		"a label with slashes":           {"GET /2017-03-31/tags/" + arn + "%2Fx%2520" + auth, 400, "ValidationException", ""},
		"a list in the query":            {"DELETE /2017-03-31/tags/" + arn + "?tagKeys=a&tagKeys=b%20c" + auth, 500, "ServiceException", `{"Type":"Service","Message":"a|b c"}`},
		"a fixed query parameter":        {"GET /2018-10-31/layers?find=LayerVersion&Arn=" + "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Alayer%3Al%3A1" + auth, 403, "AccessDeniedException", `{"__type":"AccessDeniedException","message":"by arn:aws:lambda:us-east-1:000000000000:layer:l:1"}`},
		"W-21 what is missing":           {"GET /2017-03-31/tags/x" + auth, 400, "ValidationException", ""},
		"W-21 in all places":             {"POST /2015-03-31/functions/a%20b/invocations\nX-Amz-Log-Type: All" + auth + "\n\n", 400, "ValidationException", `{"__type":"ValidationException","message":"2 validation errors detected: Value at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:[a-z0-9-]+:|[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|[a-zA-Z0-9-_]+))?; Value at 'logType' failed to satisfy constraint: Member must satisfy enum value set: [None, Tail]"}`},
		"W-4 no number":                  {"GET /2015-03-31/functions?MaxItems=many" + auth, 400, "SerializationException", `{"__type":"SerializationException","message":"STRING_VALUE can not be converted to an Integer"}`},
		"W-4 no JSON":                    {"POST /2015-03-31/functions" + auth + "\n\n{", 400, "SerializationException", ""},
		"W-4 more than JSON":             {"POST /2015-03-31/functions" + auth + "\n\n{}{", 400, "SerializationException", ""},
		"N-18 no such path":              {"GET /2015-03-31/functions/f/coffee" + auth, 404, "UnknownOperationException", `{"__type":"UnknownOperationException","message":"GET /2015-03-31/functions/f/coffee of Lambda is not offered by this penstock server"}`},
		"N-18 no such method":            {"PATCH /2015-03-31/functions/f" + auth, 404, "UnknownOperationException", `{"__type":"UnknownOperationException","message":"PATCH /2015-03-31/functions/f of Lambda is not offered by this penstock server"}`},
		"N-18 an empty label":            {"GET /2015-03-31/functions//policy" + auth, 404, "UnknownOperationException", `{"__type":"UnknownOperationException","message":"GET /2015-03-31/functions//policy of Lambda is not offered by this penstock server"}`},
		"N-18 no room":                   {"GET /2018-10-31/layers" + auth, 404, "UnknownOperationException", `{"__type":"UnknownOperationException","message":"ListLayers of Lambda is not offered by this penstock server"}`},
		"W-33 unsigned":                  {"GET /2015-03-31/functions\nHost: lambda.us-east-1.amazonaws.com", 403, "MissingAuthenticationTokenException", `{"__type":"MissingAuthenticationTokenException","message":"Missing Authentication Token"}`},
		"W-20 another scope":             {"GET /2015-03-31/functions\nHost: lambda.us-east-1.amazonaws.com\nAuthorization: " + signed("sqs"), 404, "UnknownOperationException", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ask(t, d, c.request)
			got := bodyOf(t, r)
			if r.StatusCode != c.status || r.Header.Get("X-Amzn-Errortype") != c.errors || len(r.Header.Get("X-Amzn-Requestid")) != 36 {
				t.Errorf("%d %v %s", r.StatusCode, r.Header, got)
			}
			if c.body != "" && got != c.body || c.status == 204 && (got != "" || r.Header.Get("Content-Type") != "") {
				t.Errorf("got  %s\nwant %s", got, c.body)
			}
			if c.status == 202 && (r.Header.Get("X-Amz-Function-Error") != "Event" || r.Header.Get("X-Amz-Log-Result") != "a  b" || r.Header.Get("X-Amz-Executed-Version") != "1") {
				t.Errorf("headers %v", r.Header)
			}
		})
	}
}

// W-9: an operation may have a limit of its own, and the protocol its own refusal.
func TestRESTBodyLimit(t *testing.T) {
	t.Parallel()
	d := newDoor(pipelines{}, withFunctions)
	send := func(path string, size int) (int, string) {
		r := httptest.NewRequest("POST", path, strings.NewReader(strings.Repeat(" ", size)))
		r.Header.Set("Authorization", signed("lambda"))
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	const invoke = "/2015-03-31/functions/f/invocations"
	if code, body := send(invoke, 6<<20); code != 202 {
		t.Error(code, body)
	}
	want := `{"Type":"User","message":"Request must be smaller than 6291456 bytes for the Invoke operation"}`
	if code, body := send(invoke, 6<<20+1); code != http.StatusRequestEntityTooLarge || body != want {
		t.Error(code, body)
	}
	if code, body := send("/2015-03-31/functions/f/versions", awswire.MaxBody+1); code != http.StatusRequestEntityTooLarge {
		t.Error(code, body)
	}
}

// The AWS SDK sends what is understood and understands what it gets (W-36).
func TestRESTWithSDK(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(awswire.New(awswire.Config{Authenticate: claims, Services: []*api.Service{lambda.New(functions{})}}))
	t.Cleanup(srv.Close)
	client := sdk.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(srv.URL), HTTPClient: srv.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("AK", "secret", ""),
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	const arn = "arn:aws:lambda:us-east-1:000000000000:function:f"

	inv, err := client.Invoke(ctx, &sdk.InvokeInput{
		FunctionName: aws.String(arn), Qualifier: aws.String("1"), InvocationType: types.InvocationTypeEvent, Payload: []byte("{}"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if inv.StatusCode != 202 || *inv.FunctionError != "Event" || *inv.ExecutedVersion != "1" || string(inv.Payload) != arn+" {}" {
		t.Errorf("%+v", inv)
	}
	made, err := client.CreateFunction(ctx, &sdk.CreateFunctionInput{
		FunctionName: aws.String("f"), Role: aws.String("arn:aws:iam::000000000000:role/r"), Code: &types.FunctionCode{ZipFile: []byte("zip")},
		Environment: &types.Environment{Variables: map[string]string{"AB": "c"}},
	})
	if err != nil || *made.Description != "zip" || cmp.Diff(made.Environment.Variables, map[string]string{"AB": "c"}) != "" {
		t.Error(made, err)
	}
	if _, err := client.ListFunctions(ctx, &sdk.ListFunctionsInput{MaxItems: aws.Int32(7), Marker: aws.String("a b/c")}); err != nil {
		t.Error(err)
	}
	tags, err := client.ListTags(ctx, &sdk.ListTagsInput{Resource: aws.String(arn)})
	if err != nil || tags.Tags["of"] != arn {
		t.Error(tags, err)
	}
	if _, err := client.DeleteFunction(ctx, &sdk.DeleteFunctionInput{FunctionName: aws.String("f")}); err != nil {
		t.Error(err)
	}
	var none *types.ResourceNotFoundException
	if _, err := client.GetFunction(ctx, &sdk.GetFunctionInput{FunctionName: aws.String("f")}); !errors.As(err, &none) || *none.Message != "Function not found: f" || *none.Type != "User" {
		t.Errorf("%#v", err)
	}
	var busy *types.TooManyRequestsException
	if _, err := client.ListFunctions(ctx, &sdk.ListFunctionsInput{}); !errors.As(err, &busy) {
		t.Errorf("%#v", err)
	}
}
