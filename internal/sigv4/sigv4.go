// Package sigv4 verifies AWS request signatures: Signature Version 4 in the Authorization
// header, in the query of a presigned URL and over the chunks of a streaming body, the
// Version 2 query signature that older tools still make for S3, and the signature that
// CodeCommit's credential helper uses as a git password.
//
// The package is pure: it does no I/O except reading a body it was given, knows no keys
// and no clock. Parse reads which key a request claims; the caller finds the secret and
// calls Verify.
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const (
	algorithm   = "AWS4-HMAC-SHA256"
	terminator  = "aws4_request"
	stampLayout = "20060102T150405Z"
	emptyHash   = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	unsigned        = "UNSIGNED-PAYLOAD"
	streamUnsigned  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	streamSigned    = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamSignedTrl = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"

	maxAuthorization = 16 << 10
	maxSignedHeaders = 128
	// MaxExpires is the longest life of a presigned URL (W-34).
	MaxExpires = 604800 * time.Second
)

// Form is where a request carries its signature.
type Form int

// The forms of signature.
const (
	// HeaderForm: Authorization: AWS4-HMAC-SHA256 … (W-27).
	HeaderForm Form = iota + 1
	// QueryForm: a presigned URL with X-Amz-Signature (W-34).
	QueryForm
	// QueryV2Form: a presigned URL with AWSAccessKeyId, Signature and Expires (W-35).
	QueryV2Form
)

// Signature is what a request says about who signed it, when and how. It is a claim until
// Verify has returned nil.
type Signature struct {
	Form        Form
	AccessKeyID string
	// Token is the session token, from the header or the query; empty for long-lived keys.
	Token string
	// Day, Region and Service are the credential scope; QueryV2Form has none.
	Day, Region, Service string
	// Date is when the request was signed; for QueryV2Form it is zero.
	Date time.Time
	// Expires is the life of a presigned URL.
	Expires time.Duration

	dateText      string // as it stands in the string to sign
	signedHeaders string
	signature     []byte
	pairs         []pair
	deadline      time.Time // QueryV2Form

	key []byte // the signing key, once verified
}

// Options are what the server knows about a request it verifies.
type Options struct {
	// Service is the credential scope name that the request must have.
	Service string
	// Now is the server's clock.
	Now time.Time
	// Skew is how far the client's clock may be off (W-30).
	Skew time.Duration
	// Body is the whole body; unused for S3, where the hash is a claim that Body checks.
	Body []byte
	// Bucket is the bucket that the Host names (virtual-host style); only SigV2 needs it,
	// because its signature does not cover the Host.
	Bucket string
	// Key is what Signature.Key gave for a request with the same secret, day, Region and
	// service, to save deriving it; nil derives it.
	Key []byte
}

// Parse finds the signature of a request. It returns a *Failure: NoCredentials when there
// is none, Malformed, MalformedQuery or Unsupported when it cannot be read. It does not
// touch the body.
func Parse(r *http.Request) (*Signature, error) {
	auth := r.Header.Values("Authorization")
	var query Form
	if q := r.URL.RawQuery; q != "" {
		switch {
		case hasParameter(q, "X-Amz-Signature") || hasParameter(q, "X-Amz-Algorithm"):
			query = QueryForm
		case hasParameter(q, "AWSAccessKeyId"):
			query = QueryV2Form
		}
	}
	switch {
	case len(auth) == 0 && query == 0:
		return nil, &Failure{Kind: NoCredentials}
	case len(auth) > 1 || len(auth) == 1 && query != 0:
		return nil, &Failure{Kind: Malformed, Detail: "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified"}
	}
	var pairs []pair
	if r.URL.RawQuery != "" {
		var err error
		if pairs, err = queryPairs(r.URL.RawQuery); err != nil {
			return nil, &Failure{Kind: MalformedQuery, Detail: "The query string cannot be read: " + err.Error()}
		}
	}
	switch {
	case len(auth) == 1:
		return parseHeader(r, auth[0], pairs)
	case query == QueryForm:
		return parseQuery(pairs)
	}
	return parseV2(r, pairs)
}

// hasParameter says whether a query gives this parameter a value, its name written as it is.
func hasParameter(query, name string) bool {
	return strings.HasPrefix(query, name+"=") || strings.Contains(query, "&"+name+"=")
}

