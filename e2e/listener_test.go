package e2e

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// listener starts an HTTP endpoint that confirms subscriptions and writes what topics send it
// to a file: the kind of each message with what its signature is worth, then its text. Of a
// request with a user and a password, or with a token, it writes these too. At /token it gives
// tokens.
func listener(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: listener VAR FILE")
	}
	file := ts.MkAbs(args[1])
	ts.Check(os.WriteFile(file, nil, 0o644))
	var mu sync.Mutex
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		note := fmt.Sprintf("%s %s\n%s\n", r.Header.Get("x-amz-sns-message-type"), worth(body), body)
		var m map[string]any
		if err == nil && json.Unmarshal(body, &m) == nil && m["Type"] == "Notification" {
			note += "MESSAGE " + fmt.Sprint(m["Message"]) + "\n"
		}
		if user, password, ok := r.BasicAuth(); ok {
			note += fmt.Sprintf("BASIC %s %s %s %s\n", r.Method, r.URL, user, password)
		}
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			note += fmt.Sprintf("BEARER %s %s %s\n", r.Method, r.URL, token)
		}
		mu.Lock()
		defer mu.Unlock()
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(note)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if r.URL.Path == "/token" {
			_, _ = io.WriteString(w, `{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}`)
		}
		if link, ok := m["SubscribeURL"].(string); ok {
			go visit(link)
		}
	}))
	ts.Setenv(args[0], srv.URL)
	ts.Defer(srv.Close)
}

var visitor = &http.Client{Timeout: patience}

func visit(link string) {
	if answer, err := visitor.Get(link); err == nil {
		answer.Body.Close()
	}
}

// worth verifies the signature of a message as its documentation says.
func worth(body []byte) string {
	var m map[string]any
	if json.Unmarshal(body, &m) != nil || m["Signature"] == nil {
		return "unsigned"
	}
	var text strings.Builder
	names := []string{"Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"}
	if m["Type"] == "SubscriptionConfirmation" {
		names = []string{"Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"}
	}
	for _, name := range names {
		if v, ok := m[name]; ok {
			fmt.Fprintf(&text, "%s\n%s\n", name, v)
		}
	}
	answer, err := visitor.Get(fmt.Sprint(m["SigningCertURL"]))
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	block, _ := pem.Decode(data)
	if err != nil || block == nil {
		return "no certificate"
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err.Error()
	}
	signature, err := base64.StdEncoding.DecodeString(fmt.Sprint(m["Signature"]))
	if err != nil {
		return err.Error()
	}
	kind, short := crypto.SHA1, sha1.Sum([]byte(text.String()))
	digest := short[:]
	if m["SignatureVersion"] == "2" {
		long := sha256.Sum256([]byte(text.String()))
		kind, digest = crypto.SHA256, long[:]
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || rsa.VerifyPKCS1v15(key, kind, digest, signature) != nil {
		return "forged"
	}
	return "genuine"
}
