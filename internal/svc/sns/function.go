package sns

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"penstock/internal/courier"
	"penstock/internal/store"
)

// Principal is the service for which this room invokes functions; their policies name it.
const Principal = "sns.amazonaws.com"

// toFunction is the protocol of subscriptions of functions.
const toFunction = "lambda"

// invoked are the retries for functions, which are there unless the server is not: some fifty
// within half an hour.
var invoked = retries{Min: 1, Max: 60, Retries: 50, AtOnce: 3, AtMin: 5, AtMax: 25, Function: "exponential"}

var functionForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^arn:aws[a-z-]*:lambda:([^:]+):(\d{12}):function:[a-zA-Z0-9_-]{1,64}(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)
})

// records is what a function gets: one message, named as SNS does for functions.
type records struct {
	Records []record
}

type record struct {
	EventSource, EventVersion, EventSubscriptionArn string
	Sns                                             notice
}

type notice struct {
	Type              string
	MessageId         string
	TopicArn          string
	Subject           *string
	Message           string
	Timestamp         string
	SignatureVersion  string
	Signature         string
	SigningCertUrl    string
	UnsubscribeUrl    string
	MessageAttributes map[string]struct{ Type, Value string }
}

// tell invokes the function of a subscription with a message. Its policy must let this service in
// for the topic.
func (r *Room) tell(ctx context.Context, m *message, s store.Subscription, about topicDoc) error {
	signer, err := r.signing(ctx)
	if err != nil {
		return err
	}
	text, err := m.envelope(signer, about.Attributes["SignatureVersion"], r.deps.PublicURL()+pathPrefix, subscriptionARN(s))
	if err != nil {
		return err
	}
	one := record{EventSource: "aws:sns", EventVersion: "1.0", EventSubscriptionArn: subscriptionARN(s)}
	// The names differ in their capitals from those of other endpoints.
	if err := json.Unmarshal([]byte(text), &one.Sns); err != nil {
		return courier.GiveUp(err)
	}
	if one.Sns.MessageAttributes == nil {
		one.Sns.MessageAttributes = map[string]struct{ Type, Value string }{}
	}
	payload, err := json.Marshal(records{[]record{one}})
	if err != nil {
		return courier.GiveUp(err)
	}
	client := lambda.NewFromConfig(r.deps.AWS(s.Account, s.Region, m.Topic, s.Endpoint))
	_, err = client.Invoke(ctx, &lambda.InvokeInput{FunctionName: &s.Endpoint, InvocationType: types.InvocationTypeEvent, Payload: payload})
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