func parseHeader(r *http.Request, text string, pairs []pair) (*Signature, error) {
	if len(text) > maxAuthorization {
		return nil, &Failure{Kind: Malformed, Detail: "Authorization header is too long"}
	}
	scheme, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
	if scheme != algorithm {
		if scheme == "AWS" || strings.HasPrefix(scheme, "AWS4-") {
			return nil, &Failure{Kind: Unsupported}
		}
		return nil, &Failure{Kind: Malformed, Detail: "Authorization header must begin with 'AWS4-HMAC-SHA256'."}
	}
	var credential, signed, signature string
	for part := range strings.SplitSeq(rest, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, &Failure{Kind: Malformed, Detail: "A part of the Authorization header is not a valid key=value pair (missing equal-sign)."}
		}
		var to *string
		switch name {
		case "Credential":
			to = &credential
		case "SignedHeaders":
			to = &signed
		case "Signature":
			to = &signature
		default:
			continue
		}
		if *to != "" {
			return nil, &Failure{Kind: Malformed, Detail: "Authorization header has the '" + name + "' parameter twice."}
		}
		*to = value
	}
	date := r.Header.Get("X-Amz-Date")
	if date == "" {
		date = r.Header.Get("Date")
	}
	// W-32: each missing part is listed.
	var missing []string
	for _, p := range []struct{ name, value string }{{"Credential", credential}, {"Signature", signature}, {"SignedHeaders", signed}} {
		if p.value == "" {
			missing = append(missing, "Authorization header requires '"+p.name+"' parameter.")
		}
	}
	if date == "" {
		missing = append(missing, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
	}
	if len(missing) > 0 {
		return nil, &Failure{Kind: Malformed, Detail: strings.Join(missing, " ")}
	}
	s := &Signature{Form: HeaderForm, Token: r.Header.Get("X-Amz-Security-Token"), pairs: pairs}
	if err := s.fill(credential, date, signed, signature); err != "" {
		return nil, &Failure{Kind: Malformed, Detail: err}
	}
	return s, nil
}

// fill parses the parts that both v4 forms share; it returns what is wrong, or "".
func (s *Signature) fill(credential, date, signed, signature string) string {
	// An access key id never has a slash, so the scope is everything after the first.
	parts := strings.Split(credential, "/")
	if len(parts) != 5 || parts[0] == "" {
		return "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term."
	}
	if parts[4] != terminator {
		return "Credential should be scoped with a valid terminator: 'aws4_request'."
	}
	s.AccessKeyID, s.Day, s.Region, s.Service = parts[0], parts[1], parts[2], parts[3]
	t, err := time.Parse(stampLayout, date)
	if err != nil {
		if t, err = http.ParseTime(date); err != nil {
			return "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601"
		}
		t = t.UTC()
	}
	s.Date, s.dateText = t, stamp(t)
	if s.signature, err = hex.DecodeString(signature); err != nil || len(s.signature) != sha256.Size {
		return "Signature must be 64 hexadecimal digits."
	}
	s.signedHeaders = signed
	n := 0
	seen := make(map[string]bool)
	for name := range strings.SplitSeq(signed, ";") {
		if n++; n > maxSignedHeaders || name == "" || seen[name] || name != strings.ToLower(name) || strings.ContainsAny(name, ": \n\r") {
			return "SignedHeaders must be a list of at most 128 different lower-case header names."
		}
		seen[name] = true
	}
	return ""
}

func parseQuery(pairs []pair) (*Signature, error) {
	v := make(map[string]string)
	for _, p := range pairs {
		if !strings.HasPrefix(p.name, "X-Amz-") {
			continue
		}
		if _, ok := v[p.name]; ok {
			return nil, &Failure{Kind: MalformedQuery, Detail: "Query-string parameter " + p.name + " is given twice"}
		}
		v[p.name] = p.value
	}
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Expires"} {
		if v[name] == "" {
			return nil, &Failure{Kind: MalformedQuery, Detail: "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."}
		}
	}
	if v["X-Amz-Algorithm"] != algorithm {
		return nil, &Failure{Kind: MalformedQuery, Detail: `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`}
	}
	expires, ok := seconds(v["X-Amz-Expires"])
	switch {
	case !ok:
		return nil, &Failure{Kind: MalformedQuery, Detail: "X-Amz-Expires should be a number"}
	case expires > MaxExpires:
		return nil, &Failure{Kind: MalformedQuery, Detail: "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"}
	case expires < 0:
		return nil, &Failure{Kind: MalformedQuery, Detail: "X-Amz-Expires must be non-negative"}
	}
	s := &Signature{Form: QueryForm, Token: v["X-Amz-Security-Token"], Expires: expires, pairs: pairs}
	if err := s.fill(v["X-Amz-Credential"], v["X-Amz-Date"], v["X-Amz-SignedHeaders"], v["X-Amz-Signature"]); err != "" {
		return nil, &Failure{Kind: MalformedQuery, Detail: err}
	}
	return s, nil
}

