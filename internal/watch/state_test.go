package watch

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// answering is a client of a server that has one answer for each operation.
func answering(t *testing.T, answers map[string]string) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		answer, ok := answers[operation]
		if !ok {
			w.WriteHeader(http.StatusBadRequest)
			answer = `{"__type": "AccessDeniedException", "message": "` + operation + `"}`
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	return NewClient(aws.Config{Region: "us-east-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
}

// S-149, S-229: who is to decide sees what the approval was told, with the values of variables, in
// every mode of execution.
func TestStateApproval(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"SUPERSEDED", "PARALLEL"} {
		answers := map[string]string{
			"GetPipeline": `{"pipeline": {"name": "p", "executionMode": "` + mode + `", "stages": [{"name": "Approval", "actions": [{"name": "Ship",
				"actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
				"configuration": {"CustomData": "Ship #{Build.VERSION}?", "ExternalEntityLink": "https://example.org/#{Build.VERSION}"}}]}]}}`,
			"GetPipelineState": `{"pipelineName": "p", "stageStates": [{"stageName": "Approval", "latestExecution": {"pipelineExecutionId": "e1", "status": "InProgress"},
				"actionStates": [{"actionName": "Ship", "latestExecution": {"actionExecutionId": "a1", "status": "InProgress", "token": "t"}}]}]}`,
			"ListActionExecutions": `{"actionExecutionDetails": [{"pipelineExecutionId": "e1", "actionExecutionId": "a1", "stageName": "Approval", "actionName": "Ship", "status": "InProgress",
				"input": {"resolvedConfiguration": {"CustomData": "Ship 1.2?", "ExternalEntityLink": "https://example.org/1.2"}},
				"output": {"executionResult": {"externalExecutionId": "t"}}}]}`,
		}
		if mode == "PARALLEL" {
			answers["GetPipelineState"] = `{"pipelineName": "p", "stageStates": [{"stageName": "Approval"}]}`
		}
		s, err := answering(t, answers).State(t.Context(), "p")
		if err != nil {
			t.Errorf("%s: %v", mode, err)
			continue
		}
		if p := s.Pending(); len(p) != 1 || p[0].Comment != "Ship 1.2?" || p[0].Link != "https://example.org/1.2" || p[0].Token != "t" || p[0].Execution != "e1" {
			t.Errorf("%s: %+v", mode, p)
		}
	}
}
