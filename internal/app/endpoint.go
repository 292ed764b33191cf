package app

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go"

	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
)

// useEndpoint is the permission that a role needs for calls that are sent to another endpoint:
// there they are made with the operator's credentials, and the role's own policies do not
// count.
const useEndpoint = "penstock:UseEndpoint"

const (
	// maxEndpointBody bounds a request that is signed anew and whose body is not an object's.
	maxEndpointBody = 16 << 20
	// anyRegion stands for the Region of a call in an endpoint's address.
	anyRegion = "{region}"
)

// endpoints are the services whose calls by this server's own parts go elsewhere. They are for
// the account of the configuration, and for its Region unless an address names {region}.
// Other accounts and Regions have the rooms of this server.
type endpoints struct {
	account, region string
	urls            map[string]string // by the service's name in credential scopes
}

var endpointForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^([a-z][a-z0-9-]{0,62})=(https?://\S+)$`) })

// callable are the services that actions, rules, builds and sources call, by their names in
// credential scopes: no other name sends anything anywhere.
var callable = []string{"codebuild", "codecommit", "codeconnections", "codedeploy", "codepipeline",
	"codestar-connections", "lambda", "logs", "monitoring", "s3", "secretsmanager", "sns", "ssm"}

// parseEndpoints reads the setting: SERVICE=URL, separated by spaces.
func parseEndpoints(c *Config) (*endpoints, error) {
	e := &endpoints{account: c.Account, region: c.Region, urls: map[string]string{}}
	for _, text := range strings.Fields(c.Endpoint) {
		m := endpointForm().FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("--endpoint %q: it is like s3=https://s3.{region}.amazonaws.com", text)
		}
		u, err := url.Parse(strings.ReplaceAll(m[2], anyRegion, "region"))
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("--endpoint %q: the address has a host, and no user, query or fragment", text)
		}
		if !slices.Contains(callable, m[1]) {
			return nil, fmt.Errorf("--endpoint %q: the services whose calls can be sent elsewhere are %s", text, strings.Join(callable, ", "))
		}
		if e.urls[m[1]] != "" {
			return nil, fmt.Errorf("--endpoint: %s is there twice", m[1])
		}
		e.urls[m[1]] = strings.TrimRight(m[2], "/")
	}
	return e, nil
}

// of gives where calls of a service go; false if they stay here.
func (e *endpoints) of(service, account, region string) (*url.URL, bool) {
	text := e.urls[service]
	if text == "" || account != e.account || region != e.region && !strings.Contains(text, anyRegion) {
		return nil, false
	}
	u, err := url.Parse(strings.ReplaceAll(text, anyRegion, region))
	return u, err == nil
}

// elsewhere is the transport of this server's own calls. Those of a service with an endpoint
// are verified as the door would, and need the permission useEndpoint; then they are signed
// anew with the operator's credentials and sent there.
type elsewhere struct {
	endpoints *endpoints
	here      http.RoundTripper
	auth      func() *auth.Auth
	// credentials are the operator's for the endpoints.
	credentials aws.CredentialsProvider
	network     http.RoundTripper
	log         *slog.Logger
}

// newNetwork makes the transport to endpoints: no redirects, and deadlines for all but bodies.
func newNetwork() http.RoundTripper {
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, TLSHandshakeTimeout: 10 * time.Second,
		ResponseHeaderTimeout: time.Minute, MaxResponseHeaderBytes: 1 << 20, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	}
}

var scopeForm = regexp.MustCompile(`Credential=[^/,]+/[0-9]{8}/([^/,]+)/([^/,]+)/aws4_request`)

