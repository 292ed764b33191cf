package api_test

import (
	"context"
	"net/url"
	"testing"

	"penstock/internal/api/sns"
)

type topics struct {
	sns.Unimplemented
	published *sns.PublishInput
}

func (r *topics) Publish(_ context.Context, in *sns.PublishInput) (*sns.PublishOutput, error) {
	r.published = in
	return &sns.PublishOutput{MessageId: "m"}, nil
}

// N-15: a model may name the parts of a map's entry itself.
func TestNamedMapEntries(t *testing.T) {
	t.Parallel()
	room := new(topics)
	s := sns.New(room)
	form, err := url.ParseQuery("Message=hi&TopicArn=a&MessageAttributes.entry.1.Name=kind&MessageAttributes.entry.1.Value.DataType=String" +
		"&MessageAttributes.entry.1.Value.StringValue=x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ServeQuery(t.Context(), s.Operations["Publish"], form, "id", nil); err != nil {
		t.Fatal(err)
	}
	if got := room.published.MessageAttributes["kind"]; got.DataType != "String" || got.StringValue != "x" || room.published.Message != "hi" {
		t.Errorf("%+v", room.published)
	}
}
