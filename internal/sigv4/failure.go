package sigv4

import (
	"fmt"
	"strings"
	"time"
)

// Kind is what is wrong with the credentials of a request. The same kind is spelled
// differently in each protocol family (W-32).
type Kind int

// The kinds of failure, in the order in which they are looked for.
const (
	// NoCredentials: the request is not signed at all (W-33).
	NoCredentials Kind = iota + 1
	// Malformed: the Authorization header cannot be read; Detail lists each fault.
	Malformed
	// MalformedQuery: the query parameters of a presigned URL cannot be read; Detail says why.
	MalformedQuery
	// Unsupported: a way of signing that is not spoken here, such as SigV2 headers.
	Unsupported
	// UnknownKey: no such access key, or a session token that does not belong to it.
	UnknownKey
	// BadSignature: the signature is not the one we calculate; Detail may say more.
	BadSignature
	// TooOld: signed longer ago than the accepted skew (W-30).
	TooOld
	// TooNew: signed further in the future than the accepted skew (W-30).
	TooNew
	// WrongService: the credential scope names another service; Detail is the right one.
	WrongService
	// WrongRegion: the credential scope names no possible Region; Detail is the named one.
	WrongRegion
	// ExpiredSession: a session token after its end.
	ExpiredSession
	// ExpiredURL: a presigned URL after its end (W-34).
	ExpiredURL
	// BadContentHash: x-amz-content-sha256 is absent or has no known form.
	BadContentHash
	// HashMismatch: the body is not the one whose hash was signed.
	HashMismatch
	// NoLength: a streaming body without x-amz-decoded-content-length.
	NoLength
	// BadChunk: the framing of a streaming body is broken or its length is not the declared one.
	BadChunk
	// UnsignedHeader: a header that changes what the request means is not in SignedHeaders; Detail
	// is its name (W-29).
	UnsignedHeader
	// BadTrailer: the trailer of a streaming body is broken, undeclared or missing.
	BadTrailer
)

// Failure is a refusal of a request's credentials or of its signed body. It carries no
// secret and no signature, so it may be logged.
type Failure struct {
	Kind   Kind
	Detail string
	// Date is the time the request says it was signed, Now the server's, Skew what may
	// lie between them; set for TooOld and TooNew.
	Date, Now time.Time
	Skew      time.Duration
}

// Error describes the failure as a JSON service would.
func (f *Failure) Error() string { return f.Answer(JSON).Message }

// Family is a group of protocols that spell failures alike.
type Family int

// The protocol families of W-32.
const (
	// JSON: the awsJson protocols.
	JSON Family = iota
	// Query: STS, IAM, SNS and CloudFormation.
	Query
	// S3: rest-xml with S3's own codes.
	S3
)

// FamilyOf gives the family of the service with this credential scope name.
func FamilyOf(service string) Family {
	switch service {
	case "s3":
		return S3
	case "sts", "iam", "sns", "cloudformation":
		return Query
	}
	return JSON
}

// Skew is how far a client's clock may be off in this family (W-30).
func (f Family) Skew() time.Duration {
	if f == JSON {
		return 5 * time.Minute
	}
	return 15 * time.Minute
}

// Answer is a failure as one protocol family spells it.
type Answer struct {
	Status        int
	Code, Message string
}

const (
	mismatchText = "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	mismatchTextS3 = "The request signature we calculated does not match the signature you provided. " +
		"Check your key and signing method."
	badHashText = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, " +
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, or a valid sha256 value."
)

// Answer spells the failure for a protocol family: the table of W-32.
func (f *Failure) Answer(fam Family) Answer {
	switch fam {
	case S3:
		return f.s3()
	case Query:
		a := f.json()
		a.Status = 403
		switch f.Kind {
		case NoCredentials:
			return Answer{403, "MissingAuthenticationToken", "Request is missing Authentication Token"}
		case Malformed, MalformedQuery, Unsupported:
			a.Status, a.Code = 400, "IncompleteSignature"
		case UnknownKey:
			a.Code = "InvalidClientTokenId"
		case ExpiredSession:
			a.Code = "ExpiredToken"
		default:
			a.Code = "SignatureDoesNotMatch"
		}
		return a
	}
	return f.json()
}

