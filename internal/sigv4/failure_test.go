package sigv4_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"penstock/internal/sigv4"
)

// W-27, W-32: what cannot be read, and how each protocol family says so.
func TestMalformed(t *testing.T) {
	t.Parallel()
	const cred = "Credential=AKIA/20260921/us-east-1/codepipeline/aws4_request"
	sig := "Signature=" + strings.Repeat("a", 64)
	for _, c := range []struct{ name, auth, want string }{
		{"nothing", "AWS4-HMAC-SHA256", "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."},
		{"signature", "AWS4-HMAC-SHA256 " + cred + ", SignedHeaders=host", "Authorization header requires 'Signature' parameter."},
		{"other scheme", "Bearer x", "must begin with 'AWS4-HMAC-SHA256'"},
		{"no equal sign", "AWS4-HMAC-SHA256 Credential", "not a valid key=value pair"},
		{"twice", "AWS4-HMAC-SHA256 " + cred + "," + cred, "twice"},
		{"scope", "AWS4-HMAC-SHA256 Credential=AKIA/20260921/us-east-1, SignedHeaders=host, " + sig, "exactly 5 slash-delimited"},
		{"terminator", "AWS4-HMAC-SHA256 Credential=AKIA/20260921/us-east-1/s3/aws5_request, SignedHeaders=host, " + sig, "valid terminator"},
		{"short signature", "AWS4-HMAC-SHA256 " + cred + ", SignedHeaders=host, Signature=abcd", "64 hexadecimal"},
		{"doubled header", "AWS4-HMAC-SHA256 " + cred + ", SignedHeaders=host;host, " + sig, "SignedHeaders"},
		{"upper-case header", "AWS4-HMAC-SHA256 " + cred + ", SignedHeaders=Host, " + sig, "SignedHeaders"},
		{"huge", "AWS4-HMAC-SHA256 " + strings.Repeat("x", 20000), "too long"},
	} {
		r := request(t, "POST", "http://127.0.0.1/", "", "Authorization", c.auth, "X-Amz-Date", "20260921T133320Z")
		_, err := sigv4.Parse(r)
		wantKind(t, c.name, err, sigv4.Malformed)
		f := err.(*sigv4.Failure)
		if a := f.Answer(sigv4.JSON); a.Status != 400 || a.Code != "IncompleteSignatureException" || !strings.Contains(a.Message, c.want) {
			t.Errorf("%s: %+v", c.name, a)
		}
		if a := f.Answer(sigv4.Query); a.Status != 400 || a.Code != "IncompleteSignature" {
			t.Errorf("%s: %+v", c.name, a)
		}
		if a := f.Answer(sigv4.S3); a.Status != 400 || a.Code != "AuthorizationHeaderMalformed" {
			t.Errorf("%s: %+v", c.name, a)
		}
	}
	r := request(t, "POST", "http://127.0.0.1/", "", "Authorization", "AWS4-HMAC-SHA256 "+cred+", SignedHeaders=host, "+sig)
	_, err := sigv4.Parse(r)
	wantKind(t, "no date", err, sigv4.Malformed)
	if !strings.Contains(err.Error(), "'X-Amz-Date' or a 'Date' header") {
		t.Error(err)
	}
	_, err = sigv4.Parse(request(t, "GET", "http://127.0.0.1/b/k", "", "Authorization", "AWS AKIA:sig"))
	wantKind(t, "SigV2 header", err, sigv4.Unsupported)
	_, err = sigv4.Parse(request(t, "GET", "http://127.0.0.1/b/k?X-Amz-Signature=a", "", "Authorization", "AWS4-HMAC-SHA256 x"))
	wantKind(t, "both forms", err, sigv4.Malformed)
	_, err = sigv4.Parse(request(t, "POST", "http://127.0.0.1/", "{}"))
	wantKind(t, "W-33", err, sigv4.NoCredentials)
}

