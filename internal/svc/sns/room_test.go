package sns

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	wire "penstock/internal/api/sns"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

func TestMain(m *testing.M) { storetest.Main(m) }

const (
	account  = "000000000000"
	region   = "us-east-1"
	news     = "arn:aws:sns:us-east-1:000000000000:news"
	patience = 5 * time.Minute
)

var ann = auth.Caller{Account: account, Region: region, ARN: "arn:aws:iam::000000000000:user/ann", AccessKeyID: "AKIA"}

type posted struct {
	header http.Header
	text   string
	body   map[string]any
}

// bench is a room with its pages and an endpoint that keeps what it gets.
type bench struct {
	*Room
	ctx      context.Context
	pages    string
	endpoint string
	got      chan posted
	mu       sync.Mutex
	answers  []int // statuses of the next posts; then 200
}

func newBench(t *testing.T, db *store.DB, private bool) *bench {
	t.Helper()
	return newBenchWith(t, db, Deps{Private: private})
}

func newBenchWith(t *testing.T, db *store.DB, deps Deps) *bench {
	t.Helper()
	b := &bench{ctx: auth.Trusted(t.Context(), ann), got: make(chan posted, 100)}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		p := posted{header: r.Header, text: string(text)}
		_ = json.Unmarshal(text, &p.body) // raw messages are none
		b.mu.Lock()
		status := 200
		if len(b.answers) > 0 {
			status, b.answers = b.answers[0], b.answers[1:]
		}
		b.mu.Unlock()
		w.WriteHeader(status)
		b.got <- p
	}))
	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.ServeHTTP(w, r) }))
	b.endpoint, b.pages = endpoint.URL, pages.URL
	deps.DB, deps.PublicURL = db, func() string { return b.pages }
	b.Room = New(deps)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		endpoint.Close()
		pages.Close()
	})
	if _, err := b.CreateTopic(b.ctx, &wire.CreateTopicInput{Name: "news"}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) next(t *testing.T) posted {
	t.Helper()
	select {
	case p := <-b.got:
		return p
	case <-time.After(patience):
		t.Fatal("nothing is posted")
		panic("not reached")
	}
}

func get(t *testing.T, link string) (int, string) {
	t.Helper()
	answer, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// subscribe subscribes the endpoint and follows the link that it is sent.
func (b *bench) subscribe(t *testing.T, path string, attributes map[string]string) string {
	t.Helper()
	out, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "http", Endpoint: b.endpoint + path, Attributes: attributes, ReturnSubscriptionArn: new(true)})
	if err != nil {
		t.Fatal(err)
	}
	p := b.next(t)
	if status, text := get(t, p.body["SubscribeURL"].(string)); status != 200 || !strings.Contains(text, "<SubscriptionArn>"+out.SubscriptionArn+"</SubscriptionArn>") {
		t.Fatalf("%d %s", status, text)
	}
	return out.SubscriptionArn
}

func (b *bench) publish(t *testing.T, in *wire.PublishInput) string {
	t.Helper()
	in.TopicArn = news
	out, err := b.Publish(b.ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	return out.MessageId
}

// emptied waits until nothing is left to deliver.
func (b *bench) emptied(t *testing.T) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for left := true; left; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("a delivery is neither done nor given up")
		}
		if err := b.deps.DB.View(b.ctx, func(tx *store.Tx) error {
			at, err := tx.NextDeliveryAt(b.ctx, queue, nil)
			left = !at.IsZero()
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// genuine verifies a message as the documentation of SNS says.
func (b *bench) genuine(t *testing.T, p posted, names ...string) {
	t.Helper()
	_, text := get(t, p.body["SigningCertURL"].(string))
	block, _ := pem.Decode([]byte(text))
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	signed := ""
	for _, name := range names {
		signed += name + "\n" + p.body[name].(string) + "\n"
	}
	kind, short := crypto.SHA1, sha1.Sum([]byte(signed))
	digest := short[:]
	if p.body["SignatureVersion"] == "2" {
		long := sha256.Sum256([]byte(signed))
		kind, digest = crypto.SHA256, long[:]
	}
	signature, err := base64.StdEncoding.DecodeString(p.body["Signature"].(string))
	if err != nil || rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), kind, digest, signature) != nil {
		t.Errorf("the signature is not that of %q", signed)
	}
}