// RoundTrip sends one request to the room here or to the endpoint of its service.
func (e *elsewhere) RoundTrip(req *http.Request) (*http.Response, error) {
	m := scopeForm.FindStringSubmatch(req.Header.Get("Authorization"))
	if m == nil || e.endpoints.urls[m[2]] == "" {
		return e.here.RoundTrip(req)
	}
	region, service := m[1], m[2]
	in := served(req.Context(), req)
	var body []byte
	if service != "s3" {
		var err error
		if body, err = readBody(in); err != nil {
			closeBody(req)
			return nil, err
		}
	}
	as, err := e.auth().Authenticate(in, service, body)
	if err != nil {
		closeBody(req)
		if fault.Code(err) != "" {
			return refusal(req, service, err), nil
		}
		return nil, err
	}
	caller := auth.From(as)
	to, ok := e.endpoints.of(service, caller.Account, region)
	if !ok {
		if body != nil { // it has been read
			closeBody(req)
			again := req.Clone(req.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			req = again
		}
		return e.here.RoundTrip(req)
	}
	resource := arn.New("penstock", region, caller.Account, "endpoint/"+service)
	if err := auth.Check(as, useEndpoint, resource); err != nil {
		closeBody(req)
		if fault.Code(err) == "" {
			return nil, err
		}
		e.log.Warn("endpoint: a call is refused", "service", service, "caller", caller.ARN, "error", err)
		return refusal(req, service, fault.New("AccessDenied",
			"User: %s is not authorized to perform: %s on resource: %s. Calls to that endpoint are made with the operator's credentials; allow the role to use it.",
			caller.ARN, useEndpoint, resource)), nil
	}
	out, err := e.signed(req.Context(), in, to, service, region, body)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	answer, err := e.network.RoundTrip(out)
	if err != nil {
		return nil, fmt.Errorf("the endpoint of %s: %w", service, err)
	}
	answer.Request = req
	return answer, nil
}

func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEndpointBody+1))
	if err == nil && len(body) > maxEndpointBody {
		err = fmt.Errorf("a request for another endpoint has at most %d bytes", maxEndpointBody)
	}
	return body, err
}

// notForwarded are the headers that belong to the signature and framing of the first request.
var notForwarded = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Decoded-Content-Length", "X-Amz-Trailer", "Transfer-Encoding", "Trailer", "Amz-Sdk-Invocation-Id", "Amz-Sdk-Request"}

// signed makes the request for the endpoint.
func (e *elsewhere) signed(ctx context.Context, in *http.Request, to *url.URL, service, region string, body []byte) (*http.Request, error) {
	who, err := e.credentials.Retrieve(ctx)
	if err != nil {
		return nil, &smithy.GenericAPIError{Code: "UnrecognizedClientException", Fault: smithy.FaultClient,
			Message: "there are no credentials for the endpoint of " + service + ": " + err.Error()}
	}
	out := in.Clone(ctx)
	out.RequestURI, out.Host, out.TransferEncoding, out.Trailer = "", to.Host, nil, nil
	u := *in.URL
	u.Scheme, u.Host = to.Scheme, to.Host
	if to.Path != "" {
		u.Path, u.RawPath = to.Path+in.URL.Path, to.EscapedPath()+in.URL.EscapedPath()
	}
	out.URL = &u
	for _, name := range notForwarded {
		out.Header.Del(name)
	}
	hash := in.Header.Get("X-Amz-Content-Sha256")
	if service != "s3" {
		sum := sha256.Sum256(body)
		hash = hex.EncodeToString(sum[:])
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	} else if len(hash) != sha256.Size*2 { // chunks, whose signatures were verified here
		hash = "UNSIGNED-PAYLOAD"
	}
	if service == "s3" {
		out.Header.Set("X-Amz-Content-Sha256", hash)
	}
	if out.ContentLength == 0 {
		out.Body = http.NoBody
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" })
	return out, signer.SignHTTP(ctx, who, out, hash, service, region, time.Now())
}

// refusal is an answer that the SDK reads as an error of the service.
func refusal(req *http.Request, service string, err error) *http.Response {
	code, message := fault.Code(err), strings.TrimPrefix(err.Error(), fault.Code(err)+": ")
	text, _ := json.Marshal(map[string]string{"__type": code, "message": message})
	kind := "application/x-amz-json-1.1"
	if query := strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded"); query || service == "s3" {
		var b bytes.Buffer
		b.WriteString("<Error><Code>" + code + "</Code><Message>")
		_ = xml.EscapeText(&b, []byte(message)) // a buffer takes everything
		b.WriteString("</Message></Error>")
		text, kind = b.Bytes(), "text/xml"
		if query {
			text = []byte("<ErrorResponse>" + b.String() + "</ErrorResponse>")
		}
	}
	return &http.Response{
		Status: "403 Forbidden", StatusCode: http.StatusForbidden, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
		Header:        http.Header{"Content-Type": {kind}, "X-Amzn-Errortype": {code}},
		ContentLength: int64(len(text)), Body: io.NopCloser(bytes.NewReader(text)),
	}
}
