package app

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/api"
)

// guesses are texts that somebody could try who knows a token, or a part of one.
func guesses(token string, others ...string) (list []string) {
	for i := 0; i < len(token); i += 1 + len(token)/64 {
		for _, c := range []byte{token[i] ^ 1, token[i] ^ 32, '0', 'A', '*', '%'} {
			if c != token[i] && c >= ' ' && c < 0x7f {
				list = append(list, token[:i]+string(c)+token[i+1:])
			}
		}
		list = append(list, token[:i], token[i+1:])
	}
	list = append(list, token+"A", token+" ", " "+token, token+token, strings.ToLower(token), strings.ToUpper(token), "", "null", "0", strings.Repeat("A", len(token)))
	return append(list, others...)
}

// approving makes a pipeline of the tenant whose second stage waits for two people.
func (n *tenant) approving(name string) {
	action := func(action string) object {
		return object{"name": action, "runOrder": 1, "actionTypeId": object{"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"}}
	}
	n.do("codepipeline", "CreatePipeline", object{"pipeline": object{"name": name, "roleArn": "arn:aws:iam::000000000000:role/tenant-role", "artifactStore": object{"type": "S3", "location": "tenant-bucket"}, "stages": []any{
		object{"name": "Source", "actions": []any{object{"name": "Act", "actionTypeId": object{"category": "Source", "owner": "Custom", "provider": "tenant-type", "version": "1"}, "configuration": object{"Password": "x", "Plain": name}, "outputArtifacts": []any{object{"name": "out"}}}}},
		object{"name": "Gate", "actions": []any{action("One"), action("Two")}}, object{"name": "Last", "actions": []any{action("One")}}}}})
}

// advance finishes the source of a pipeline that was started, and gives the tokens of what waits at the gate.
func (n *tenant) advance(name, revision string) map[string]string {
	n.t.Helper()
	polled := n.do("codepipeline", "PollForJobs", object{"actionTypeId": object{"category": "Source", "owner": "Custom", "provider": "tenant-type", "version": "1"}, "queryParam": object{"Plain": name}})
	id := n.member(polled, "id")
	n.do("codepipeline", "AcknowledgeJob", object{"jobId": id, "nonce": n.member(polled, "nonce")})
	n.do("codepipeline", "PutJobSuccessResult", object{"jobId": id, "currentRevision": object{"revision": revision, "changeIdentifier": revision}})
	return n.waiting(name)
}

// waiting gives the tokens of the approvals that a pipeline waits for, by stage and action.
func (n *tenant) waiting(name string) map[string]string {
	n.t.Helper()
	var state struct {
		StageStates []struct {
			StageName    string
			ActionStates []struct {
				ActionName      string
				LatestExecution struct{ Token, Status string }
			}
		}
	}
	if err := json.Unmarshal([]byte(n.do("codepipeline", "GetPipelineState", object{"name": name})), &state); err != nil {
		n.t.Fatal(err)
	}
	tokens := map[string]string{}
	for _, s := range state.StageStates {
		for _, a := range s.ActionStates {
			if a.LatestExecution.Status == "InProgress" && a.LatestExecution.Token != "" {
				tokens[s.StageName+"."+a.ActionName] = a.LatestExecution.Token
			}
		}
	}
	return tokens
}

// try does an operation that may be refused, and says whether it was done.
func (n *tenant) try(operation string, in object) bool {
	n.t.Helper()
	s, m := n.service("codepipeline")
	for _, op := range m.Operations {
		if op.Name == operation {
			w := n.asked(n.keys, "us-east-1", s, m, op, in)
			if w.Code >= 500 {
				n.t.Errorf("%s %v: %d %s", operation, in, w.Code, w.Body)
			}
			return w.Code < 300
		}
	}
	return false
}