// N-15: an endpoint is asked, confirms by the link, and gets messages in SNS's envelope, signed
// in both versions, until it leaves by the link.
func TestHandshakeAndEnvelope(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		b := newBench(t, db, true)
		out, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "http", Endpoint: b.endpoint})
		if err != nil || out.SubscriptionArn != "pending confirmation" {
			t.Fatalf("%+v %v", out, err)
		}
		ask := b.next(t)
		if ask.header.Get("x-amz-sns-message-type") != "SubscriptionConfirmation" || ask.header.Get("x-amz-sns-topic-arn") != news || ask.header.Get("x-amz-sns-subscription-arn") != "" {
			t.Errorf("%v", ask.header)
		}
		b.genuine(t, ask, "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
		// Nothing is told to whom did not say yes.
		b.publish(t, &wire.PublishInput{Message: "too early"})
		if _, err := b.ConfirmSubscription(b.ctx, &wire.ConfirmSubscriptionInput{TopicArn: news, Token: strings.Repeat("0", 128)}); fault.Code(err) != "InvalidParameterException" {
			t.Error(err)
		}
		yes, err := b.ConfirmSubscription(b.ctx, &wire.ConfirmSubscriptionInput{TopicArn: news, Token: ask.body["Token"].(string)})
		if err != nil {
			t.Fatal(err)
		}
		for _, version := range []string{"1", "2"} {
			if _, err := b.SetTopicAttributes(b.ctx, &wire.SetTopicAttributesInput{TopicArn: news, AttributeName: "SignatureVersion", AttributeValue: version}); err != nil {
				t.Fatal(err)
			}
			id := b.publish(t, &wire.PublishInput{Message: "Hello <\"world\">", Subject: "S", MessageAttributes: map[string]wire.MessageAttributeValue{"kind": {DataType: "String", StringValue: "x"}}})
			p := b.next(t)
			want := `^\{\n  "Type" : "Notification",\n  "MessageId" : "` + id + `",\n  "TopicArn" : "` + news + `",\n  "Subject" : "S",\n  "Message" : "Hello <\\"world\\">",\n` +
				`  "Timestamp" : "\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",\n  "SignatureVersion" : "` + version + `",\n  "Signature" : "[A-Za-z0-9+/=]+",\n` +
				`  "SigningCertURL" : "` + b.pages + `/sns/SimpleNotificationService-[0-9a-f]{32}\.pem",\n  "UnsubscribeURL" : "` + b.pages + `/sns/\?Action=Unsubscribe&SubscriptionArn=[^"]+",\n` +
				`  "MessageAttributes" : \{\n    "kind" : \{"Type":"String","Value":"x"\}\n  \}\n\}$`
			if !regexp.MustCompile(want).MatchString(p.text) {
				t.Errorf("got  %s\nwant %s", p.text, want)
			}
			b.genuine(t, p, "Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
			if h := p.header; h.Get("x-amz-sns-message-type") != "Notification" || h.Get("x-amz-sns-message-id") != id || h.Get("x-amz-sns-subscription-arn") != yes.SubscriptionArn ||
				h.Get("Content-Type") != "text/plain; charset=UTF-8" || h.Get("User-Agent") != "Amazon Simple Notification Service Agent" {
				t.Errorf("%v", h)
			}
			if version == "2" {
				if status, text := get(t, p.body["UnsubscribeURL"].(string)); status != 200 {
					t.Errorf("%d %s", status, text)
				}
			}
		}
		list, err := b.ListSubscriptionsByTopic(b.ctx, &wire.ListSubscriptionsByTopicInput{TopicArn: news})
		if err != nil || len(list.Subscriptions) != 0 {
			t.Errorf("%+v %v", list, err)
		}
	})
}

// N-15: filters let through what they ask for, raw messages come as they are, messages of one
// group in their order, and each protocol may have its own text.
func TestFiltersAndRaw(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t), true)
	b.subscribe(t, "/attributes", map[string]string{"FilterPolicy": `{"kind":["a",{"prefix":"b"}],"n":[{"numeric":[">",1]}]}`, "RawMessageDelivery": "true"})
	b.subscribe(t, "/body", map[string]string{"FilterPolicy": `{"detail":{"state":["FAILED"]}}`, "FilterPolicyScope": "MessageBody", "RawMessageDelivery": "true"})
	text := func(kind, n string) map[string]wire.MessageAttributeValue {
		return map[string]wire.MessageAttributeValue{"kind": {DataType: "String.Array", StringValue: `["z","` + kind + `"]`}, "n": {DataType: "Number", StringValue: n}}
	}
	b.publish(t, &wire.PublishInput{Message: "not 1", MessageAttributes: text("a", "1"), MessageGroupId: "g"})
	b.publish(t, &wire.PublishInput{Message: "not c", MessageAttributes: text("c", "2"), MessageGroupId: "g"})
	b.publish(t, &wire.PublishInput{Message: "not json, no attributes", MessageGroupId: "g"})
	b.publish(t, &wire.PublishInput{Message: "first", MessageAttributes: text("bb", "2"), MessageGroupId: "g"})
	b.publish(t, &wire.PublishInput{Message: `{"default":"second","http":"own"}`, MessageStructure: "json", MessageAttributes: text("a", "2.5"), MessageGroupId: "g"})
	for _, want := range []string{"first", "own"} {
		if p := b.next(t); p.text != want || p.header.Get("x-amz-sns-rawdelivery") != "true" {
			t.Errorf("%q, not %q", p.text, want)
		}
	}
	b.publish(t, &wire.PublishInput{Message: `{"detail":{"state":"SUCCEEDED"}}`})
	b.publish(t, &wire.PublishInput{Message: `{"detail":{"state":"FAILED"}}`})
	if p := b.next(t); p.text != `{"detail":{"state":"FAILED"}}` {
		t.Error(p.text)
	}
}

