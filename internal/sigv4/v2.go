package sigv4

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// subresources are the query parameters that a Version 2 signature covers.
var subresources = []string{
	"accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle",
	"location", "logging", "metrics", "notification", "object-lock", "partNumber", "policy",
	"replication", "requestPayment", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type",
	"response-expires", "restore", "select", "select-type", "storageClass", "tagging", "torrent",
	"uploadId", "uploads", "versionId", "versioning", "versions", "website",
}

func parseV2(r *http.Request, pairs []pair) (*Signature, error) {
	s := &Signature{Form: QueryV2Form, Service: "s3", pairs: pairs}
	var signature, expires string
	for _, p := range pairs {
		var to *string
		switch p.name {
		case "AWSAccessKeyId":
			to = &s.AccessKeyID
		case "Signature":
			to = &signature
		case "Expires":
			to = &expires
		case "x-amz-security-token":
			to = &s.Token
		default:
			continue
		}
		if *to != "" {
			return nil, &Failure{Kind: MalformedQuery, Detail: "Query-string parameter " + p.name + " is given twice"}
		}
		*to = p.value
	}
	if s.AccessKeyID == "" || signature == "" || expires == "" {
		return nil, &Failure{Kind: MalformedQuery, Detail: "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"}
	}
	at, err := strconv.ParseInt(expires, 10, 40)
	if err != nil || at < 0 {
		return nil, &Failure{Kind: MalformedQuery, Detail: "Invalid date (should be seconds since epoch): " + printable(expires)}
	}
	s.deadline = time.Unix(at, 0)
	if s.signature, err = base64.StdEncoding.DecodeString(signature); err != nil {
		return nil, &Failure{Kind: MalformedQuery, Detail: "Signature must be base64"}
	}
	return s, nil
}

// verifyV2 checks a Version 2 presigned URL, for reading and writing one object (W-35).
func (s *Signature) verifyV2(r *http.Request, secret string, o Options) error {
	if o.Service != "s3" {
		return &Failure{Kind: Unsupported}
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut:
	default:
		return &Failure{Kind: Unsupported}
	}
	if o.Now.After(s.deadline) {
		return &Failure{Kind: ExpiredURL}
	}
	h := hmac.New(sha1.New, []byte(secret))
	h.Write([]byte(s.stringToSignV2(r, o.Bucket)))
	if !hmac.Equal(h.Sum(nil), s.signature) {
		return &Failure{Kind: BadSignature}
	}
	return nil
}

func (s *Signature) stringToSignV2(r *http.Request, bucket string) string {
	// The tools move signed headers into the query, so a header may stand in either.
	header := func(name string) string {
		if v := r.Header.Get(name); v != "" {
			return v
		}
		for _, p := range s.pairs {
			if p.name == name {
				return p.value
			}
		}
		return ""
	}
	amz := make(map[string]string)
	for name, values := range r.Header {
		if low := strings.ToLower(name); strings.HasPrefix(low, "x-amz-") {
			trimmed := make([]string, len(values))
			for i, v := range values {
				trimmed[i] = strings.TrimSpace(v)
			}
			amz[low] = strings.Join(trimmed, ",")
		}
	}
	var sub []string
	for _, p := range s.pairs {
		if strings.HasPrefix(p.name, "x-amz-") {
			if _, ok := amz[p.name]; !ok {
				amz[p.name] = p.value
			}
		}
		if _, ok := slices.BinarySearch(subresources, p.name); ok {
			if p.value != "" {
				sub = append(sub, p.name+"="+p.value)
			} else {
				sub = append(sub, p.name)
			}
		}
	}
	names := make([]string, 0, len(amz))
	for n := range amz {
		names = append(names, n)
	}
	slices.Sort(names)
	slices.Sort(sub)

	var b strings.Builder
	b.WriteString(r.Method + "\n" + header("content-md5") + "\n" + header("content-type") + "\n" +
		strconv.FormatInt(s.deadline.Unix(), 10) + "\n")
	for _, n := range names {
		b.WriteString(n + ":" + amz[n] + "\n")
	}
	if bucket != "" {
		b.WriteString("/" + bucket)
	}
	if p := r.URL.EscapedPath(); p != "" {
		b.WriteString(p)
	} else {
		b.WriteString("/")
	}
	if len(sub) > 0 {
		b.WriteString("?" + strings.Join(sub, "&"))
	}
	return b.String()
}
