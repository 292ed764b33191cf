package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// light is a client that does no more than sign and send: on a machine that it shares with
// the server, what a client does is missing there. Its requests are those of the SDK.
type light struct {
	http        *http.Client
	credentials aws.Credentials
	region, url string
	signer      *v4.Signer
}

func newLight(ctx context.Context, cfg aws.Config) (*light, error) {
	credentials, err := cfg.Credentials.Retrieve(ctx)
	return &light{http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: time.Minute},
		credentials: credentials, region: cfg.Region, url: *cfg.BaseEndpoint + "/", signer: v4.NewSigner()}, err
}

// request makes a signed request to CodePipeline.
func (l *light) request(ctx context.Context, operation string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "CodePipeline_20150709."+operation)
	sum := sha256.Sum256(body)
	return r, l.signer.SignHTTP(ctx, l.credentials, r, hex.EncodeToString(sum[:]), "codepipeline", l.region, time.Now())
}

// send gives the body of the answer, which must be a success.
func (l *light) send(r *http.Request) ([]byte, error) {
	resp, err := l.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, text)
	}
	return text, err
}

// call makes a call with the API's own JSON.
func (l *light) call(ctx context.Context, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	r, err := l.request(ctx, operation, body)
	if err != nil {
		return err
	}
	text, err := l.send(r)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(text, out)
}
