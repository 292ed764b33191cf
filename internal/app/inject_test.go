package app

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"penstock/internal/api"
)

// markup is what ends a text in some language and begins something else.
var markup = []string{`"><script>alert(1)</script>&amp;'`, "]]><script/><![CDATA[", "x\r\nX-Injected: 1\r\n\r\n<script>", "\\\"},\"script\":{\"", "<!DOCTYPE a [<!ENTITY script SYSTEM \"file:///etc/passwd\">]>&script;", "\u2028\u202e<script>\x1b[2J"}

// harmless says what is wrong with an answer that repeats what was sent: nothing of it may be more
// than a text.
func harmless(w *httptest.ResponseRecorder) string {
	kind := w.Header().Get("Content-Type")
	if w.Header().Get("X-Injected") != "" {
		return "it has a header that was sent"
	}
	for name, values := range w.Header() {
		if strings.ContainsAny(name+strings.Join(values, ""), "\r\n\x00\x1b") {
			return "the header " + name + " has more than a text"
		}
	}
	body := w.Body.Bytes()
	switch {
	case len(body) == 0:
	case strings.Contains(kind, "json"):
		if !json.Valid(body) {
			return "it is no JSON"
		}
		var top map[string]any
		if json.Unmarshal(body, &top) == nil && top["script"] != nil {
			return "it has a member that was sent"
		}
	case strings.Contains(kind, "html"):
		if bytes.Contains(body, []byte("<script")) || !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			return "the page runs what was sent"
		}
	case strings.Contains(kind, "xml"):
		d := xml.NewDecoder(bytes.NewReader(body))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				return ""
			}
			if err != nil {
				return "it is no XML: " + err.Error()
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "script" {
				return "it has an element that was sent"
			}
		}
	case strings.Contains(kind, "text/plain") || strings.Contains(kind, "cbor"):
	default:
		return "it is of the kind " + kind
	}
	return ""
}

// N-1, W-16, W-17: names, texts and addresses come back as texts, whatever they are: in every member
// of every operation, in every part of an address of S3, and in the links of messages.
func TestMarkupIsText(t *testing.T) {
	t.Parallel()
	a := logging(t, slog.New(slog.DiscardHandler))
	n := newTenant(t, a, "000000000000", "tenant")
	n.furnish()
	sent, pages := 0, 0
	judge := func(what, text string, w *httptest.ResponseRecorder) {
		t.Helper()
		if sent++; strings.Contains(w.Header().Get("Content-Type"), "html") {
			pages++
		}
		if wrong := harmless(w); wrong != "" || w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("%s with %q: %s: %d %.500s", what, text, wrong, w.Code, w.Body)
		}
	}
	for _, text := range markup {
		n.eachOperation(func(s *api.Service, m *published, op modelled) {
			all, _ := m.least(t, op.Input, 0).(object)
			if all == nil {
				all = object{}
			}
			for k, v := range said[s.Name+"."+op.Name] {
				all[k] = v
			}
			for _, f := range m.Shapes[op.Input].Members { // those that are not required, too
				if m.Shapes[f.Shape].Type == "string" && len(m.Shapes[f.Shape].Enum) == 0 {
					all[f.Name] = "name"
				}
			}
			everything := n.own(all)
			eachLeaf(everything, func(set func(any), was any) {
				if _, ok := was.(string); ok {
					set(text)
				}
			})
			judge(s.Name+"."+op.Name, text, n.asked(n.keys, "us-east-1", s, m, op, n.own(everything)))
			eachLeaf(all, func(set func(any), was any) {
				if _, ok := was.(string); ok {
					set(text)
					judge(s.Name+"."+op.Name, text, n.asked(n.keys, "us-east-1", s, m, op, n.own(all)))
					set(was)
				}
			})
		})
		escaped, query := url.PathEscape(text), url.QueryEscape(text)
		for _, path := range []string{"/" + escaped, "/tenant-bucket/" + escaped, "/tenant-bucket?prefix=" + query + "&delimiter=" + query + "&marker=" + query, "/tenant-bucket?list-type=2&start-after=" + query + "&continuation-token=" + query,
			"/tenant-bucket?versions&key-marker=" + query, "/tenant-bucket?" + query, "/tenant-bucket/tenant-key?versionId=" + query, "/tenant-bucket/tenant-key?uploadId=" + query, "/v20180820/tags/" + escaped} {
			for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPost, http.MethodDelete} {
				r := httptest.NewRequestWithContext(t.Context(), method, "http://penstock.example"+path, http.NoBody)
				if strings.HasPrefix(path, "/v2018") {
					r.Header.Set("X-Amz-Account-Id", "000000000000")
				}
				if w := n.sent(n.keys, "us-east-1", "s3", r, nil); w.Code != http.StatusOK || !strings.HasPrefix(path, "/tenant-bucket/"+escaped) {
					judge(method+" "+path, text, w) // an object is what it was made of
				}
			}
		}
		for _, path := range []string{"/sns/?Action=" + query, "/sns/?Action=ConfirmSubscription&TopicArn=" + url.QueryEscape(topic) + "&Token=" + query, "/sns/confirmation.html?TopicArn=" + query + "&Token=" + query, "/sns/unsubscribe.html?SubscriptionArn=" + query, "/sns/" + escaped,
			"/webhooks/?t=" + query + "&v=1", "/webhooks/" + escaped, "/v1/repos/" + escaped + "/info/refs?service=" + query, "/console/" + escaped, "/" + escaped} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				w := httptest.NewRecorder()
				a.server.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "http://penstock.example"+path, strings.NewReader(text)))
				judge(method+" "+path, text, w)
			}
		}
	}
	if sent < 5000 || pages < 2*len(markup) {
		t.Errorf("only %d requests, %d pages", sent, pages)
	}
}
