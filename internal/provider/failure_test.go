package provider

import (
	"testing"

	"github.com/aws/smithy-go"

	"penstock/internal/pipeline"
)

// S-117: what a service said is one sentence of what an action says, whether it ended in a
// full stop or not.
func TestCallFailedReadsWell(t *testing.T) {
	t.Parallel()
	j := Job{Action: "Get", RoleARN: "arn:aws:iam::000000000000:role/release"}
	for _, said := range []string{"The branch main does not exist", "The branch main does not exist.", "The branch main does not exist. "} {
		r := j.CallFailed(&smithy.GenericAPIError{Code: "BranchDoesNotExistException", Message: said}, "get the branch main")
		want := "Could not get the branch main with the role arn:aws:iam::000000000000:role/release: BranchDoesNotExistException: The branch main does not exist. Check the configuration of action 'Get'."
		if r.Error == nil || r.Error.Code != pipeline.ConfigurationError || r.Error.Message != want {
			t.Errorf("%q: %+v", said, r.Error)
		}
	}
}