// seconds reads a whole number of seconds that fits any date.
func seconds(text string) (time.Duration, bool) {
	neg := strings.HasPrefix(text, "-")
	digits := strings.TrimPrefix(text, "-")
	if digits == "" || len(digits) > 9 {
		// Nine digits are more than thirty years, far above every limit.
		if digits != "" && strings.Trim(digits, "0123456789") == "" {
			if neg {
				return -1, true
			}
			return MaxExpires + 1, true
		}
		return 0, false
	}
	n := 0
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	if neg {
		n = -n
	}
	return time.Duration(n) * time.Second, true
}

// Verify checks that the request was signed with the secret, for the service, at an
// acceptable time. It returns nil or a *Failure and does not touch the request's body:
// for S3 the body must then be read through Body.
func (s *Signature) Verify(r *http.Request, secret string, o Options) error {
	if s.Form == QueryV2Form {
		return s.verifyV2(r, secret, o)
	}
	if err := s.check(o); err != nil {
		return err
	}
	hash, err := s.payloadHash(r, o)
	if err != nil {
		return err
	}
	return s.prove(r, secret, o, hash)
}

// Plausible says what is wrong with a signature before the body is there: everything that Verify
// would, if the request tells the hash of its body, and otherwise all but the signature itself.
// It returns nil or a *Failure. Verify is still to be called.
func (s *Signature) Plausible(r *http.Request, secret string, o Options) error {
	if s.Form == QueryV2Form {
		return s.verifyV2(r, secret, o)
	}
	if err := s.check(o); err != nil {
		return err
	}
	claim := r.Header.Get("X-Amz-Content-Sha256")
	if b, err := hex.DecodeString(claim); err != nil || len(b) != sha256.Size || !s.signs("x-amz-content-sha256") {
		return s.checkHeaders(r, o.Service)
	}
	return s.prove(r, secret, o, claim)
}

// check looks at what needs no secret.
func (s *Signature) check(o Options) error {
	if err := s.checkScope(o); err != nil {
		return err
	}
	return s.checkTime(o)
}

// prove compares the signature with that of the secret over a body with this hash.
func (s *Signature) prove(r *http.Request, secret string, o Options, hash string) error {
	canonical, err := s.canonical(r, o.Service, hash)
	if err != nil {
		return err
	}
	key := o.Key
	if key == nil {
		key = SigningKey(secret, s.Day, s.Region, s.Service)
	}
	sum := sha256.Sum256(canonical)
	text := algorithm + "\n" + s.dateText + "\n" + s.scope() + "\n" + hex.EncodeToString(sum[:])
	if !hmac.Equal(mac(key, text), s.signature) {
		return &Failure{Kind: BadSignature}
	}
	s.key = key
	return s.checkHeaders(r, o.Service)
}

// checkHeaders refuses what was added to a request without being signed: to S3 any x-amz-
// header, of which one makes a copy of an upload, and elsewhere the name of the operation.
// The hash of a body is bound by the signature in any case, or ignored.
func (s *Signature) checkHeaders(r *http.Request, service string) error {
	for name := range r.Header {
		low := strings.ToLower(name)
		if (service == "s3" && strings.HasPrefix(low, "x-amz-") && low != "x-amz-content-sha256" || low == "x-amz-target") && !s.signs(low) {
			return &Failure{Kind: UnsignedHeader, Detail: printable(name)}
		}
	}
	return nil
}

// Key gives the signing key of a verified signature; nil if there is none, as in QueryV2Form.
// It is as secret as the secret it comes from, for one day.
func (s *Signature) Key() []byte { return s.key }

