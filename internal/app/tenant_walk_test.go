package app

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/api"
)

// logging starts a system with this log, and a mail server that is not there.
func logging(t *testing.T, log *slog.Logger) *App {
	t.Helper()
	return regional(t, "us-east-1", log)
}

// regional is logging in a Region.
func regional(t *testing.T, region string, log *slog.Logger) *App {
	t.Helper()
	return loggingOn(t, region, "", log)
}

// loggingOn is logging in a Region and on a database; an empty one is SQLite.
func loggingOn(t *testing.T, region, database string, log *slog.Logger) *App {
	t.Helper()
	cfg := Default()
	cfg.Data, cfg.Listen, cfg.Region, cfg.Database, cfg.Log = t.TempDir(), "127.0.0.1:0", region, database, log
	cfg.SMTP, cfg.SMTPFrom = "smtp://u:s3cret%26smtp%2F0a1b2c3d4e5f@127.0.0.1:1", "penstock@example.org"
	a, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// pointed gives the input of an operation whose members say what choose gives for them: all that
// are required, and of the others those for which choose gives something.
func (n *tenant) pointed(m *published, op modelled, choose func(member string) string) map[string]any {
	var value func(name, member string, depth int) any
	value = func(name, member string, depth int) any {
		s := m.Shapes[name]
		switch s.Type {
		case "structure":
			out := object{}
			for _, f := range s.Members {
				required := slices.Contains(s.Required, f.Name)
				if depth > 4 || !required && m.Shapes[f.Shape].Type == "structure" {
					continue
				}
				element := m.Shapes[f.Shape]
				if element.Type == "list" {
					element = m.Shapes[element.Element]
				}
				if required || choose(f.Name) != "" && element.Type == "string" && len(element.Enum) == 0 {
					out[f.Name] = value(f.Shape, f.Name, depth+1)
				}
			}
			return out
		case "list":
			return slices.Repeat([]any{value(s.Element, strings.TrimSuffix(member, "s"), depth+1)}, max(s.Min, 1))
		case "string":
			text := choose(member)
			if text == "" {
				text = choose(member + "s")
			}
			if len(s.Enum) == 0 && text != "" && len(text) >= s.Min && (s.Max == 0 || len(text) <= s.Max) {
				if s.Pattern == "" {
					return text
				}
				if re, err := regexp.Compile("^(?:" + s.Pattern + ")$"); err != nil || re.MatchString(text) {
					return text
				}
			}
			if slices.Contains(s.Enum, text) {
				return text
			}
		}
		return m.least(n.t, name, depth)
	}
	in, _ := value(op.Input, "", 0).(object)
	if in == nil {
		in = object{}
	}
	return in
}

// eachOperation visits every operation that the rooms offer.
func (n *tenant) eachOperation(visit func(s *api.Service, m *published, op modelled)) {
	for _, s := range n.a.rooms.services {
		_, m := n.service(s.Name)
		for _, op := range m.Operations {
			if s.Operations[op.Name] != nil {
				visit(s, m, op)
			}
		}
	}
}

// foreign are the places at which an input of the other account names what is its own.
var foreign = regexp.MustCompile(`other-bucket|arn:aws:[a-z]+:[a-z0-9-]*:111111111111:[A-Za-z0-9:/._-]*`)

// naming are members that say what a request is about.
var naming = regexp.MustCompile(`(?i)arn|name|id$|ids$|account|resource|role|pipeline|bucket|source`)

var reading = regexp.MustCompile(`^(Get|List|Describe|BatchGet|Filter|Explain)`)

// told gives what those with keys are told when they ask, with the tenant's own names, for all
// there is to read.
func (n *tenant) told(keys aws.Credentials, region string) map[string]string {
	answers := map[string]string{}
	n.eachOperation(func(s *api.Service, m *published, op modelled) {
		if !reading.MatchString(op.Name) || s.Name == "cloudtrail" || s.Name == "sts" || op.Name == "GetRandomPassword" || strings.HasPrefix(op.Name, "GetMetric") || op.Name == "ListMetrics" {
			return
		}
		name := s.Name + "." + op.Name
		in := n.pointed(m, op, func(member string) string { return n.right[s.Name+"."+strings.ToLower(member)] })
		w := n.asked(keys, region, s, m, op, in)
		if w.Code < 300 {
			answers[name] = regexp.MustCompile(`<RequestId>[^<]*<|"requestId":"[^"]*"|"artifactCredentials":{[^}]*}`).ReplaceAllString(w.Body.String(), "")
		}
	})
	for _, path := range []string{"/tenant-bucket/tenant-key", "/tenant-bucket?versions", "/tenant-bucket?acl"} {
		w := n.sent(keys, region, "s3", httptest.NewRequestWithContext(n.t.Context(), http.MethodGet, "http://penstock.example"+path, http.NoBody), nil)
		if w.Code < 300 {
			answers[path] = w.Body.String()
		}
	}
	return answers
}

// S-2, W-31, W-43, N-3: whatever a request names, and wherever in it, it is about the account and
// the Region of who signed it. The administrator of another account, and this one's in another
// Region, send every operation with the names, ARNs and ids of the tenant in every member that
// takes one: nothing of the tenant is in an answer, and afterwards it has what it had.
func TestNobodyElsesTenant(t *testing.T) {
	t.Parallel()
	a := logging(t, slog.New(slog.DiscardHandler))
	n := newTenant(t, a, "000000000000", "tenant")
	n.furnish()
	other, twisted := newTenant(t, a, "111111111111", "other"), 0
	before := n.told(n.keys, "us-east-1")
	within := 0
	for _, text := range before {
		if strings.Contains(text, inner) {
			within++
		}
	}
	if len(before) < 90 || within < 30 {
		t.Errorf("the tenant itself is told %d things, %d of them with content: the names do not lead to them", len(before), within)
	}
	sent := 0
	look := func(who, name string, w *httptest.ResponseRecorder, in any) {
		sent++
		text := w.Body.String()
		if strings.Contains(text, inner) || w.Code >= 500 && w.Code != http.StatusNotImplemented {
			t.Errorf("%s: %s %v: %d %s", who, name, in, w.Code, text)
		}
		for kind, secret := range n.secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %s is told the %s", who, name, kind)
			}
		}
	}
	walk := func(who string, keys aws.Credentials, region string) {
		n.eachOperation(func(s *api.Service, m *published, op modelled) {
			if region != "us-east-1" && (s.Name == "iam" || s.Name == "sts" || s.Name == "cloudtrail") { // which are of an account
				return
			}
			ask := func(choose func(string) string) {
				in := n.pointed(m, op, choose)
				look(who, s.Name+"."+op.Name, n.asked(keys, region, s, m, op, in), in)
			}
			right := func(member string) string { return n.right[s.Name+"."+strings.ToLower(member)] }
			ask(right)
			for _, id := range n.ids[s.Name] {
				ask(func(member string) string {
					if naming.MatchString(member) {
						return id
					}
					return right(member)
				})
			}
		})
	}
	walk("another account", other.keys, "us-east-1")
	walk("another Region", n.keys, "eu-west-1")
	for _, r := range objectRoutes(t, "tenant-bucket") {
		look("another account", r.Method+" "+r.URL.String(), n.sent(other.keys, "us-east-1", "s3", r, nil), nil)
	}
	// What the other account makes for itself is made with what is the tenant's in one place.
	other.before = func(s *api.Service, m *published, op modelled, in object) {
		if op.Name == "CreateRole" { // whose owner lets in whom it wants
			return
		}
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, place := range foreign.FindAllStringIndex(string(text), -1) {
			taken := strings.NewReplacer(other.account, n.account, other.name, n.name).Replace(string(text[place[0]:place[1]]))
			changed := object{}
			if err := json.Unmarshal(slices.Concat(text[:place[0]], []byte(taken), text[place[1]:]), &changed); err != nil {
				t.Fatal(err)
			}
			if w := other.asked(other.keys, "us-east-1", s, m, op, changed); w.Code < 400 || w.Code >= 500 {
				t.Errorf("%s.%s with %s: %d %s", s.Name, op.Name, taken, w.Code, w.Body)
			}
			twisted++
		}
	}
	other.furnish()
	copied := put(t, "/other-bucket/stolen", "")
	copied.Header.Set("X-Amz-Copy-Source", "/tenant-bucket/tenant-key")
	if w := n.sent(other.keys, "us-east-1", "s3", copied, nil); w.Code != http.StatusForbidden {
		t.Errorf("a copy of another account's object: %d %s", w.Code, w.Body)
	}
	clone := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://penstock.example/v1/repos/tenant-repository/info/refs?service=git-upload-pack", http.NoBody)
	clone.SetBasicAuth(other.keys.AccessKeyID, other.keys.SecretAccessKey)
	w := httptest.NewRecorder()
	if a.server.Handler.ServeHTTP(w, clone); w.Code != http.StatusNotFound {
		t.Errorf("a clone of another account's repository: %d %s", w.Code, w.Body)
	}
	after := n.told(n.keys, "us-east-1")
	for name, text := range before {
		if after[name] != text {
			t.Errorf("%s was\n%s\nand is\n%s", name, text, after[name])
		}
	}
	if sent < 8000 || twisted < 15 {
		t.Errorf("only %d requests, %d of them twisted", sent, twisted)
	}
}
