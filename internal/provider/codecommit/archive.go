package codecommit

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The archive operations of CodeCommit have names that IAM knows and no published shapes, so
// the SDK has no methods for them.
type (
	uploadInput struct {
		Repository string `json:"repositoryName"`
		Commit     string `json:"commitId"`
		Bucket     string `json:"s3Bucket"`
		Key        string `json:"s3Key"`
		KMSKey     string `json:"kmsKeyId,omitempty"`
	}
	uploadOutput struct {
		ID string `json:"uploadId"`
	}
	statusInput struct {
		Repository string `json:"repositoryName"`
		ID         string `json:"uploadId"`
	}
	statusOutput struct {
		Status       string `json:"status"`
		ErrorCode    string `json:"errorCode"`
		ErrorMessage string `json:"errorMessage"`
	}
)

// maxAnswer bounds the answer of such an operation.
const maxAnswer = 1 << 20

// call makes a request for an operation that the SDK lacks, with everything the SDK does for
// one it has (endpoint, credentials, signature, retries, errors): it takes GetRepository and
// exchanges the target, the body and the reading of the answer.
func call(ctx context.Context, client *codecommit.Client, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	var answer []byte
	exchange := func(stack *middleware.Stack) error {
		err := stack.Serialize.Add(middleware.SerializeMiddlewareFunc("penstockOperation",
			func(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (middleware.SerializeOutput, middleware.Metadata, error) {
				req, ok := in.Request.(*smithyhttp.Request)
				if !ok {
					return middleware.SerializeOutput{}, middleware.Metadata{}, fmt.Errorf("unexpected request %T", in.Request)
				}
				req, err := req.SetStream(bytes.NewReader(body))
				if err != nil {
					return middleware.SerializeOutput{}, middleware.Metadata{}, err
				}
				req.Header.Set("X-Amz-Target", "CodeCommit_20150413."+operation)
				in.Request = req
				return next.HandleSerialize(ctx, in)
			}), middleware.After)
		if err != nil {
			return err
		}
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("penstockAnswer",
			func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
				res, meta, err := next.HandleDeserialize(ctx, in)
				if raw, ok := res.RawResponse.(*smithyhttp.Response); err == nil && ok && raw.StatusCode == 200 {
					if answer, err = io.ReadAll(io.LimitReader(raw.Body, maxAnswer)); err != nil {
						return res, meta, err
					}
					err = raw.Body.Close()
					raw.Body = io.NopCloser(bytes.NewReader([]byte("{}")))
				}
				return res, meta, err
			}), middleware.After)
	}
	_, err = client.GetRepository(ctx, &codecommit.GetRepositoryInput{RepositoryName: new("x")},
		codecommit.WithAPIOptions(exchange))
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the answer of %s is not JSON: %w", operation, err)
	}
	return nil
}
