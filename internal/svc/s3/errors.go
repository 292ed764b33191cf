package s3

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"errors"
	"net/http"
	"syscall"

	"penstock/internal/fault"
)

// statuses are the HTTP statuses of error codes; 400 for the rest.
var statuses = map[string]int{
	"NotModified":           http.StatusNotModified,
	"AccessDenied":          http.StatusForbidden,
	"AccountProblem":        http.StatusForbidden,
	"InvalidAccessKeyId":    http.StatusForbidden,
	"InvalidObjectState":    http.StatusForbidden,
	"RequestTimeTooSkewed":  http.StatusForbidden,
	"SignatureDoesNotMatch": http.StatusForbidden,

	"NoSuchBucket": http.StatusNotFound, "NoSuchKey": http.StatusNotFound, "NoSuchVersion": http.StatusNotFound,
	"NoSuchUpload": http.StatusNotFound, "NoSuchBucketPolicy": http.StatusNotFound, "NoSuchTagSet": http.StatusNotFound,
	"NoSuchCORSConfiguration": http.StatusNotFound, "NoSuchWebsiteConfiguration": http.StatusNotFound,
	"NoSuchLifecycleConfiguration": http.StatusNotFound, "NoSuchPublicAccessBlockConfiguration": http.StatusNotFound,
	"NoSuchObjectLockConfiguration": http.StatusNotFound, "OwnershipControlsNotFoundError": http.StatusNotFound,
	"ObjectLockConfigurationNotFoundError":           http.StatusNotFound,
	"ReplicationConfigurationNotFoundError":          http.StatusNotFound,
	"ServerSideEncryptionConfigurationNotFoundError": http.StatusNotFound,
	"NoSuchResource": http.StatusNotFound,

	"MethodNotAllowed": http.StatusMethodNotAllowed,

	"BucketAlreadyExists": http.StatusConflict, "BucketAlreadyOwnedByYou": http.StatusConflict,
	"BucketNotEmpty": http.StatusConflict, "OperationAborted": http.StatusConflict,
	"ConditionalRequestConflict": http.StatusConflict,

	"MissingContentLength": http.StatusLengthRequired,
	"PreconditionFailed":   http.StatusPreconditionFailed,
	"InvalidRange":         http.StatusRequestedRangeNotSatisfiable,
	"InvalidPartNumber":    http.StatusRequestedRangeNotSatisfiable,
	"InternalError":        http.StatusInternalServerError,
	"NotImplemented":       http.StatusNotImplemented,
	"ServiceUnavailable":   http.StatusServiceUnavailable,
}

func noSuchBucket() error { return fault.New("NoSuchBucket", "The specified bucket does not exist") }

func noSuchKey() error { return fault.New("NoSuchKey", "The specified key does not exist.") }

func noSuchVersion() error {
	return fault.New("NoSuchVersion", "The specified version does not exist.")
}

func noSuchUpload() error {
	return fault.New("NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.")
}

func accessDenied() error { return fault.New("AccessDenied", "Access Denied") }

func preconditionFailed() error {
	return fault.New("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
}

func methodNotAllowed() error {
	return fault.New("MethodNotAllowed", "The specified method is not allowed against this resource.")
}

func notImplemented(what string) error {
	return fault.New("NotImplemented", "A header or a sub-resource you provided implies functionality that is not implemented: %s", what)
}

func invalidArgument(format string, args ...any) error {
	return fault.New("InvalidArgument", format, args...)
}

func invalidRequest(format string, args ...any) error {
	return fault.New("InvalidRequest", format, args...)
}

func malformedXML() error {
	return fault.New("MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema")
}

type errorBody struct {
	XMLName    xml.Name `xml:"Error"`
	Code       string
	Message    string
	BucketName string `xml:",omitempty"`
	Key        string `xml:",omitempty"`
	Resource   string
	RequestID  string `xml:"RequestId"`
}

// fail answers an error. What is not a fault is the server's own failure: it is logged, and
// the caller gets the request id to ask about.
func (c *call) fail(err error) {
	h := c.w.Header()
	id := requestID(h)
	var f *fault.Error
	switch {
	case errors.As(err, &f):
	case c.r.Context().Err() != nil:
		// The caller is gone, or a body broke off; nobody reads this.
		f = fault.New("RequestTimeout", "The request was cancelled.")
	case errors.Is(err, fault.ErrFull), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		c.log.ErrorContext(context.WithoutCancel(c.ctx()), "s3: nothing can be stored", "request", id, "error", err)
		f = fault.New("ServiceUnavailable", "%s", fault.FullText)
	case errors.Is(err, fault.ErrText):
		f = fault.New("InvalidArgument", "The request has a text with a NUL, or one that is too long or not UTF-8")
	default:
		c.log.ErrorContext(context.WithoutCancel(c.ctx()), "s3: a request failed", "request", id,
			"method", c.r.Method, "bucket", c.name, "key", c.key, "error", err)
		f = fault.New("InternalError", "We encountered an internal error. Please try again.")
	}
	code := f.Code
	switch code {
	case "AccessDeniedException": // the other protocols' name of it (W-32)
		code = "AccessDenied"
	}
	status := statuses[code]
	if status == 0 {
		status = http.StatusBadRequest
	}
	for _, name := range []string{"Content-Length", "Content-Range", "Content-Encoding", "Content-Disposition", "Content-Language", "Cache-Control", "Expires"} {
		h.Del(name)
	}
	if status == http.StatusNotModified {
		h.Del("Content-Type")
		c.w.WriteHeader(status)
		return
	}
	h.Del("ETag")
	h.Del("Last-Modified")
	h.Set("Content-Type", "application/xml")
	if c.r.Method == http.MethodHead {
		c.w.WriteHeader(status)
		return
	}
	body := errorBody{Code: code, Message: f.Message, Resource: c.r.URL.Path, RequestID: id}
	switch code {
	case "NoSuchBucket", "BucketNotEmpty", "BucketAlreadyExists", "BucketAlreadyOwnedByYou", "InvalidBucketName":
		body.BucketName = c.name
	case "NoSuchKey", "NoSuchVersion":
		body.Key = c.key
	}
	c.writeXML(status, body)
}

// requestID gives the id the door has given the answer, or makes one.
func requestID(h http.Header) string {
	id := h.Get("x-amz-request-id")
	if id == "" {
		id = rand.Text()[:16]
		h.Set("x-amz-request-id", id)
	}
	return id
}
