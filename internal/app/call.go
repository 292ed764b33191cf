package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"
)

// maxCallAnswer bounds the answer of CallConnections.
const maxCallAnswer = 4 << 20

// CallConnections makes a signed request for an operation of the connections room, which has
// operations that no SDK knows. in and out are what encoding/json takes; a refusal is a
// smithy.APIError.
func CallConnections(ctx context.Context, cfg aws.Config, operation string, in, out any) error {
	return callService(ctx, cfg, "codeconnections", "com.amazonaws.codeconnections.CodeConnections_20231201."+operation, "application/x-amz-json-1.0", in, out)
}

// CallPipelines is CallConnections for the operations of the CodePipeline room that no SDK
// knows.
func CallPipelines(ctx context.Context, cfg aws.Config, operation string, in, out any) error {
	return callService(ctx, cfg, "codepipeline", "CodePipeline_20150709."+operation, "application/x-amz-json-1.1", in, out)
}

func callService(ctx context.Context, cfg aws.Config, service, target, contentType string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	if cfg.BaseEndpoint == nil {
		return errors.New("there is no endpoint")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, *cfg.BaseEndpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("X-Amz-Target", target)
	who, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), service, cfg.Region, time.Now()); err != nil {
		return err
	}
	client := cfg.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxCallAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode == http.StatusOK {
		if len(answer) == 0 { // W-12
			return nil
		}
		return json.Unmarshal(answer, out)
	}
	var refusal struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer, &refusal); err != nil || refusal.Type == "" {
		return fmt.Errorf("the server answered with status %d", res.StatusCode)
	}
	return &smithy.GenericAPIError{Code: refusal.Type, Message: refusal.Message}
}
