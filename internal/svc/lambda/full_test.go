package lambda_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"penstock/internal/blob"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/lambda"
)

// S-86: while the disk is full neither code nor what is to be run later takes the room that is left.
func TestFull(t *testing.T) {
	t.Parallel()
	url := storetest.SQLiteURL(t)
	db := storetest.Open(t, url)
	blobs, err := blob.OpenDisk(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	before := open(t, everything, func(d *lambda.Deps) { d.DB, d.Blobs = db, blobs })
	before.create("f", "def handler(event, context): return 1\n")
	before.end()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := open(t, everything, func(d *lambda.Deps) { d.DB, d.Blobs = storetest.Full(t, url), blobs })
	_, code := s.UpdateFunctionCode(t.Context(), &sdk.UpdateFunctionCodeInput{FunctionName: aws.String("f"), ZipFile: files(t, map[string]string{"app.py": "x"})})
	_, later := s.Invoke(t.Context(), &sdk.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent})
	for what, err := range map[string]error{"code": code, "an event": later} {
		var said smithy.APIError
		if !errors.As(err, &said) || !strings.Contains(said.ErrorMessage(), "disk is full") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if out, _ := s.invoke("f", "{}"); out.FunctionError != nil {
		t.Errorf("%s", out.Payload)
	}
}
