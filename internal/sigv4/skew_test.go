package sigv4_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"penstock/internal/sigv4"
)

// W-30, W-34, W-35: how far clocks may be apart: five minutes, fifteen for those of old, to the
// second and in both directions; a URL lasts as long as it says and not longer. Every form of
// signature is tried at every distance.
func TestSkew(t *testing.T) {
	t.Parallel()
	var offsets []time.Duration
	for _, about := range []time.Duration{0, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, time.Hour, 12 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 365 * 24 * time.Hour} {
		for _, off := range []time.Duration{about - time.Second, about, about + time.Second} {
			offsets = append(offsets, off, -off)
		}
	}
	keys := aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}
	check := func(what string, off time.Duration, err error, good bool) {
		t.Helper()
		if (err == nil) != good {
			t.Errorf("%s, %v before the server's clock: %v", what, off, err)
		}
	}
	allowed := map[string]time.Duration{"codepipeline": 5 * time.Minute, "codebuild": 5 * time.Minute, "lambda": 5 * time.Minute, "ssm": 5 * time.Minute, "s3": 15 * time.Minute, "sts": 15 * time.Minute, "iam": 15 * time.Minute, "sns": 15 * time.Minute}
	for _, off := range offsets {
		now := at.Add(off)
		for service, skew := range allowed {
			near := off <= skew && -off <= skew
			r := request(t, "POST", "http://127.0.0.1/", "", "X-Amz-Content-Sha256", hashOf(""))
			sign(t, r, service, "us-east-1", hashOf(""), at)
			check(service+", in a header", off, verify(r, service, "", now), near)
			// The older header says when, too.
			r.Header.Set("Date", now.Format(http.TimeFormat))
			check(service+", with another Date", off, verify(r, service, "", now), near)
			for _, life := range []time.Duration{time.Second, 10 * time.Minute, 7 * 24 * time.Hour} {
				r := request(t, "GET", fmt.Sprintf("http://127.0.0.1/b/k?X-Amz-Expires=%d", life/time.Second), "")
				hash := hashOf("")
				if service == "s3" {
					hash = "UNSIGNED-PAYLOAD"
				}
				signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), keys, r, hash, service, "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
				if err != nil {
					t.Fatal(err)
				}
				good := -off <= skew && off <= life
				check(fmt.Sprintf("%s, a URL for %v", service, life), off, verify(request(t, "GET", signed, ""), service, "", now), good)
				longer := strings.Replace(signed, fmt.Sprintf("X-Amz-Expires=%d", life/time.Second), "X-Amz-Expires=604799", 1)
				check(fmt.Sprintf("%s, a URL for %v that says longer", service, life), off, verify(request(t, "GET", longer, ""), service, "", now), false)
			}
		}
		for _, c := range readGolden(t).Git {
			p, _ := sigv4.ParseGitPassword(c.Password)
			check("a password of git", off, p.Verify(secret, "eu-west-3", c.Host, c.Path, p.Date.Add(off), 15*time.Minute), off <= 15*time.Minute && -off <= 15*time.Minute)
		}
	}
}
