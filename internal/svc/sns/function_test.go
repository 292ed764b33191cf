package sns

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	wire "penstock/internal/api/sns"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// N-15: a function subscribes without being asked, gets the messages as functions do, again after
// a failure and not after a refusal.
func TestFunctions(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		const function = "arn:aws:lambda:us-east-1:000000000000:function:f:live"
		got := make(chan string, 10)
		answers := make(chan int, 10)
		answers <- 500
		answers <- 202
		answers <- 403
		answers <- 202
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.Header.Get("X-Amz-Invocation-Type") != "Event" || r.URL.Path != "/2015-03-31/functions/"+function+"/invocations" {
				t.Error(r.URL, r.Header, err)
			}
			code := <-answers
			w.Header().Set("X-Amzn-Errortype", map[int]string{500: "ServiceException", 403: "AccessDeniedException"}[code])
			w.WriteHeader(code)
			got <- string(body)
		}))
		t.Cleanup(srv.Close)
		b := newBenchWith(t, db, Deps{AWS: func(account, region, topic, to string) aws.Config {
			if account != "000000000000" || region != "us-east-1" || topic != "arn:aws:sns:us-east-1:000000000000:news" || to != function {
				t.Error(account, region, topic, to)
			}
			return aws.Config{Region: region, BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}
		}})
		next := func() (r record, text string) {
			t.Helper()
			select {
			case text = <-got:
			case <-time.After(5 * time.Minute):
				t.Fatal("nothing is received")
			}
			var all records
			if err := json.Unmarshal([]byte(text), &all); err != nil || len(all.Records) != 1 {
				t.Fatal(text, err)
			}
			return all.Records[0], text
		}
		topic := "arn:aws:sns:us-east-1:000000000000:news"
		made, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: topic, Protocol: "lambda", Endpoint: function})
		if err != nil || !strings.HasPrefix(made.SubscriptionArn, topic+":") {
			t.Fatal(made, err)
		}
		again, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: topic, Protocol: "lambda", Endpoint: function})
		if err != nil || again.SubscriptionArn != made.SubscriptionArn {
			t.Error(again, err)
		}
		b.publish(t, &wire.PublishInput{TopicArn: topic, Message: "hello", Subject: "s", MessageAttributes: map[string]wire.MessageAttributeValue{"color": {DataType: "String", StringValue: "red"}}})
		first, text := next()
		if _, second := next(); second != text {
			t.Errorf("%s, then %s", text, second)
		}
		if first.EventSource != "aws:sns" || first.EventSubscriptionArn != made.SubscriptionArn || first.Sns.Message != "hello" || *first.Sns.Subject != "s" || first.Sns.TopicArn != topic ||
			first.Sns.Signature == "" || !strings.Contains(text, `"SigningCertUrl":"`+b.pages) || !strings.Contains(text, `"MessageAttributes":{"color":{"Type":"String","Value":"red"}}`) {
			t.Error(text)
		}
		b.publish(t, &wire.PublishInput{TopicArn: topic, Message: "refused"})
		b.publish(t, &wire.PublishInput{TopicArn: topic, Message: `{"default":"d","lambda":"for functions"}`, MessageStructure: "json"})
		seen := map[string]bool{}
		for range 2 {
			r, text := next()
			seen[r.Sns.Message] = true
			if r.Sns.Subject != nil || !strings.Contains(text, `"Subject":null`) || !strings.Contains(text, `"MessageAttributes":{}`) {
				t.Error(text)
			}
		}
		if !seen["refused"] || !seen["for functions"] {
			t.Error(seen)
		}
		b.emptied(t)
		for what, in := range map[string]*wire.SubscribeInput{
			"a name": {Endpoint: "f"}, "elsewhere": {Endpoint: strings.Replace(function, "us-east-1", "eu-west-1", 1)}, "another's": {Endpoint: strings.Replace(function, "000000000000", "111111111111", 1)},
			"raw": {Endpoint: function + "2", Attributes: map[string]string{"RawMessageDelivery": "true"}},
		} {
			in.TopicArn, in.Protocol = topic, "lambda"
			if _, err := b.Subscribe(b.ctx, in); fault.Code(err) != "InvalidParameterException" {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}
