package sns

import (
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"

	"penstock/internal/api"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/fault"
)

// pathPrefix is where this room's own pages are: the certificate, and the links of messages.
const pathPrefix = "/sns/"

// ServeHTTP answers below /sns/ without a signature: the certificate of the signatures, and
// what a subscriber may do with what a message told it, the two links of its messages.
func (r *Room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, pathPrefix)
	if req.Method != http.MethodGet && req.Method != http.MethodHead && (req.Method != http.MethodPost || name != "") {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	if name == confirmationPage || name == unsubscribePage {
		servePage(w, req, name)
		return
	}
	if name != "" {
		r.serveCertificate(w, req, name)
		return
	}
	q := req.URL.Query()
	action, about := q.Get("Action"), q.Get("TopicArn")
	if action == "Unsubscribe" {
		about = q.Get("SubscriptionArn")
	}
	a, ok := arn.Parse(about)
	if action != "Unsubscribe" && action != "ConfirmSubscription" || !ok {
		http.NotFound(w, req)
		return
	}
	// The token, or the id of the subscription, is what proves the right to do it.
	ctx := auth.Trusted(req.Context(), auth.Caller{Account: a.Account, Region: a.Region})
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("Cache-Control", "no-store")
	out, err := r.service.ServeQuery(ctx, r.service.Operations[action], q, api.RequestID(req.Context()), nil)
	if err == nil {
		_, _ = w.Write(out)
		return
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		r.deps.Log.Error("sns: a link of a message failed", "action", action, "error", err)
		f = fault.New("InternalFailure", "The request processing has failed because of an unknown error.")
		w.WriteHeader(http.StatusInternalServerError)
	} else {
		code, status, ok := r.service.Spelling(f.Code)
		if !ok {
			code, status = f.Code, http.StatusBadRequest
		}
		f = &fault.Error{Code: code, Message: f.Message}
		w.WriteHeader(status)
	}
	b := []byte(`<ErrorResponse xmlns="` + r.service.Namespace + `"><Error><Type>Sender</Type><Code>`)
	b = api.AppendXMLText(b, f.Code)
	b = append(b, "</Code><Message>"...)
	b = api.AppendXMLText(b, f.Message)
	b = append(b, "</Message></Error><RequestId>"...)
	b = api.AppendXMLText(b, api.RequestID(req.Context()))
	_, _ = w.Write(append(b, "</RequestId></ErrorResponse>"...))
}

// servePage asks a reader of mail whether what its link says shall be done: programs that look
// at every link of a mail do nothing by it.
func servePage(w http.ResponseWriter, req *http.Request, name string) {
	q, title, button := req.URL.Query(), "Subscription confirmation", "Confirm subscription"
	do := url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {q.Get("TopicArn")}, "Token": {q.Get("Token")}}
	about := q.Get("TopicArn")
	if name == unsubscribePage {
		title, button, about = "Unsubscribe", "Unsubscribe", q.Get("SubscriptionArn")
		do = url.Values{"Action": {"Unsubscribe"}, "SubscriptionArn": {about}}
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'")
	_, _ = io.WriteString(w, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>"+title+"</title><h1>"+title+"</h1><p>"+html.EscapeString(about)+
		"</p><form method=\"post\" action=\""+html.EscapeString(pathPrefix+"?"+do.Encode())+"\"><button>"+button+"</button></form></html>\n")
}

func (r *Room) serveCertificate(w http.ResponseWriter, req *http.Request, name string) {
	s, err := r.signing(req.Context())
	switch {
	case err != nil:
		r.deps.Log.Error("sns: cannot read the signing key", "error", err)
		http.Error(w, "try again", http.StatusServiceUnavailable)
	case name != s.name:
		http.NotFound(w, req)
	default:
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Header().Set("Cache-Control", "public, max-age=86400")
		_, _ = w.Write(s.certificate)
	}
}
