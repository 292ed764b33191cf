package awswire

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"penstock/internal/api"
	"penstock/internal/fault"
)

type destination uint8

const (
	nowhere destination = iota
	toHealth
	toReady
	toGit
	toHooks
	toSNS
	toWeb
	toS3
	toJSON
	toForm
	toREST
	toCBOR
)

// shape of refusals for requests that belong to no service of ours.
type envelope uint8

const (
	jsonEnvelope envelope = iota
	xmlEnvelope
	s3Envelope
	restEnvelope
	cborEnvelope
	textEnvelope
)

// route is where a request belongs.
type route struct {
	to       destination
	envelope envelope
	service  *api.Service
	op       *api.Operation
	// rest is the request of a rest-json service.
	rest *api.RESTRequest
	// signed tells that the request claims a signature.
	signed bool
	// err is the refusal of a request that belongs nowhere.
	err error
}

func (rt *route) serviceName() string {
	switch {
	case rt.service != nil:
		return rt.service.Name
	case rt.to == toS3:
		return "s3"
	}
	return ""
}

func (rt *route) opName() string {
	if rt.op == nil {
		return ""
	}
	return rt.op.Name
}

// opBody is the largest body of the operation if it has a limit of its own.
func (rt *route) opBody() int64 {
	if rt.op == nil {
		return 0
	}
	return rt.op.MaxBody
}

// glanced is how much of an unsigned form is read to see which service it is for.
const glanced = 8 << 10

// find tells services apart in the order of W-36.
func (x *exchange) find() route {
	d, r := x.Door, x.r
	scope, signed := claim(r)
	rt := route{signed: signed}

	// (1) Paths of our own. They are never called with an S3 signature, so a bucket may be
	// called "webhooks".
	if own := d.ownPath(r); own != nowhere && scope != "s3" {
		rt.to, rt.envelope = own, textEnvelope
		return rt
	}
	// (2) The target header.
	if target := r.Header.Get("X-Amz-Target"); target != "" && scope != "s3" {
		return d.byTargetHeader(r, target, rt)
	}
	// (3) CloudWatch of current SDKs.
	if r.Header.Get("Smithy-Protocol") == rpcCBOR {
		return d.byRPCPath(r, rt)
	}
	// (4) The credential scope.
	if scope != "" {
		return d.byScopeName(r, scope, rt)
	}
	// (5) A form, which can only be unsigned or signed in a way of old.
	if s := x.byForm(); s != nil {
		rt.to, rt.service, rt.envelope = toForm, s, xmlEnvelope
		return rt
	}
	// (6) The host, for unsigned requests.
	host := hostLabels(r.Host)
	for i, label := range host {
		if label == "s3" {
			return d.s3(rt)
		}
		if s := d.byScope[label]; s != nil && i == 0 {
			return d.unaddressed(r, s, rt)
		}
	}
	// (7) A browser, someone with curl (W-33), and everything else.
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	if d.Web != nil && !signed && read && strings.Contains(r.Header.Get("Accept"), "text/html") {
		rt.to, rt.envelope = toWeb, textEnvelope
		return rt
	}
	if !signed && r.Method == http.MethodPost && r.URL.Path == "/" {
		rt.err = fault.New("MissingAuthenticationTokenException", "Missing Authentication Token")
		return rt
	}
	return d.s3(rt)
}

func (d *Door) ownPath(r *http.Request) destination {
	p := r.URL.Path
	switch {
	case p == "/healthz":
		return toHealth
	case p == "/readyz":
		return toReady
	case strings.HasPrefix(p, "/v1/repos/") && d.Git != nil:
		return toGit
	case strings.HasPrefix(p, "/sns/") && d.SNS != nil:
		return toSNS
	case strings.HasPrefix(p, "/webhooks/") && d.Hooks != nil:
		return toHooks
	case d.Web == nil:
	case strings.HasPrefix(p, "/console/"), p == "/console", p == "/metrics":
		return toWeb
	}
	return nowhere
}

// byTargetHeader routes a JSON request. What stands before the last dot of the target is
// matched by its last dotted component, so that both spellings work.
func (d *Door) byTargetHeader(r *http.Request, target string, rt route) route {
	if len(target) > 256 {
		target = target[:256]
	}
	prefix, name := "", target
	if i := strings.LastIndexByte(target, '.'); i >= 0 {
		prefix, name = target[:i], target[i+1:]
	}
	if i := strings.LastIndexByte(prefix, '.'); i >= 0 {
		prefix = prefix[i+1:]
	}
	s := d.byTarget[prefix]
	switch {
	case s == nil:
		rt.err = unknown("The target %s", target)
	case r.Method != http.MethodPost || r.URL.Path != "/":
		rt.service, rt.err = s, unknown("%s %s with the target %s", r.Method, r.URL.Path, target)
	default:
		if rt.service, rt.op = s, s.Operations[name]; rt.op == nil {
			rt.err = unknown("The operation %s of %s", name, s.ID)
			return rt
		}
		rt.to = toJSON
	}
	return rt
}

// rpcCBOR is what the header Smithy-Protocol says of requests and answers in CBOR.
const rpcCBOR = "rpc-v2-cbor"

