package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"penstock/internal/fault"
)

// namespace is that of every S3 document.
const namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

const (
	maxXML = 1 << 20
	// A complete list of 1000 keys, or of 10 000 parts with checksums, does not fit in maxXML.
	maxDeleteXML   = 4 << 20
	maxCompleteXML = 4 << 20
	maxXMLDepth    = 32
	// maxXMLAttributes bounds those of one element, which are compared each with each.
	maxXMLAttributes = 100
)

// writeXML answers with a document.
func (c *call) writeXML(status int, v any) {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	if err := xml.NewEncoder(&b).Encode(v); err != nil {
		// The types are ours, so this is a mistake of ours.
		c.log.Error("s3: an answer could not be written", "error", err)
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.writeBody(status, "application/xml", b.Bytes())
}

func (c *call) writeBody(status int, contentType string, body []byte) {
	h := c.w.Header()
	requestID(h)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	c.w.Write(body)
}

// done answers without a body.
func (c *call) done(status int) error {
	requestID(c.w.Header())
	if status != http.StatusNoContent {
		c.w.Header().Set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
	return nil
}

// readText reads a document of at most limit bytes whose checksums, if it came with any, hold.
func (c *call) readText(limit int64) ([]byte, error) {
	in, err := c.receiver(limit, nil)
	if err != nil {
		if fault.Code(err) == "EntityTooLarge" {
			return nil, fault.New("MaxMessageLengthExceeded", "Your request was too big.")
		}
		return nil, err
	}
	b, err := io.ReadAll(in)
	if fault.Code(err) == "EntityTooLarge" {
		return nil, fault.New("MaxMessageLengthExceeded", "Your request was too big.")
	}
	return b, err
}

// readXML reads the request's document into v, whose root element has the given name. It
// answers false if there is none.
func (c *call) readXML(limit int64, root string, v any) (bool, error) {
	text, err := c.readText(limit)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return false, err
	}
	if err := checkXML(text, root); err != nil {
		return false, err
	}
	if err := xml.Unmarshal(text, v); err != nil {
		return false, malformedXML()
	}
	return true, nil
}

// checkXML refuses what is no plain document with the root element, also where encoding/xml would
// let it pass, for documents are given back as they came: text that is not well formed or not
// UTF-8, characters that XML does not have, document types (and with them entities), and deep nesting.
func checkXML(text []byte, root string) error {
	if !utf8.Valid(text) || bytes.ContainsFunc(text, foreign) {
		return malformedXML()
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	depth, roots := 0, 0
	for {
		at := d.InputOffset()
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformedXML()
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 {
				if roots++; roots > 1 || t.Name.Local != root {
					return malformedXML()
				}
			}
			if depth++; depth > maxXMLDepth || len(t.Attr) > maxXMLAttributes {
				return malformedXML()
			}
			for i, a := range t.Attr {
				if slices.ContainsFunc(t.Attr[:i], func(b xml.Attr) bool { return a.Name == b.Name }) {
					return malformedXML()
				}
			}
		case xml.EndElement:
			if depth--; depth < 0 {
				return malformedXML()
			}
		case xml.CharData:
			// As it stands there: a reference to a space is none.
			if depth == 0 && len(bytes.Trim(text[at:d.InputOffset()], " \t\r\n")) > 0 {
				return malformedXML()
			}
		case xml.Directive:
			return malformedXML()
		case xml.ProcInst:
			if t.Target != "xml" || len(bytes.TrimSpace(text[:at])) > 0 {
				return malformedXML()
			}
		}
	}
	if depth != 0 || roots != 1 {
		return malformedXML()
	}
	// RawToken does not match end elements with their start; this pass does.
	d = xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return malformedXML()
		}
	}
}

// foreign tells whether a character has no place in XML, not even in a comment.
func foreign(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\ufffe' || r == '\uffff'
}

// stamp is the form of times in documents.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func quote(etag string) string { return `"` + etag + `"` }

// encodeText writes a key for encoding-type=url: keys may hold characters XML has no way
// to write. Slashes stay, as in S3.
func encodeText(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch ch := s[i]; {
		case 'a' <= ch && ch <= 'z', 'A' <= ch && ch <= 'Z', '0' <= ch && ch <= '9', strings.IndexByte("-._~/*", ch) >= 0:
			b.WriteByte(ch)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[ch>>4])
			b.WriteByte(hex[ch&15])
		}
	}
	return b.String()
}

// encoder gives the function that writes keys into the answer, as encoding-type asks.
func (c *call) encoder() (name string, f func(string) string, err error) {
	switch t := c.query.Get("encoding-type"); t {
	case "":
		return "", func(s string) string { return s }, nil
	case "url":
		return t, encodeText, nil
	default:
		return "", nil, invalidArgument("Invalid Encoding Method specified in Request")
	}
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
