package sigv4

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var errEscape = errors.New("invalid percent-encoding")

// appendEncoded percent-encodes s as AWS does: everything except unreserved characters,
// upper-case hex; the slash stays if keepSlash.
func appendEncoded(dst []byte, s string, keepSlash bool) []byte {
	const hexDigits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && keepSlash:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}

// unescape decodes percent-encoding; in a query a plus is a space, as net/url reads it,
// so what is verified is what a handler will see.
func unescape(s string, query bool) (string, error) {
	if !strings.ContainsAny(s, "%+") {
		return s, nil
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", errEscape
			}
			v, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", errEscape
			}
			out = append(out, byte(v))
			i += 2
		case c == '+' && query:
			out = append(out, ' ')
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}

// canonicalURI gives the path as it is signed (W-28): for S3 encoded once and taken as it
// is, for every other service normalised and encoded twice.
func canonicalURI(r *http.Request, service string) (string, error) {
	raw := r.URL.EscapedPath()
	if raw == "" || raw == "/" {
		return "/", nil
	}
	if service == "s3" {
		// Clients differ in which characters they leave bare; the service decodes and
		// encodes again, so that only the meaning counts.
		plain, err := unescape(raw, false)
		if err != nil {
			return "", err
		}
		return string(appendEncoded(make([]byte, 0, len(raw)+8), plain, true)), nil
	}
	return string(appendEncoded(nil, normalisePath(raw), true)), nil
}

// normalisePath removes empty, "." and ".." segments (RFC 3986) and keeps a final slash.
func normalisePath(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	var out []string
	for seg := range strings.SplitSeq(p, "/") {
		switch seg {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, seg)
		}
	}
	s := "/" + strings.Join(out, "/")
	if strings.HasSuffix(p, "/") && s != "/" {
		s += "/"
	}
	return s
}

// pair is one query parameter.
type pair struct{ name, value string }

// maxPairs bounds the parameters of one query.
const maxPairs = 1000

// queryPairs decodes a raw query, in its own order.
func queryPairs(raw string) ([]pair, error) {
	var out []pair
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		if len(out) == maxPairs {
			return nil, errors.New("too many query parameters")
		}
		n, v, _ := strings.Cut(part, "=")
		name, err := unescape(n, true)
		if err != nil {
			return nil, err
		}
		value, err := unescape(v, true)
		if err != nil {
			return nil, err
		}
		out = append(out, pair{name, value})
	}
	return out, nil
}

// canonicalQuery encodes and sorts the parameters, without the signature itself where it is one.
func canonicalQuery(pairs []pair, presigned bool) string {
	enc := make([]pair, 0, len(pairs))
	for _, p := range pairs {
		if presigned && p.name == "X-Amz-Signature" {
			continue
		}
		enc = append(enc, pair{
			string(appendEncoded(nil, p.name, false)),
			string(appendEncoded(nil, p.value, false)),
		})
	}
	slices.SortStableFunc(enc, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	var b strings.Builder
	for i, p := range enc {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// appendHeader writes one canonical header line (W-28, W-29).
func appendHeader(dst []byte, r *http.Request, name string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ':')
	switch name {
	case "host":
		host := r.Host
		if host == "" {
			host = r.URL.Host // a request that never travelled over a wire
		}
		dst = append(dst, host...)
	case "content-length":
		// The server keeps the length in a field of its own; a request made in
		// process has no such header at all.
		if r.ContentLength >= 0 {
			dst = strconv.AppendInt(dst, r.ContentLength, 10)
		}
	case "transfer-encoding":
		dst = append(dst, strings.Join(r.TransferEncoding, ",")...)
	default:
		for i, v := range r.Header.Values(name) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendCollapsed(dst, v)
		}
	}
	return append(dst, '\n')
}

// appendCollapsed trims v and makes each inner run of spaces one space.
func appendCollapsed(dst []byte, v string) []byte {
	v = strings.Trim(v, " \t")
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		dst = append(dst, v[i])
	}
	return dst
}