// N-15: an endpoint that fails is asked again as its policy says, one that refuses is not.
func TestRetries(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t), true)
	arn := b.subscribe(t, "", map[string]string{"DeliveryPolicy": `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":3,"numNoDelayRetries":3},"requestPolicy":{"headerContentType":"application/json"}}`})
	b.answers = []int{500, 429, 503, 200, 404}
	id := b.publish(t, &wire.PublishInput{Message: "m"})
	for range 4 {
		if p := b.next(t); p.header.Get("x-amz-sns-message-id") != id || p.header.Get("Content-Type") != "application/json" {
			t.Errorf("%v", p.header)
		}
	}
	refused := b.publish(t, &wire.PublishInput{Message: "refused"})
	after := b.publish(t, &wire.PublishInput{Message: "after"})
	seen := []string{ // the refused one comes once
		b.next(t).header.Get("x-amz-sns-message-id"), b.next(t).header.Get("x-amz-sns-message-id")}
	if !slices.Contains(seen, refused) || !slices.Contains(seen, after) {
		t.Errorf("%v", seen)
	}
	b.emptied(t)
	got, err := b.GetSubscriptionAttributes(b.ctx, &wire.GetSubscriptionAttributesInput{SubscriptionArn: arn})
	if err != nil || !strings.Contains(got.Attributes["EffectiveDeliveryPolicy"], `"numNoDelayRetries":3`) || got.Attributes["PendingConfirmation"] != "false" || got.Attributes["ConfirmationWasAuthenticated"] != "false" {
		t.Errorf("%+v %v", got, err)
	}
	// The phases of a policy: at once, at the least, in between, at the most.
	r := retries{Min: 10, Max: 40, Retries: 7, AtOnce: 1, AtMin: 1, AtMax: 2, Function: "linear"}
	for n, want := range []time.Duration{0, 10, 10, 25, 40, 40, 40} {
		if got, ok := r.wait(n); !ok || got != want*time.Second {
			t.Errorf("retry %d: %s %v", n, got, ok)
		}
	}
	if _, ok := r.wait(7); ok {
		t.Error("a retry too many")
	}
	r.Function = "exponential"
	if got, _ := r.wait(3); got != 20*time.Second {
		t.Errorf("exponential: %s", got)
	}
}

// N-15: by default nothing on this machine or in private networks is called, whatever name
// leads there, and mail is refused plainly.
func TestPrivateTargets(t *testing.T) {
	t.Parallel()
	b := newBench(t, storetest.SQLite(t), false)
	for _, endpoint := range []string{"http://127.0.0.1/", "http://10.0.0.1:8080/x", "http://169.254.169.254/latest", "http://[::1]/", "http://[::ffff:192.168.0.1]/"} {
		if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "http", Endpoint: endpoint}); fault.Code(err) != "InvalidParameterException" || !strings.Contains(err.Error(), "private") {
			t.Errorf("%s: %v", endpoint, err)
		}
	}
	// Nor is the neighbourhood of the machine where its operator lets private networks be called.
	open := newBench(t, storetest.SQLite(t), true)
	if _, err := open.Subscribe(open.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "http", Endpoint: "http://169.254.169.254/latest"}); fault.Code(err) != "InvalidParameterException" {
		t.Error(err)
	}
	// A name is looked at when it is dialled; such a delivery is given up.
	if _, err := b.Subscribe(b.ctx, &wire.SubscribeInput{TopicArn: news, Protocol: "http", Endpoint: strings.Replace(b.endpoint, "127.0.0.1", "localhost", 1)}); err != nil {
		t.Fatal(err)
	}
	b.emptied(t)
	select {
	case p := <-b.got:
		t.Errorf("it was called: %s", p.text)
	default:
	}
}