// byRPCPath routes POST /service/NAME/operation/OPERATION, where NAME is what the services
// call their target.
func (d *Door) byRPCPath(r *http.Request, rt route) route {
	rt.envelope = cborEnvelope
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) != 5 || parts[1] != "service" || parts[3] != "operation" || r.Method != http.MethodPost {
		rt.err = unknown("%s %.100s", r.Method, r.URL.Path)
		return rt
	}
	s := d.byTarget[parts[2]]
	if s == nil || s.Protocol != api.RPCCBOR {
		rt.err = unknown("The service %.100s", parts[2])
		return rt
	}
	if rt.service, rt.op = s, s.Operations[parts[4]]; rt.op == nil {
		rt.err = unknown("The operation %.100s of %s", parts[4], s.ID)
		return rt
	}
	rt.to = toCBOR
	return rt
}

// otherXML are scope names whose services answer in XML though the request is no form.
var otherXML = map[string]bool{
	"sns": true, "cloudformation": true, "ec2": true, "rds": true, "elasticloadbalancing": true, "autoscaling": true,
	"elasticbeanstalk": true, "route53": true, "cloudfront": true,
}

func (d *Door) byScopeName(r *http.Request, scope string, rt route) route {
	s := d.byScope[scope]
	switch {
	case scope == "s3":
		return d.s3(rt)
	case s != nil:
		return d.unaddressed(r, s, rt)
	case isForm(r) || otherXML[scope]:
		rt.envelope = xmlEnvelope
	case r.URL.Path != "/":
		rt.envelope = restEnvelope
	}
	rt.err = unknown("The service %s", scope)
	return rt
}

// unaddressed routes to a service that was found without a target header.
func (d *Door) unaddressed(r *http.Request, s *api.Service, rt route) route {
	rt.service = s
	switch {
	case s.SpeaksQuery() && r.URL.Path == "/":
		rt.to, rt.envelope = toForm, xmlEnvelope
	case !rt.signed:
		rt.err = fault.New("MissingAuthenticationTokenException", "Missing Authentication Token")
	case s.Protocol == api.RESTJSON:
		if rt.op, rt.rest = s.Find(r.Method, r.URL); rt.op == nil {
			rt.err = unknown("%s %.100s of %s", r.Method, r.URL.Path, s.ID)
			return rt
		}
		rt.to = toREST
	default:
		rt.err = unknown("%s %.100s without an X-Amz-Target header, signed for %s,", r.Method, r.URL.Path, s.ID)
	}
	return rt
}

func (d *Door) s3(rt route) route {
	if rt.envelope = s3Envelope; d.S3 == nil {
		rt.err = unknown("S3")
		return rt
	}
	rt.to = toS3
	return rt
}

// byForm finds the query service of a request that names an Action, in the URL or in the
// form, but no scope; only unsigned requests and those signed in a way of old are like
// that, and all of them will be refused.
func (x *exchange) byForm() *api.Service {
	r := x.r
	var form url.Values
	switch {
	case r.URL.Path != "/":
		return nil
	case r.Method == http.MethodGet:
		form = r.URL.Query()
	case r.Method == http.MethodPost && isForm(r) && r.Body != nil:
		defer x.hurry()()
		// A form that does not fit is cut, which costs its last parameter.
		b, _ := io.ReadAll(io.LimitReader(r.Body, glanced))
		form, _ = url.ParseQuery(string(b))
	}
	if !form.Has("Action") {
		return nil
	}
	var found *api.Service
	for _, s := range x.Services {
		if s.SpeaksQuery() && (found == nil || form.Get("Version") == s.Version) {
			found = s
		}
	}
	return found
}

func isForm(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/x-www-form-urlencoded")
}

// claim gives the service name in the request's credential scope and whether the request
// claims any signature. It believes nothing: Authenticate verifies.
func claim(r *http.Request) (scope string, signed bool) {
	if a := r.Header.Get("Authorization"); a != "" {
		if !strings.HasPrefix(a, "AWS") {
			return "", false
		}
		_, credential, _ := strings.Cut(a, "Credential=")
		return scopeOf(credential), true
	}
	if r.URL.RawQuery == "" || !strings.Contains(r.URL.RawQuery, "A") {
		return "", false
	}
	q := r.URL.Query()
	if q.Has("X-Amz-Credential") || q.Has("X-Amz-Signature") || q.Has("X-Amz-Algorithm") {
		return scopeOf(q.Get("X-Amz-Credential")), true
	}
	if q.Has("AWSAccessKeyId") {
		return "s3", true // SigV2 URLs are only made for S3 (W-35)
	}
	return "", false
}

// scopeOf gives the fourth part of KEY/DAY/REGION/SERVICE/aws4_request.
func scopeOf(credential string) string {
	if i := strings.IndexAny(credential, ", "); i >= 0 {
		credential = credential[:i]
	}
	parts := strings.SplitN(credential, "/", 6)
	if len(parts) != 5 {
		return ""
	}
	return parts[3]
}

// hostLabels gives the labels of a host name, none for an address.
func hostLabels(host string) []string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.ContainsRune(host, ':') || net.ParseIP(host) != nil {
		return nil
	}
	return strings.Split(strings.ToLower(host), ".")
}

// unknown is the refusal of what this server does not offer (W-3, N-18).
func unknown(format string, args ...any) error {
	return fault.New("UnknownOperationException", format+" is not offered by this penstock server", args...)
}

// formOf reads the parameters of a query request.
func formOf(r *http.Request, body []byte) (url.Values, error) {
	if r.Method == http.MethodGet {
		return url.ParseQuery(r.URL.RawQuery)
	}
	return url.ParseQuery(string(body))
}
