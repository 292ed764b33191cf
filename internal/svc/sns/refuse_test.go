package sns

import (
	"net/http"
	"strings"
	"testing"

	wire "penstock/internal/api/sns"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store/storetest"
)

// N-15: what cannot work is refused in SNS's words, and nothing is kept of it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t), true)
	invalid := func(what string, err error) {
		t.Helper()
		if fault.Code(err) != "InvalidParameterException" {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, in := range []wire.CreateTopicInput{
		{Name: "a.fifo"}, {Name: "a b"}, {Name: strings.Repeat("a", 257)}, {Name: ""}, {Name: "x", DataProtectionPolicy: "{}"},
		{Name: "x", Attributes: map[string]string{"FifoTopic": "true"}}, {Name: "x", Attributes: map[string]string{"Other": "x"}},
		{Name: "x", Attributes: map[string]string{"Policy": "{"}}, {Name: "x", Attributes: map[string]string{"SignatureVersion": "3"}},
		{Name: "x", Attributes: map[string]string{"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"numRetries":1000}}}`}},
		{Name: "x", Attributes: map[string]string{"KmsMasterKeyId": "alias/aws/sns"}}, {Name: "news", Attributes: map[string]string{"DisplayName": "other"}},
		{Name: "x", Attributes: map[string]string{"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"numRetries":1,"numMaxDelayRetries":4611686018427387904,"numNoDelayRetries":4611686018427387904,"minDelayTarget":1,"maxDelayTarget":1,"backoffFunction":"linear"}}}`}},
		{Name: "y", Attributes: map[string]string{"DeliveryPolicy": `{"http":{"defaultHealthyRetryPolicy":{"retries":1,"minDelayTarget":1,"maxDelayTarget":1,"backoffFunction":"linear"}}}`}},
		{Name: "z", Attributes: map[string]string{"DeliveryPolicy": `{}}`}},
	} {
		_, err := b.CreateTopic(b.ctx, &in)
		invalid("topic", err)
	}
	for _, in := range []wire.SubscribeInput{
		{Protocol: "email", Endpoint: "a@example.org"}, {Protocol: "sqs", Endpoint: "arn:aws:sqs:us-east-1:000000000000:q"}, {Protocol: "gopher", Endpoint: "x"},
		{Protocol: "http", Endpoint: "https://example.org"}, {Protocol: "https", Endpoint: "http://example.org"}, {Protocol: "http", Endpoint: "http://"}, {Protocol: "http"},
		{Protocol: "http", Endpoint: "http://example.org/#x"}, {Protocol: "http", Endpoint: "http://example.org/" + strings.Repeat("x", 3000)},
		{Protocol: "http", Endpoint: b.endpoint, Attributes: map[string]string{"FilterPolicy": "{"}}, {Protocol: "http", Endpoint: b.endpoint, Attributes: map[string]string{"FilterPolicy": `{"a":{"b":["c"]}}`}},
		{Protocol: "http", Endpoint: b.endpoint, Attributes: map[string]string{"RawMessageDelivery": "maybe"}}, {Protocol: "http", Endpoint: b.endpoint, Attributes: map[string]string{"RedrivePolicy": "{}"}},
		{Protocol: "http", Endpoint: b.endpoint, Attributes: map[string]string{"DeliveryPolicy": `{"throttlePolicy":{"maxReceivesPerSecond":1}}`}},
	} {
		in.TopicArn = news
		_, err := b.Subscribe(b.ctx, &in)
		invalid("subscription", err)
	}
	for _, in := range []wire.PublishInput{
		{Message: ""}, {Message: "m", Subject: strings.Repeat("s", 101)}, {Message: "m", Subject: "a\nb"}, {Message: strings.Repeat("m", maxMessage+1)},
		{Message: "m", MessageStructure: "json"}, {Message: `{"http":"x"}`, MessageStructure: "json"}, {Message: "m", MessageStructure: "xml"}, {Message: "m", PhoneNumber: "+491"},
		{Message: "m", MessageDeduplicationId: "x"}, {Message: "m", TargetArn: news},
		{Message: "m", MessageAttributes: map[string]wire.MessageAttributeValue{"a": {DataType: "String"}}}, {Message: "m", MessageAttributes: map[string]wire.MessageAttributeValue{"a": {DataType: "Number", StringValue: "x"}}},
		{Message: "m", MessageAttributes: map[string]wire.MessageAttributeValue{"AWS.x": {DataType: "String", StringValue: "x"}}}, {Message: "m", MessageAttributes: map[string]wire.MessageAttributeValue{"a": {DataType: "Blob", StringValue: "x"}}},
	} {
		in.TopicArn = news
		_, err := b.Publish(b.ctx, &in)
		invalid("message", err)
	}
	_, err := b.Publish(b.ctx, &wire.PublishInput{TopicArn: news + "x", Message: "m"})
	if fault.Code(err) != "NotFoundException" {
		t.Error(err)
	}
	for _, arn := range []string{"arn:aws:sns:eu-west-1:000000000000:news", "arn:aws:sns:us-east-1:111111111111:news", "news", news + ":x"} {
		_, err := b.Publish(b.ctx, &wire.PublishInput{TopicArn: arn, Message: "m"})
		invalid(arn, err)
	}
	if _, err := b.ListTagsForResource(b.ctx, &wire.ListTagsForResourceInput{ResourceArn: news + "x"}); fault.Code(err) != "ResourceNotFoundException" {
		t.Error(err)
	}
	if list, err := b.ListSubscriptions(b.ctx, &wire.ListSubscriptionsInput{}); err != nil || len(list.Subscriptions) != 0 {
		t.Errorf("%+v %v", list, err)
	}
	batch, err := b.PublishBatch(b.ctx, &wire.PublishBatchInput{TopicArn: news, PublishBatchRequestEntries: []wire.PublishBatchRequestEntry{{Id: "a", Message: "m"}, {Id: "b"}}})
	if err != nil || len(batch.Successful) != 1 || len(batch.Failed) != 1 || batch.Failed[0].Id != "b" {
		t.Errorf("%+v %v", batch, err)
	}
	for range 2 {
		if _, err := b.DeleteTopic(b.ctx, &wire.DeleteTopicInput{TopicArn: news}); err != nil {
			t.Error(err)
		}
	}
}

// N-15: a service may publish where the topic's policy lets it, for the resource that the
// policy names, and nobody else by it.
func TestPolicy(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t), true)
	limited := func(c auth.Caller, policies ...string) error {
		t.Helper()
		ctx, err := auth.Limited(t.Context(), c, policies...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Publish(ctx, &wire.PublishInput{TopicArn: news, Message: "m"})
		return err
	}
	events := auth.Caller{Account: account, Region: region, ARN: "arn:aws:sts::000000000000:assumed-role/events.amazonaws.com/events", Service: "events.amazonaws.com",
		SourceARN: "arn:aws:events:us-east-1:000000000000:rule/one", AccessKeyID: "ASIA"}
	const all = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sns:*","Resource":"*"}]}`
	denied := func(what string, err error) {
		t.Helper()
		if !strings.HasPrefix(fault.Code(err), "AccessDenied") {
			t.Errorf("%s: %v", what, err)
		}
	}
	denied("a service without a policy", limited(events, all))
	denied("a user without a policy", limited(ann))
	if _, err := b.SetTopicAttributes(b.ctx, &wire.SetTopicAttributesInput{TopicArn: news, AttributeName: "Policy", AttributeValue: `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"` + news + `","Condition":{"ArnEquals":{"aws:SourceArn":"` + events.SourceARN + `"}}},
		{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/bob"},"Action":"sns:Publish","Resource":"` + news + `"},
		{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::000000000000:user/eve"},"Action":"sns:*","Resource":"*"}]}`}); err != nil {
		t.Fatal(err)
	}
	if err := limited(events, all); err != nil {
		t.Error(err)
	}
	other := events
	other.SourceARN = "arn:aws:events:us-east-1:000000000000:rule/two"
	denied("another rule", limited(other, all))
	bob, eve := ann, ann
	bob.ARN, eve.ARN = "arn:aws:iam::000000000000:user/bob", "arn:aws:iam::000000000000:user/eve"
	if err := limited(bob); err != nil {
		t.Error(err)
	}
	denied("whom the topic denies", limited(eve, all))
	denied("whom the topic does not name", limited(ann))
}

// N-15: the pages without a signature do what a message's links say and nothing else.
func TestPages(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t), true)
	for path, want := range map[string]int{
		"/sns/": 404, "/sns/x.pem": 404, "/sns/../x": 404, "/sns/?Action=Publish&TopicArn=" + news + "&Message=x": 404, "/sns/?Action=DeleteTopic&TopicArn=" + news: 404,
		"/sns/?Action=ConfirmSubscription&TopicArn=" + news + "&Token=" + strings.Repeat("a", 128): 400, "/sns/?Action=ConfirmSubscription&TopicArn=x&Token=y": 404,
		"/sns/?Action=Unsubscribe&SubscriptionArn=" + news + ":x": 400, "/sns/?Action=Unsubscribe&SubscriptionArn=" + news + ":5a7b6c1e-0000-4000-8000-000000000001": 200,
	} {
		if got, text := get(t, b.pages+path); got != want {
			t.Errorf("%s: %d %s", path, got, text)
		}
	}
	answer, err := http.Post(b.pages+"/sns/x.pem", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusMethodNotAllowed {
		t.Error(answer.Status)
	}
	// A subscription that was confirmed with credentials and locked is not ended by a link.
	if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "http", Endpoint: strings.Replace(b.endpoint, "://", "://ann:secret@", 1)}); err != nil {
		t.Fatal(err)
	}
	ask := b.next(t)
	if user := ask.header.Get("Authorization"); !strings.HasPrefix(user, "Basic ") {
		t.Errorf("the endpoint's own credentials are not sent: %q", user)
	}
	yes, err := b.ConfirmSubscription(b.ctx, &wire.ConfirmSubscriptionInput{TopicArn: news, Token: ask.body["Token"].(string), AuthenticateOnUnsubscribe: "true"})
	if err != nil {
		t.Fatal(err)
	}
	if got, text := get(t, b.pages+"/sns/?Action=Unsubscribe&SubscriptionArn="+yes.SubscriptionArn); got != 403 || !strings.Contains(text, "<Code>AuthorizationError</Code>") {
		t.Errorf("%d %s", got, text)
	}
	list, err := b.ListSubscriptions(b.ctx, &wire.ListSubscriptionsInput{})
	if err != nil || len(list.Subscriptions) != 1 || strings.Contains(list.Subscriptions[0].Endpoint, "secret") {
		t.Errorf("%+v %v", list, err)
	}
}