// S-85, W-45: an approval is given with the token of this wait for it: with no other token of the
// stage, the pipeline, another pipeline or another revision, with none that is like it, and once.
func TestApprovalTokens(t *testing.T) {
	t.Parallel()
	a := logging(t, slog.New(slog.DiscardHandler))
	n := newTenant(t, a, "000000000000", "tenant")
	n.furnish()
	n.approving("p")
	n.approving("q")
	approve := func(pipeline, where, token string) bool {
		stage, action, _ := strings.Cut(where, ".")
		return n.try("PutApprovalResult", object{"pipelineName": pipeline, "stageName": stage, "actionName": action, "token": token, "result": object{"status": "Approved", "summary": "yes"}})
	}
	p, q := n.advance("p", "r1"), n.advance("q", "r1")
	if len(p) != 2 || len(q) != 2 {
		t.Fatalf("p waits for %v, q for %v", p, q)
	}
	for _, guess := range guesses(p["Gate.One"], p["Gate.Two"], q["Gate.One"], q["Gate.Two"]) {
		if guess != p["Gate.One"] && approve("p", "Gate.One", guess) {
			t.Fatalf("the token %q is taken for %q", guess, p["Gate.One"])
		}
	}
	for _, where := range []string{"Gate.Two", "Last.One", "Source.Act", "Gate.Three"} {
		if approve("p", where, p["Gate.One"]) {
			t.Errorf("the token of Gate.One is taken for %s", where)
		}
	}
	if approve("q", "Gate.One", p["Gate.One"]) {
		t.Error("a token is taken for another pipeline")
	}
	if !approve("p", "Gate.One", p["Gate.One"]) || approve("p", "Gate.One", p["Gate.One"]) {
		t.Error("a token is good once")
	}
	// Another revision waits where the first did.
	if !approve("p", "Gate.Two", p["Gate.Two"]) {
		t.Error("the second approval is refused")
	}
	last := n.waiting("p")
	if last["Last.One"] == "" || approve("p", "Last.One", p["Gate.One"]) {
		t.Errorf("in the next stage: %v", last)
	}
	n.do("codepipeline", "StartPipelineExecution", object{"name": "p"})
	again := n.advance("p", "r2")
	for where, token := range p {
		if again[where] == "" || again[where] == token || approve("p", where, token) {
			t.Errorf("%s of another revision takes the token of the first: %v", where, again)
		}
	}
	if !approve("p", "Gate.One", again["Gate.One"]) {
		t.Error("the token of this revision is refused")
	}
	// What has been superseded or stopped takes nothing any more.
	n.do("codepipeline", "StopPipelineExecution", object{"pipelineName": "q", "pipelineExecutionId": n.execution("q"), "abandon": true})
	if approve("q", "Gate.One", q["Gate.One"]) {
		t.Error("an execution that was stopped takes an approval")
	}
}

func (n *tenant) execution(pipeline string) string {
	return n.member(n.do("codepipeline", "ListPipelineExecutions", object{"pipelineName": pipeline}), "pipelineExecutionId")
}

// S-310, S-252, N-3, W-34: what opens without a signature of the caller's own, or proves that one
// owns something: nonces, tokens of webhooks and of jobs, signatures of deliveries and URLs. Only
// the right text opens, to the bit, and nothing opens twice that is for once.
func TestGuessedTokens(t *testing.T) {
	t.Parallel()
	a := logging(t, slog.New(slog.DiscardHandler))
	n := newTenant(t, a, "000000000000", "tenant")
	n.furnish()
	n.approving("p")
	serve := func(r *http.Request) int {
		w := httptest.NewRecorder()
		a.server.Handler.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", r.Method, r.URL, w.Code, w.Body)
		}
		return w.Code
	}
	closed := func(what, right string, open func(string) bool, others ...string) {
		t.Helper()
		for _, guess := range guesses(right, others...) {
			if guess != right && open(guess) {
				t.Errorf("%s: %q opens what is for %q", what, guess, right)
				return
			}
		}
		if !open(right) {
			t.Errorf("%s: the right one does not open", what)
		}
	}
	// The tenant's job is claimed; the other pipeline's has a nonce and an id of its own.
	job, nonce := n.right["codepipeline.jobid"], n.right["codepipeline.nonce"]
	polled := n.do("codepipeline", "PollForJobs", object{"actionTypeId": object{"category": "Source", "owner": "Custom", "provider": "tenant-type", "version": "1"}, "queryParam": object{"Plain": "p"}})
	otherJob, otherNonce := n.member(polled, "id"), n.member(polled, "nonce")
	closed("the id of a job", job, func(id string) bool { return n.try("GetJobDetails", object{"jobId": id}) })
	closed("the nonce of a job", nonce, func(guess string) bool { return n.try("AcknowledgeJob", object{"jobId": job, "nonce": guess}) }, otherNonce)
	if n.try("AcknowledgeJob", object{"jobId": otherJob, "nonce": nonce}) {
		t.Error("the nonce of another job is taken")
	}

	hook := n.member(n.do("codepipeline", "ListWebhooks", object{}), "url")
	token := regexp.MustCompile(`[?&]t=([^&]+)`).FindStringSubmatch(hook)[1]
	body := `{"ref":"refs/heads/other"}`
	sign := func(secret string) string {
		h := hmac.New(sha256.New, []byte(secret))
		h.Write([]byte(body))
		return "sha256=" + hex.EncodeToString(h.Sum(nil))
	}
	deliver := func(token, signature string) bool {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, hook, strings.NewReader(body))
		q := r.URL.Query()
		q.Set("t", token)
		r.URL.RawQuery = q.Encode()
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Hub-Signature-256", signature)
		return serve(r) < 300
	}
	secret := n.secrets["secret of a webhook"]
	closed("the token of a webhook", token, func(guess string) bool { return deliver(guess, sign(secret)) })
	hexed := sign(secret)
	closed("the signature of a delivery", hexed, func(guess string) bool {
		return strings.EqualFold(guess, hexed) == (guess == hexed) && deliver(token, guess)
	}, sign(""), sign(secret+"x"), sign(n.secrets["OAuth token"]))
	closed("the secret of a webhook", secret, func(guess string) bool { return deliver(token, sign(guess)) }, n.secrets["secret of a connection's webhook"])

	presigner := s3.NewPresignClient(s3.NewFromConfig(a.administrator(), func(o *s3.Options) { o.UsePathStyle = true }))
	p, err := presigner.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("tenant-bucket"), Key: aws.String("tenant-key")}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	_, query, _ := strings.Cut(p.URL, "?")
	closed("a URL", query, func(guess string) bool {
		if guess != query && (strings.Contains(guess, " ") || strings.Contains(guess, "#") || hexTwins(guess, query)) {
			return false // is no URL, or the same one
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, p.URL, http.NoBody)
		r.URL.RawQuery = guess
		return serve(r) < 300
	})

	password := n.secrets["administrator's key"]
	clone := func(user, password string) bool {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://penstock.example/v1/repos/tenant-repository/info/refs?service=git-upload-pack", http.NoBody)
		r.SetBasicAuth(user, password)
		return serve(r) < 300
	}
	closed("a password of git", password, func(guess string) bool { return clone(n.keys.AccessKeyID, guess) }, n.secrets["key of a user"])
	closed("a user of git", n.keys.AccessKeyID, func(guess string) bool { return clone(guess, password) })

	n.pageTokens()
}

