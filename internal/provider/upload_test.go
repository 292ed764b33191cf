package provider_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/provider"
)

// An upload that breaks off is aborted, and a stream that is too short puts nothing.
func TestUploadAborts(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		calls = append(calls, r.Method+" "+r.URL.RawQuery)
		mu.Unlock()
		if r.Method == http.MethodPost {
			io.WriteString(w, "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
		}
	}))
	t.Cleanup(srv.Close)
	client := provider.S3(aws.Config{Region: "r", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("id", "secret", "")})
	in := &s3.PutObjectInput{Bucket: aws.String("b"), Key: aws.String("k")}
	if err := provider.Upload(t.Context(), client, in, io.MultiReader(bytes.NewReader(make([]byte, 17<<20))), 40<<20); err == nil {
		t.Error("a stream that is too short was put")
	}
	if err := provider.Upload(t.Context(), client, in, io.MultiReader(strings.NewReader("12")), 3); err == nil {
		t.Error("a stream that is too short was put")
	}
	got := strings.Join(calls, "\n")
	if len(calls) != 3 || !strings.HasPrefix(calls[0], "POST uploads") || !strings.Contains(calls[1], "partNumber=1") || !strings.HasPrefix(calls[2], "DELETE ") {
		t.Errorf("calls:\n%s", got)
	}
}