func (f *Failure) json() Answer {
	invalid := func(m string) Answer { return Answer{400, "InvalidSignatureException", m} }
	switch f.Kind {
	case NoCredentials:
		return Answer{400, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	case Malformed, MalformedQuery:
		return Answer{400, "IncompleteSignatureException", f.Detail}
	case Unsupported:
		return Answer{400, "IncompleteSignatureException", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."}
	case UnknownKey:
		return Answer{400, "UnrecognizedClientException", "The security token included in the request is invalid."}
	case TooOld:
		return invalid(fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %s)",
			stamp(f.Date), stamp(f.Now.Add(-f.Skew)), stamp(f.Now), minutes(f.Skew)))
	case TooNew:
		return invalid(fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %s)",
			stamp(f.Date), stamp(f.Now.Add(f.Skew)), stamp(f.Now), minutes(f.Skew)))
	case WrongService:
		return invalid(fmt.Sprintf("Credential should be scoped to correct service: '%s'.", f.Detail))
	case WrongRegion:
		return invalid(fmt.Sprintf("Credential should be scoped to a valid region, not '%s'.", f.Detail))
	case ExpiredSession:
		return Answer{400, "ExpiredTokenException", "The security token included in the request is expired"}
	case UnsignedHeader:
		return invalid("'" + f.Detail + "' must be a 'SignedHeader' in the AWS Authorization.")
	case ExpiredURL:
		return invalid("Signature expired: the presigned request is past its X-Amz-Expires.")
	}
	if f.Detail != "" {
		return invalid(f.Detail)
	}
	return invalid(mismatchText)
}

func (f *Failure) s3() Answer {
	const malformed = "The authorization header is malformed; "
	switch f.Kind {
	case NoCredentials:
		return Answer{403, "AccessDenied", "Access Denied"}
	case Malformed:
		return Answer{400, "AuthorizationHeaderMalformed", malformed + lowerFirst(f.Detail)}
	case MalformedQuery:
		return Answer{400, "AuthorizationQueryParametersError", f.Detail}
	case Unsupported:
		return Answer{400, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."}
	case UnknownKey:
		return Answer{403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	case TooOld, TooNew:
		return Answer{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	case WrongService:
		return Answer{400, "AuthorizationHeaderMalformed", malformed + fmt.Sprintf("incorrect service. This endpoint belongs to '%s'.", f.Detail)}
	case WrongRegion:
		return Answer{400, "AuthorizationHeaderMalformed", malformed + fmt.Sprintf("the region '%s' is wrong", f.Detail)}
	case ExpiredSession:
		return Answer{400, "ExpiredToken", "The provided token has expired."}
	case ExpiredURL:
		return Answer{403, "AccessDenied", "Request has expired"}
	case UnsignedHeader:
		return Answer{403, "AccessDenied", "There were headers present in the request which were not signed"}
	case BadContentHash:
		return Answer{400, "InvalidArgument", badHashText}
	case HashMismatch:
		return Answer{400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."}
	case NoLength:
		return Answer{411, "MissingContentLength", "You must provide the Content-Length HTTP header."}
	case BadChunk:
		return Answer{400, "IncompleteBody", "The request body terminated unexpectedly: " + f.Detail}
	case BadTrailer:
		return Answer{400, "MalformedTrailerError", "The request contained trailing data that was not well-formed: " + f.Detail}
	}
	return Answer{403, "SignatureDoesNotMatch", mismatchTextS3}
}

func stamp(t time.Time) string { return t.UTC().Format(stampLayout) }

func minutes(d time.Duration) string { return fmt.Sprintf("%d min.", int(d/time.Minute)) }

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