// hexTwins says whether two queries differ in nothing but the case of hexadecimal digits, or in
// an & at an end.
func hexTwins(a, b string) bool { return strings.EqualFold(a, b) || strings.Trim(a, "&") == b }

// pageTokens takes the token of the first page of every list, and gives it, and guesses of it, to
// every list, signed by the tenant and by another account: no page is somebody else's, and no token
// breaks a server.
func (n *tenant) pageTokens() {
	other := newTenant(n.t, n.a, "111111111111", "other")
	input := func(s *api.Service, m *published, op modelled, token string) (object, string) {
		in := n.pointed(m, op, func(member string) string { return n.right[s.Name+"."+strings.ToLower(member)] })
		where := ""
		for _, f := range m.Shapes[op.Input].Members {
			switch strings.ToLower(f.Name) {
			case "nexttoken", "marker":
				if delete(in, f.Name); token != "" {
					in[f.Name] = token
				}
				where = f.Name
			case "maxresults", "limit", "maxitems", "maxrecords", "pagesize":
				if m.Shapes[f.Shape].Type == "integer" {
					in[f.Name] = max(1, m.Shapes[f.Shape].Min)
				}
			}
		}
		return in, where
	}
	tokens := map[string]string{}
	n.eachOperation(func(s *api.Service, m *published, op modelled) {
		in, where := input(s, m, op, "")
		if where == "" || s.Name == "cloudtrail" {
			return
		}
		w := n.asked(n.keys, "us-east-1", s, m, op, in)
		if f := regexp.MustCompile(`(?i)"(?:nextToken|nextMarker|marker)":"([^"]+)"|<(?:NextToken|Marker)>([^<]+)<`).FindStringSubmatch(w.Body.String()); f != nil && w.Code < 300 {
			tokens[s.Name+"."+op.Name] = f[1] + f[2]
		}
	})
	if len(tokens) < 8 {
		n.t.Errorf("only these lists have a second page: %v", tokens)
	}
	sent := 0
	n.eachOperation(func(s *api.Service, m *published, op modelled) {
		if _, where := input(s, m, op, ""); where == "" || s.Name == "cloudtrail" {
			return
		}
		name := s.Name + "." + op.Name
		var list []string
		for i, guess := range guesses(tokens[name]) {
			if i%5 == 0 { // every fifth will do
				list = append(list, guess)
			}
		}
		for _, token := range tokens {
			list = append(list, token, token+"\x00")
			// What no database keeps, behind what the server itself has written.
			for _, coding := range []*base64.Encoding{base64.RawURLEncoding, base64.StdEncoding} {
				if within, err := coding.DecodeString(token); err == nil {
					list = append(list, coding.EncodeToString(append(slices.Clone(within), 0)), coding.EncodeToString(append(slices.Clone(within), 0xff)), coding.EncodeToString(within[:1]))
					if i := bytes.LastIndexByte(within, '"'); i > 0 {
						list = append(list, coding.EncodeToString(slices.Concat(within[:i], []byte(`\u0000`), within[i:])))
					}
				}
			}
		}
		for _, token := range list {
			sent++
			in, _ := input(s, m, op, token)
			if w := n.asked(n.keys, "us-east-1", s, m, op, in); w.Code >= 500 {
				n.t.Errorf("%s with the token %q: %d %s", name, token, w.Code, w.Body)
			}
			w := n.asked(other.keys, "us-east-1", s, m, op, in)
			if text := w.Body.String(); w.Code >= 500 || strings.Contains(text, inner) || w.Code < 300 && strings.Contains(text, ":000000000000:") {
				n.t.Errorf("%s with another account's token %q: %d %s", name, token, w.Code, text)
			}
		}
	})
	if sent < 500 {
		n.t.Error(fmt.Sprint("only ", sent, " tokens were tried"))
	}
}