// W-34: presigned URLs whose parameters are wrong.
func TestMalformedQuery(t *testing.T) {
	t.Parallel()
	good := "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260921%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260921T133320Z" +
		"&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=" + strings.Repeat("a", 64)
	if _, err := sigv4.Parse(request(t, "GET", "http://h/b/k?"+good, "")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ from, to string }{
		{"X-Amz-Expires=600", "X-Amz-Expires=604801"},
		{"X-Amz-Expires=600", "X-Amz-Expires=-1"},
		{"X-Amz-Expires=600", "X-Amz-Expires=1e3"},
		{"X-Amz-Expires=600", "X-Amz-Expires=99999999999999999999"},
		{"X-Amz-Expires=600", "X-Amz-Expires=600&X-Amz-Expires=700"},
		{"&X-Amz-Expires=600", ""},
		{"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1"},
		{"X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders="},
		{"X-Amz-Date=20260921T133320Z", "X-Amz-Date=yesterday"},
		{"X-Amz-Date=", "%zz=1&X-Amz-Date="},
		{"X-Amz-Date=", strings.Repeat("a&", 2000) + "X-Amz-Date="},
	} {
		_, err := sigv4.Parse(request(t, "GET", "http://h/b/k?"+strings.Replace(good, c.from, c.to, 1), ""))
		wantKind(t, c.to, err, sigv4.MalformedQuery)
		if f, ok := err.(*sigv4.Failure); ok {
			if a := f.Answer(sigv4.S3); a.Code != "AuthorizationQueryParametersError" || a.Status != 400 {
				t.Errorf("%+v", a)
			}
		}
	}
	for _, q := range []string{"AWSAccessKeyId=A", "AWSAccessKeyId=A&Signature=x&Expires=1", "AWSAccessKeyId=A&Signature=YQ%3D%3D&Expires=soon", "AWSAccessKeyId=A&Signature=YQ%3D%3D&Expires=99999999999999999"} {
		_, err := sigv4.Parse(request(t, "GET", "http://h/b/k?"+q, ""))
		wantKind(t, q, err, sigv4.MalformedQuery)
	}
}

