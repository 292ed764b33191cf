package awswire

import (
	"net/http"
	"strconv"

	"penstock/internal/api"
)

// spelling is an error class as one protocol family writes it (W-32).
type spelling struct {
	code   string
	status int
}

// queryCodes turns the classes of the JSON services into those of the query services;
// classes that a service's model has come before it.
var queryCodes = map[string]spelling{
	"MissingAuthenticationTokenException": {"MissingAuthenticationToken", 403},
	"IncompleteSignatureException":        {"IncompleteSignature", 400},
	"UnrecognizedClientException":         {"InvalidClientTokenId", 403},
	"InvalidSignatureException":           {"SignatureDoesNotMatch", 403},
	"ExpiredTokenException":               {"ExpiredToken", 403},
	"AccessDeniedException":               {"AccessDenied", 403},
	"ThrottlingException":                 {"Throttling", 400},
	"UnknownOperationException":           {"InvalidAction", 400},
	"SerializationException":              {"MalformedInput", 400},
	"ValidationException":                 {"ValidationError", 400},
	"ServiceUnavailableException":         {"ServiceUnavailable", 503},
	"MissingAuthenticationToken":          {"MissingAuthenticationToken", 403},
	"InvalidClientTokenId":                {"InvalidClientTokenId", 403},
	"SignatureDoesNotMatch":               {"SignatureDoesNotMatch", 403},
	"ExpiredToken":                        {"ExpiredToken", 403},
	"AccessDenied":                        {"AccessDenied", 403},
	"MalformedQueryString":                {"MalformedQueryString", 404},
}

// s3Codes does the same for S3. It is needed only for what the door itself refuses; the
// room writes its own errors.
var s3Codes = map[string]spelling{
	"MissingAuthenticationTokenException": {"AccessDenied", 403},
	"IncompleteSignatureException":        {"AuthorizationHeaderMalformed", 400},
	"UnrecognizedClientException":         {"InvalidAccessKeyId", 403},
	"InvalidSignatureException":           {"SignatureDoesNotMatch", 403},
	"ExpiredTokenException":               {"ExpiredToken", 400},
	"AccessDeniedException":               {"AccessDenied", 403},
	"ThrottlingException":                 {"SlowDown", 503},
	"UnknownOperationException":           {"NotImplemented", 501},
	codeInternal:                          {"InternalError", 500},
	"ServiceUnavailableException":         {"ServiceUnavailable", 503},
	"AccessDenied":                        {"AccessDenied", 403},
	"InvalidAccessKeyId":                  {"InvalidAccessKeyId", 403},
	"SignatureDoesNotMatch":               {"SignatureDoesNotMatch", 403},
	"RequestTimeTooSkewed":                {"RequestTimeTooSkewed", 403},
	"MissingContentLength":                {"MissingContentLength", 411},
}

// restCodes gives the statuses of the rest-json services.
var restCodes = map[string]spelling{
	"MissingAuthenticationTokenException": {"MissingAuthenticationTokenException", 403},
	"IncompleteSignatureException":        {"IncompleteSignatureException", 403},
	"UnrecognizedClientException":         {"UnrecognizedClientException", 403},
	"InvalidSignatureException":           {"InvalidSignatureException", 403},
	"ExpiredTokenException":               {"ExpiredTokenException", 403},
	"AccessDeniedException":               {"AccessDeniedException", 403},
	"ThrottlingException":                 {"ThrottlingException", 429},
	"UnknownOperationException":           {"UnknownOperationException", 404},
}

// serverFaults are the classes that are not the caller's mistake, in every protocol.
var serverFaults = map[string]int{
	codeInternal: 500, "InternalError": 500, "InternalServerError": 500, "InternalServiceException": 500,
	"ServiceUnavailable": 503, "ServiceUnavailableException": 503,
}

