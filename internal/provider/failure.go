package provider

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/aws/smithy-go"

	"penstock/internal/pipeline"
)

// Failed is a failed result with a failure type of S-117 and a message.
func Failed(code, format string, args ...any) Result {
	return Result{Error: &pipeline.ErrorDetails{Code: code, Message: fmt.Sprintf(format, args...)}}
}

// CallFailed turns the error of a service call into a result that says what was tried (such
// as "read the object s3://b/k"), with which role, what the service said and what to do.
// Codes in missing are answers that mean the configuration names something that is not there.
func (j Job) CallFailed(err error, tried string, missing ...string) Result {
	var api smithy.APIError
	var network net.Error
	var answer interface{ HTTPStatusCode() int }
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Failed(pipeline.SystemUnavailable, "Could not %s: the call was ended before the service answered", tried)
	case errors.As(err, &api):
		code := api.ErrorCode()
		said := fmt.Sprintf("Could not %s with the role %s: %s: %s", tried, j.RoleARN, code, strings.TrimRight(api.ErrorMessage(), ". "))
		for _, m := range missing {
			if code == m {
				return Failed(pipeline.ConfigurationError, "%s. Check the configuration of action '%s'.", said, j.Action)
			}
		}
		switch {
		case strings.Contains(code, "AccessDenied"), strings.Contains(code, "Forbidden"), code == "ExpiredToken",
			code == "ExpiredTokenException", code == "UnrecognizedClientException", code == "InvalidAccessKeyId":
			return Failed(pipeline.PermissionError, "%s. Allow it in a policy of that role.", said)
		case api.ErrorFault() == smithy.FaultServer, errors.As(err, &answer) && answer.HTTPStatusCode() >= 500, strings.Contains(code, "Throttl"), strings.Contains(code, "SlowDown"):
			return Failed(pipeline.SystemUnavailable, "%s. Retry the stage when the service is well again.", said)
		}
		return Failed(pipeline.ConfigurationError, "%s. Check the configuration of action '%s'.", said, j.Action)
	case errors.As(err, &network):
		return Failed(pipeline.SystemUnavailable, "Could not %s: %v. Retry the stage when the service can be reached.", tried, err)
	}
	return Failed(pipeline.SystemUnavailable, "Could not %s: %v", tried, err)
}