// W-27, W-29, W-30, W-31: scope, time and host, each with the exact text of W-32.
func TestRefused(t *testing.T) {
	t.Parallel()
	now := time.Date(2018, 7, 10, 7, 17, 14, 0, time.UTC)
	for _, c := range []struct {
		name   string
		signed time.Time
		change func(*http.Request)
		as     string
		region string
		kind   sigv4.Kind
		want   string
	}{
		{"old", time.Date(2018, 7, 7, 23, 30, 21, 0, time.UTC), nil, "codepipeline", "us-east-1", sigv4.TooOld,
			"Signature expired: 20180707T233021Z is now earlier than 20180710T071214Z (20180710T071714Z - 5 min.)"},
		{"future", now.Add(time.Hour), nil, "codepipeline", "us-east-1", sigv4.TooNew,
			"Signature not yet current: 20180710T081714Z is still later than 20180710T072214Z (20180710T071714Z + 5 min.)"},
		{"service", now, nil, "codebuild", "us-east-1", sigv4.WrongService, "Credential should be scoped to correct service: 'codepipeline'."},
		{"region", now, nil, "codepipeline", "US EAST", sigv4.WrongRegion, "Credential should be scoped to a valid region, not 'US EAST'."},
		{"day", now, func(r *http.Request) { r.Header.Set("X-Amz-Date", "20180711T071714Z") }, "codepipeline", "us-east-1", sigv4.BadSignature,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20180710' != '20180711', from '20180711T071714Z'."},
		{"host", now, func(r *http.Request) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", strings.Replace(a, "host;", "", 1))
		}, "codepipeline", "us-east-1", sigv4.BadSignature, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."},
	} {
		r := request(t, "POST", "http://127.0.0.1/", "{}")
		sign(t, r, c.as, c.region, hashOf("{}"), c.signed)
		if c.change != nil {
			c.change(r)
		}
		err := verify(r, "codepipeline", "{}", now)
		wantKind(t, c.name, err, c.kind)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// W-30: four minutes are fine for every family, ten only where 15 are allowed.
	for service, ok := range map[string]bool{"codepipeline": false, "sts": true, "s3": true} {
		for _, off := range []time.Duration{-10 * time.Minute, -4 * time.Minute, 4 * time.Minute, 10 * time.Minute} {
			r := request(t, "POST", "http://127.0.0.1/", "", "X-Amz-Content-Sha256", hashOf(""))
			sign(t, r, service, "us-east-1", hashOf(""), now.Add(off))
			if err := verify(r, service, "", now); (err == nil) != (ok || off.Abs() < 5*time.Minute) {
				t.Errorf("%s %v: %v", service, off, err)
			}
		}
	}
}

// W-29: what somebody else adds to a request, or to a URL that was given to them, does not
// count as said by who signed it.
func TestUnsignedHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		service, header string
		presigned, ok   bool
	}{
		{"s3", "X-Amz-Copy-Source", false, false}, {"s3", "X-Amz-Copy-Source", true, false}, {"s3", "X-Amz-Acl", true, false}, {"s3", "X-Amz-Meta-A", true, false},
		{"s3", "X-Amz-Content-Sha256", true, true}, {"s3", "Range", true, true}, {"s3", "X-Amzn-Trace-Id", false, true},
		{"codepipeline", "X-Amz-Target", false, false}, {"codepipeline", "X-Amz-Target", true, false}, {"codepipeline", "X-Amz-User-Agent", false, true},
	} {
		r := request(t, "PUT", "http://127.0.0.1/b/k", "")
		if c.presigned {
			r.URL.RawQuery = "X-Amz-Expires=60"
			target, _, err := v4.NewSigner().PresignHTTP(t.Context(), aws.Credentials{AccessKeyID: keyID, SecretAccessKey: secret}, r,
				map[bool]string{true: "UNSIGNED-PAYLOAD", false: hashOf("")}[c.service == "s3"], c.service, "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = c.service == "s3" })
			if err != nil {
				t.Fatal(err)
			}
			r = request(t, "PUT", target, "")
		} else {
			r.Header.Set("X-Amz-Content-Sha256", hashOf(""))
			sign(t, r, c.service, "us-east-1", hashOf(""), at)
		}
		if err := verify(r, c.service, "", at); err != nil {
			t.Fatalf("%+v: before: %v", c, err)
		}
		r.Header.Set(c.header, "x")
		if c.header == "X-Amz-Content-Sha256" {
			r.Header.Set(c.header, hashOf(""))
		}
		err := verify(r, c.service, "", at)
		if c.ok {
			if err != nil {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		wantKind(t, c.header, err, sigv4.UnsignedHeader)
		f, _ := err.(*sigv4.Failure)
		if a := f.Answer(sigv4.S3); a != (sigv4.Answer{Status: 403, Code: "AccessDenied", Message: "There were headers present in the request which were not signed"}) {
			t.Errorf("%+v", a)
		}
		if a := f.Answer(sigv4.JSON); a.Code != "InvalidSignatureException" || c.service != "s3" && a.Message != "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization." {
			t.Errorf("%+v", a)
		}
	}
}

// W-32: the table, cell by cell.
func TestAnswers(t *testing.T) {
	t.Parallel()
	cell := func(status int, code string) sigv4.Answer { return sigv4.Answer{Status: status, Code: code} }
	for _, c := range []struct {
		kind            sigv4.Kind
		json, query, s3 sigv4.Answer
	}{
		{sigv4.NoCredentials, cell(400, "MissingAuthenticationTokenException"), cell(403, "MissingAuthenticationToken"), cell(403, "AccessDenied")},
		{sigv4.Malformed, cell(400, "IncompleteSignatureException"), cell(400, "IncompleteSignature"), cell(400, "AuthorizationHeaderMalformed")},
		{sigv4.UnknownKey, cell(400, "UnrecognizedClientException"), cell(403, "InvalidClientTokenId"), cell(403, "InvalidAccessKeyId")},
		{sigv4.BadSignature, cell(400, "InvalidSignatureException"), cell(403, "SignatureDoesNotMatch"), cell(403, "SignatureDoesNotMatch")},
		{sigv4.TooOld, cell(400, "InvalidSignatureException"), cell(403, "SignatureDoesNotMatch"), cell(403, "RequestTimeTooSkewed")},
		{sigv4.TooNew, cell(400, "InvalidSignatureException"), cell(403, "SignatureDoesNotMatch"), cell(403, "RequestTimeTooSkewed")},
		{sigv4.WrongService, cell(400, "InvalidSignatureException"), cell(403, "SignatureDoesNotMatch"), cell(400, "AuthorizationHeaderMalformed")},
		{sigv4.WrongRegion, cell(400, "InvalidSignatureException"), cell(403, "SignatureDoesNotMatch"), cell(400, "AuthorizationHeaderMalformed")},
		{sigv4.ExpiredSession, cell(400, "ExpiredTokenException"), cell(403, "ExpiredToken"), cell(400, "ExpiredToken")},
		{sigv4.ExpiredURL, cell(400, "InvalidSignatureException"), cell(403, "SignatureDoesNotMatch"), cell(403, "AccessDenied")},
	} {
		f := &sigv4.Failure{Kind: c.kind, Skew: 15 * time.Minute}
		for fam, want := range map[sigv4.Family]sigv4.Answer{sigv4.JSON: c.json, sigv4.Query: c.query, sigv4.S3: c.s3} {
			got := f.Answer(fam)
			if got.Status != want.Status || got.Code != want.Code {
				t.Errorf("kind %d family %d: %+v, want %+v", c.kind, fam, got, want)
			}
		}
	}
	for kind, want := range map[sigv4.Kind]string{
		sigv4.NoCredentials:  "Missing Authentication Token",
		sigv4.UnknownKey:     "The security token included in the request is invalid.",
		sigv4.ExpiredSession: "The security token included in the request is expired",
		sigv4.BadSignature:   "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
	} {
		if got := (&sigv4.Failure{Kind: kind}).Answer(sigv4.JSON).Message; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	old := &sigv4.Failure{Kind: sigv4.TooOld, Date: at, Now: at.Add(time.Hour), Skew: 15 * time.Minute}
	if m := old.Answer(sigv4.Query).Message; !strings.HasSuffix(m, "- 15 min.)") {
		t.Error(m)
	}
}

// FuzzAuthorization: no header crashes the parser, and none is accepted without the secret.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AKIA/20260921/us-east-1/s3/aws4_request, SignedHeaders=host, Signature="+strings.Repeat("a", 64), "20260921T133320Z")
	f.Add("AWS4-HMAC-SHA256 Credential=,SignedHeaders=;;,Signature==", "")
	f.Add("AWS AKIA:x", "Mon, 21 Sep 2026 13:33:20 GMT")
	f.Fuzz(func(t *testing.T, auth, date string) {
		r := &http.Request{Method: "POST", Host: "h", URL: request(t, "POST", "http://h/a/b", "").URL, Header: http.Header{"Authorization": {auth}, "X-Amz-Date": {date}}}
		if err := verify(r, "codepipeline", "", at); err == nil {
			t.Fatalf("accepted %q", auth)
		} else if _, ok := err.(*sigv4.Failure); !ok {
			t.Fatalf("not a failure: %v", err)
		}
	})
}

// FuzzPresigned: the same for the query forms.
func FuzzPresigned(f *testing.F) {
	f.Add("X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260921%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20260921T133320Z&X-Amz-Expires=600&X-Amz-SignedHeaders=host&X-Amz-Signature=" + strings.Repeat("a", 64))
	f.Add("AWSAccessKeyId=A&Signature=YQ%3D%3D&Expires=1790000000&x-amz-security-token=t")
	f.Add("X-Amz-Signature=%&&=&+=%zz")
	f.Fuzz(func(t *testing.T, query string) {
		r := request(t, "GET", "http://h/b/k", "")
		r.URL.RawQuery = query
		if err := verify(r, "s3", "", at); err == nil {
			t.Fatalf("accepted %q", query)
		} else if _, ok := err.(*sigv4.Failure); !ok {
			t.Fatalf("not a failure: %v", err)
		}
	})
}

// Before the body is there, everything is said that can be: without the hash of the body all but
// the signature itself, with it that too.
func TestPlausible(t *testing.T) {
	t.Parallel()
	const body = `{"Code":{}}`
	for name, c := range map[string]struct {
		declared, signed string
		when             time.Time
		spoil            func(r *http.Request)
		want             sigv4.Kind
	}{
		"without a hash":               {signed: hashOf(body)},
		"without a hash, of a guesser": {signed: hashOf("guess")}, // Verify says so
		"with a hash":                  {declared: hashOf(body), signed: hashOf(body)},
		"with a hash, of a guesser":    {declared: hashOf(body), signed: hashOf("guess"), want: sigv4.BadSignature},
		"with no hash for a hash":      {declared: "UNSIGNED-PAYLOAD", signed: hashOf(body)},
		"a hash that was put in":       {signed: hashOf(body), spoil: func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf("x")) }},
		"too old":                      {signed: hashOf(body), when: at.Add(-time.Hour), want: sigv4.TooOld},
		"for another service":          {signed: hashOf(body), spoil: func(r *http.Request) { service(r, "iam") }, want: sigv4.WrongService},
		"an operation that was put in": {signed: hashOf(body), spoil: func(r *http.Request) { r.Header.Set("X-Amz-Target", "X.Y") }, want: sigv4.UnsignedHeader},
	} {
		r := request(t, "POST", "http://127.0.0.1/2015-03-31/functions", body)
		if c.declared != "" {
			r.Header.Set("X-Amz-Content-Sha256", c.declared)
		}
		if c.when.IsZero() {
			c.when = at
		}
		sign(t, r, "lambda", "us-east-1", c.signed, c.when)
		if c.spoil != nil {
			c.spoil(r)
		}
		s, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Plausible(r, secret, sigv4.Options{Service: "lambda", Now: at, Skew: sigv4.JSON.Skew()})
		if c.want == 0 && err != nil {
			t.Errorf("%s: %v", name, err)
		} else if c.want != 0 {
			wantKind(t, name, err, c.want)
		}
	}
}

// service writes another service into the credential scope.
func service(r *http.Request, name string) {
	r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "/lambda/", "/"+name+"/", 1))
}