// writeError answers with an error in the caller's protocol. A status of 0 is the one
// that goes with the code.
func (x *exchange) writeError(code, message string, status int) {
	env := x.route.envelope
	s := x.route.service
	if s != nil && s.Protocol == api.Query {
		env = xmlEnvelope
	} else if s != nil && s.Protocol == api.RESTJSON {
		env = restEnvelope
	}
	modelled := false
	if s != nil {
		if c, st, ok := s.Spelling(code); ok {
			code, modelled = c, true
			if status == 0 {
				status = st
			}
		}
	}
	formed := code
	if s != nil && s.Protocol == api.RPCCBOR && env != xmlEnvelope {
		code = s.Class(code)
	}
	var table map[string]spelling
	switch env {
	case xmlEnvelope:
		table = queryCodes
	case s3Envelope:
		table = s3Codes
	case restEnvelope:
		table = restCodes
	}
	if sp, ok := table[code]; ok && !modelled {
		code = sp.code
		if status == 0 {
			status = sp.status
		}
	}
	if status == 0 {
		status = serverFaults[code]
	}
	if status == 0 {
		status = http.StatusBadRequest
	}
	h := x.w.Header()
	if s != nil && s.Protocol == api.RPCCBOR && x.r.Header.Get("X-Amzn-Query-Mode") == "true" {
		h.Set("X-Amzn-Query-Error", formed+";"+blame(status))
	}
	var b []byte
	switch env {
	case xmlEnvelope:
		h.Set("Content-Type", "text/xml")
		b = x.queryError(code, message, status)
	case s3Envelope:
		h.Set("Content-Type", "application/xml")
		b = x.s3Error(code, message)
	case restEnvelope:
		h.Set("Content-Type", "application/json")
		h.Set("X-Amzn-Errortype", code)
		if b = jsonError(code, message); modelled {
			b = s.RESTError(code, message)
		}
	case cborEnvelope:
		h.Set("Content-Type", "application/cbor")
		h.Set("Smithy-Protocol", rpcCBOR)
		b = cborError(code, message)
	case textEnvelope:
		h.Set("Content-Type", "text/plain; charset=utf-8")
		b = append(append(b, message...), "\nRequest id: "+x.id+"\n"...)
	default:
		// The header x-amzn-errortype is left out, as the services do (W-16, W-17).
		h.Set("Content-Type", x.contentType())
		b = jsonError(code, message)
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		x.w.Write(b)
	}
}

// jsonError is the body of W-16.
func jsonError(code, message string) []byte {
	b := append(make([]byte, 0, 64+len(message)), `{"__type":`...)
	b = api.AppendString(b, code)
	b = append(b, `,"message":`...)
	b = api.AppendString(b, message)
	return append(b, '}')
}

// blame says whose mistake an error is, in the words of the query protocol.
func blame(status int) string {
	if status >= 500 {
		return "Receiver"
	}
	return "Sender"
}

func (x *exchange) queryError(code, message string, status int) []byte {
	b := []byte("<ErrorResponse")
	if s := x.route.service; s != nil {
		b = append(b, ` xmlns="`...)
		b = append(api.AppendXMLText(b, s.Namespace), '"')
	}
	b = append(b, "><Error><Type>"+blame(status)+"</Type><Code>"...)
	b = api.AppendXMLText(b, code)
	b = append(b, "</Code><Message>"...)
	b = api.AppendXMLText(b, message)
	return append(b, "</Message></Error><RequestId>"+x.id+"</RequestId></ErrorResponse>"...)
}

func (x *exchange) s3Error(code, message string) []byte {
	b := []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>")
	b = api.AppendXMLText(b, code)
	b = append(b, "</Code><Message>"...)
	b = api.AppendXMLText(b, message)
	b = append(b, "</Message><Resource>"...)
	b = api.AppendXMLText(b, x.r.URL.Path)
	return append(b, "</Resource><RequestId>"+x.id+"</RequestId></Error>"...)
}

// cborError is a map of two texts.
func cborError(code, message string) []byte {
	b := api.AppendCBORText(api.AppendCBORMap(nil, 2), "__type")
	b = api.AppendCBORText(api.AppendCBORText(b, code), "message")
	return api.AppendCBORText(b, message)
}