func (s *Signature) checkScope(o Options) error {
	if s.Service != o.Service {
		return &Failure{Kind: WrongService, Detail: o.Service}
	}
	if !ValidRegion(s.Region) {
		// The name is echoed, so only harmless characters of it are.
		return &Failure{Kind: WrongRegion, Detail: printable(s.Region)}
	}
	// W-27: the day of the timestamp is the day of the scope.
	if s.Day != s.dateText[:8] {
		return &Failure{Kind: BadSignature, Detail: "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
			printable(s.Day) + "' != '" + s.dateText[:8] + "', from '" + s.dateText + "'."}
	}
	// W-29.
	if !s.signs("host") {
		return &Failure{Kind: BadSignature, Detail: "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	return nil
}

func (s *Signature) checkTime(o Options) error {
	if s.Date.After(o.Now.Add(o.Skew)) {
		return &Failure{Kind: TooNew, Date: s.Date, Now: o.Now, Skew: o.Skew}
	}
	if s.Form == QueryForm {
		if o.Now.After(s.Date.Add(s.Expires)) {
			return &Failure{Kind: ExpiredURL}
		}
		return nil
	}
	if s.Date.Before(o.Now.Add(-o.Skew)) {
		return &Failure{Kind: TooOld, Date: s.Date, Now: o.Now, Skew: o.Skew}
	}
	return nil
}

// signs reports whether a header is in the signed list.
func (s *Signature) signs(name string) bool {
	for n := range strings.SplitSeq(s.signedHeaders, ";") {
		if n == name {
			return true
		}
	}
	return false
}

// payloadHash gives the last line of the canonical request (W-28).
func (s *Signature) payloadHash(r *http.Request, o Options) (string, error) {
	if o.Service != "s3" {
		if len(o.Body) == 0 {
			return emptyHash, nil
		}
		sum := sha256.Sum256(o.Body)
		return hex.EncodeToString(sum[:]), nil
	}
	return s.claimedHash(r)
}

// claimedHash gives the payload hash an S3 request claims, if it has a known form (N-4).
func (s *Signature) claimedHash(r *http.Request) (string, error) {
	claim := r.Header.Get("X-Amz-Content-Sha256")
	if s.Form == QueryForm && !s.signs("x-amz-content-sha256") {
		// W-34. A header that only the user of the URL added was not there when it was
		// signed.
		claim = unsigned
		for _, p := range s.pairs {
			if p.name == "X-Amz-Content-Sha256" {
				claim = p.value
			}
		}
	}
	if s.Form == QueryV2Form {
		claim = unsigned
	}
	switch claim {
	case unsigned, streamUnsigned, streamSigned, streamSignedTrl:
		return claim, nil
	}
	if b, err := hex.DecodeString(claim); err != nil || len(b) != sha256.Size {
		return "", &Failure{Kind: BadContentHash}
	}
	return claim, nil
}

// canonical builds the canonical request (W-28).
func (s *Signature) canonical(r *http.Request, service, hash string) ([]byte, error) {
	uri, err := canonicalURI(r, service)
	if err != nil {
		return nil, &Failure{Kind: BadSignature}
	}
	b := make([]byte, 0, 1024)
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = append(b, uri...)
	b = append(b, '\n')
	b = append(b, canonicalQuery(s.pairs, s.Form == QueryForm)...)
	b = append(b, '\n')
	for name := range strings.SplitSeq(s.signedHeaders, ";") {
		b = appendHeader(b, r, name)
	}
	b = append(b, '\n')
	b = append(b, s.signedHeaders...)
	b = append(b, '\n')
	return append(b, hash...), nil
}

func (s *Signature) scope() string {
	return s.Day + "/" + s.Region + "/" + s.Service + "/" + terminator
}

// SigningKey derives the key of one day, Region and service from a secret (W-28).
func SigningKey(secret, day, region, service string) []byte {
	return mac(mac(mac(mac([]byte("AWS4"+secret), day), region), service), terminator)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// ValidRegion reports whether a name can be a Region: any short name of lower-case
// letters, digits and hyphens is one, in its own namespace (W-31).
func ValidRegion(name string) bool {
	if name == "" || len(name) > 64 || name[0] == '-' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// printable cuts a text from outside down to what may stand in a message.
func printable(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strings.Map(func(c rune) rune {
		if c < 0x20 || c > 0x7e || c == '<' || c == '>' {
			return '?'
		}
		return c
	}, s)
}
