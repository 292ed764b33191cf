package api_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"penstock/internal/api"
	"penstock/internal/api/codepipeline"
	"penstock/internal/api/iam"
)

type pipelines struct{ codepipeline.Unimplemented }

func (pipelines) CreatePipeline(context.Context, *codepipeline.CreatePipelineInput) (*codepipeline.CreatePipelineOutput, error) {
	return &codepipeline.CreatePipelineOutput{}, nil
}

type users struct{ iam.Unimplemented }

func (users) CreateAccessKey(context.Context, *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	return &iam.CreateAccessKeyOutput{AccessKey: &iam.AccessKey{AccessKeyId: "AKIA", SecretAccessKey: "hunter2", UserName: "u"}}, nil
}

// W-41: what is kept of a call has the members of the API and none of its secrets.
func TestCallHidesSecrets(t *testing.T) {
	t.Parallel()
	var kept string
	around := func(ctx context.Context, c *api.Call, answer func(context.Context) error) error {
		err := answer(ctx)
		text, merr := json.Marshal([]any{c.Request(), c.Response()})
		if merr != nil {
			t.Error(merr)
		}
		kept = string(text)
		return err
	}
	action := func(owner, settings string) string {
		return `{"name":"a","actionTypeId":{"category":"Source","owner":"` + owner + `","provider":"P","version":"1"},"configuration":` + settings + `}`
	}
	s := codepipeline.New(pipelines{})
	s.Around = around
	body := `{"pipeline":{"name":"p","roleArn":"arn:aws:iam::111111111111:role/r","stages":[{"name":"s","actions":[` +
		action("AWS", `{"S3ObjectKey":"shown","OAuthToken":"hunter2"}`) + "," + action("Custom", `{"Anything":"hunter2"}`) + `]}]}}`
	if _, err := s.ServeJSON(t.Context(), s.Operations["CreatePipeline"], []byte(body), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"name":"p"`, `"S3ObjectKey":"shown"`, `"OAuthToken":"***"`, `"Anything":"***"`} {
		if !strings.Contains(kept, want) {
			t.Errorf("%s lacks %s", kept, want)
		}
	}
	if strings.Contains(kept, "hunter2") {
		t.Errorf("a secret: %s", kept)
	}
	s = iam.New(users{})
	s.Around = around
	if _, err := s.ServeQuery(t.Context(), s.Operations["CreateAccessKey"], map[string][]string{"UserName": {"u"}}, "id", nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(kept, `"SecretAccessKey":"***"`) || strings.Contains(kept, "hunter2") || !strings.Contains(kept, `"UserName":"u"`) {
		t.Error(kept)
	}
}
