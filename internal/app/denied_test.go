package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"penstock/internal/api"
)

// published is what the walk needs of a model: how to make the least input that its
// constraints let through.
type published struct {
	Operations []modelled
	Shapes     map[string]struct {
		Type           string
		Members        []struct{ Name, Shape, In, As string }
		Required, Enum []string
		Element, Key   string
		Value, Pattern string
		Min, Max       int
	}
}

type modelled struct{ Name, Input, Method, Path string }

// models reads the models of the services, and the operations that are our own.
func models(t *testing.T) map[string]*published {
	t.Helper()
	read := func(name string, v any) {
		text, err := os.ReadFile(filepath.Join("..", "api", "models", name+".json"))
		if err == nil {
			err = json.Unmarshal(text, v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var overrides map[string]struct{ Own *published }
	read("overrides", &overrides)
	all := map[string]*published{}
	files, err := filepath.Glob(filepath.Join("..", "api", "models", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "overrides" {
			continue
		}
		m := new(published)
		read(name, m)
		if own := overrides[name].Own; own != nil {
			m.Operations = append(m.Operations, own.Operations...)
			for k, s := range own.Shapes {
				m.Shapes[k] = s
			}
		}
		all[name] = m
	}
	return all
}

// values are tried for a member with a pattern.
var values = []string{
	"name", "1", "12345678-1234-1234-1234-123456789012", "arn:aws:iam::000000000000:role/name", "arn:aws:codepipeline:us-east-1:000000000000:name",
	"arn:aws:events:us-east-1:000000000000:rule/name", "arn:aws:codestar-connections:us-east-1:000000000000:connection/12345678-1234-1234-1234-123456789012",
	strings.Repeat("a", 40), "name@example.org", "https://example.org/", "refs/heads/name", "AKIAIOSFODNN7EXAMPLE", "123456789012",
	"arn:aws:logs:us-east-1:000000000000:log-group:name", "123456", "/name/", "projects/name", "AWS", "v1", "aws.partner/name/name",
	"arn:aws:events:us-east-1:000000000000:connection/name/1", "arn:aws:events:us-east-1:000000000000:event-bus/name",
	"arn:aws:route53:::healthcheck/12345678-1234-1234-1234-123456789012", "o-aaaaaaaaaa/r-aaaa",
	"arn:aws:codeconnections:us-east-1:000000000000:host/name/1", "us-east-1", "name.amazonaws.com",
	"arn:aws:codestar-notifications:us-east-1:000000000000:notificationrule/name",
}

// least gives the least value of a shape.
func (m *published) least(t *testing.T, name string, depth int) any {
	s := m.Shapes[name]
	if depth > 8 {
		return nil
	}
	switch s.Type {
	case "structure":
		out := map[string]any{}
		for _, f := range s.Members {
			if slices.Contains(s.Required, f.Name) {
				out[f.Name] = m.least(t, f.Shape, depth+1)
			}
		}
		return out
	case "list":
		return slices.Repeat([]any{m.least(t, s.Element, depth+1)}, max(s.Min, 1))
	case "map":
		return map[string]any{fmt.Sprint(m.least(t, s.Key, depth+1)): m.least(t, s.Value, depth+1)}
	case "boolean":
		return false
	case "integer", "long", "double", "float", "timestamp":
		return max(s.Min, 1)
	case "blob":
		return "eA=="
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	if s.Pattern != "" {
		re, err := regexp.Compile("^(?:" + s.Pattern + ")$")
		for _, v := range slices.Concat(values, functionValues) {
			if err == nil && re.MatchString(v) && len(v) >= s.Min && (s.Max == 0 || len(v) <= s.Max) {
				return v
			}
		}
	}
	return "name" + strings.Repeat("x", max(0, s.Min-4))
}

// form is a document as the query protocol spells it.
func form(to url.Values, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			form(to, strings.TrimPrefix(prefix+"."+k, "."), e)
		}
	case []any:
		for i, e := range v {
			form(to, fmt.Sprintf("%s.member.%d", prefix, i+1), e)
		}
	default:
		to.Set(prefix, fmt.Sprint(v))
	}
}

// said are members that an operation needs although its model does not say so, or that
// decide which resource it is about.
var said = map[string]map[string]any{
	"codecommit.GetBranch":           {"repositoryName": "name", "branchName": "name"},
	"codecommit.ListTagsForResource": {"resourceArn": repository}, "codecommit.TagResource": {"resourceArn": repository},
	"codecommit.UntagResource": {"resourceArn": repository},
	"logs.DescribeLogStreams":  {"logGroupName": "name"}, "logs.FilterLogEvents": {"logGroupName": "name"}, "logs.GetLogEvents": {"logGroupName": "name"},
	"codepipeline.RegisterWebhookWithThirdParty": {"webhookName": "name"}, "codepipeline.DeregisterWebhookWithThirdParty": {"webhookName": "name"},
	"sns.ConfirmSubscription": {"TopicArn": topic}, "sns.DeleteTopic": {"TopicArn": topic}, "sns.GetTopicAttributes": {"TopicArn": topic},
	"sns.ListSubscriptionsByTopic": {"TopicArn": topic}, "sns.ListTagsForResource": {"ResourceArn": topic}, "sns.Publish": {"TopicArn": topic},
	"sns.PublishBatch": {"TopicArn": topic}, "sns.SetTopicAttributes": {"TopicArn": topic}, "sns.Subscribe": {"TopicArn": topic, "Protocol": "https", "Endpoint": "https://example.org/"},
	"sns.TagResource": {"ResourceArn": topic}, "sns.UntagResource": {"ResourceArn": topic}, "sns.GetSubscriptionAttributes": {"SubscriptionArn": subscription},
	"sns.SetSubscriptionAttributes": {"SubscriptionArn": subscription}, "sns.Unsubscribe": {"SubscriptionArn": subscription},
	"iam.CreateDelegationRequest":            {"Permissions": map[string]any{"PolicyTemplateArn": "arn:aws:iam::000000000000:policy/name"}},
	"iam.CreateServiceSpecificCredential":    {"ServiceName": "codepipeline.amazonaws.com"},
	"iam.GetServiceLinkedRoleDeletionStatus": {"DeletionTaskId": "task/aws-service-role/events.amazonaws.com/AWSServiceRoleForCloudWatchEvents/12345678-1234-1234-1234-123456789012"},
	"sts.AssumeRoot":                         {"TaskPolicyArn": map[string]any{"arn": "arn:aws:iam::000000000000:policy/name"}},
}

const (
	repository   = "arn:aws:codecommit:us-east-1:000000000000:name"
	topic        = "arn:aws:sns:us-east-1:000000000000:name"
	subscription = topic + ":12345678-1234-1234-1234-123456789012"
)

// free are operations that need no permission.
var free = map[string]string{
	"sts.GetCallerIdentity": "who can sign may know who they are",
	"sts.GetSessionToken":   "gives no more than the caller has",
}

// stranger makes a user without policies, and gives what signs for it.
func stranger(t *testing.T, a *App, name string) aws.Credentials {
	t.Helper()
	users := iam.NewFromConfig(a.administrator())
	if _, err := users.CreateUser(t.Context(), &iam.CreateUserInput{UserName: &name}); err != nil {
		t.Fatal(err)
	}
	out, err := users.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: *out.AccessKey.AccessKeyId, SecretAccessKey: *out.AccessKey.SecretAccessKey}
}

// ask sends a request to the door, signed if there are credentials.
func (a *App) ask(t *testing.T, keys *aws.Credentials, scope string, r *http.Request, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	if keys != nil {
		if err := signer(t, r, *keys, scope, body); err != nil {
			t.Fatal(err)
		}
	}
	w := httptest.NewRecorder()
	a.server.Handler.ServeHTTP(w, r)
	return w
}

// signer signs a request with the SDK's own.
func signer(t *testing.T, r *http.Request, keys aws.Credentials, scope string, body []byte) error {
	hash := sha256.Sum256(body)
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(hash[:]))
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = scope == "s3" }).
		SignHTTP(t.Context(), keys, r, hex.EncodeToString(hash[:]), scope, "us-east-1", time.Now())
}

// request makes the least request for an operation.
func request(t *testing.T, s *api.Service, m *published, op modelled) (*http.Request, []byte) {
	t.Helper()
	in, _ := m.least(t, op.Input, 0).(map[string]any)
	if in == nil {
		in = map[string]any{}
	}
	for k, v := range said[s.Name+"."+op.Name] {
		in[k] = v
	}
	return spell(t, s, m, op, in)
}

// spell writes a request in the protocol of its service.
func spell(t *testing.T, s *api.Service, m *published, op modelled, in map[string]any) (*http.Request, []byte) {
	t.Helper()
	if s.Protocol == api.RESTJSON {
		return m.rest(t, s, op, in)
	}
	var body []byte
	if s.Protocol == api.Query {
		values := url.Values{"Action": {op.Name}, "Version": {s.Version}}
		form(values, "", in)
		body = []byte(values.Encode())
	} else {
		var err error
		if body, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://penstock.example/", bytes.NewReader(body))
	if s.Protocol == api.Query {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	} else {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", s.Target+"."+op.Name)
	}
	return r, body
}

// rest is a request of the rest-json protocol: members are in the path, the query, headers
// and the body.
func (m *published) rest(t *testing.T, s *api.Service, op modelled, in map[string]any) (*http.Request, []byte) {
	t.Helper()
	path, fixed, _ := strings.Cut(op.Path, "?")
	query, err := url.ParseQuery(fixed)
	if err != nil {
		t.Fatal(err)
	}
	header, payload := http.Header{}, []byte(nil)
	for _, f := range m.Shapes[op.Input].Members {
		v, ok := in[f.Name]
		if f.In == "" || !ok {
			continue
		}
		delete(in, f.Name)
		text := fmt.Sprint(v)
		switch f.In {
		case "uri":
			path = strings.Replace(strings.Replace(path, "{"+f.As+"+}", "{"+f.As+"}", 1), "{"+f.As+"}", url.PathEscape(text), 1)
		case "querystring":
			query.Set(f.As, strings.Trim(text, "[]"))
		case "header":
			header.Set(f.As, text)
		case "payload":
			payload, err = json.Marshal(v)
		}
	}
	body := payload
	if len(in) > 0 && body == nil {
		body, err = json.Marshal(in)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	r := httptest.NewRequestWithContext(t.Context(), op.Method, "http://"+s.Scope+".penstock.example"+path, bytes.NewReader(body))
	r.Header = header
	return r, body
}

// W-20, W-32, W-33: every operation of every service refuses who has not signed and who may
// not, before it looks anything up.
func TestEveryOperationAsksWhoMay(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	keys := stranger(t, a, "stranger")
	all, refused := models(t), 0
	for _, s := range a.rooms.services {
		m := all[strings.Replace(s.Name, "codestarconnections", "codeconnections", 1)] // one service under two names
		if m == nil {
			t.Fatalf("no model of %s", s.Name)
		}
		found := 0
		for _, op := range m.Operations {
			if s.Operations[op.Name] == nil {
				continue
			}
			found++
			name := s.Name + "." + op.Name
			r, body := request(t, s, m, op)
			if w := a.ask(t, nil, "", r, body); w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), "MissingAuthenticationToken") {
				t.Errorf("%s, unsigned: %d %s", name, w.Code, w.Body)
			}
			r, body = request(t, s, m, op)
			w := a.ask(t, &keys, s.Scope, r, body)
			text := w.Header().Get("X-Amzn-Errortype") + w.Body.String()
			switch {
			case notOffered(text):
			case free[name] != "":
				if w.Code != http.StatusOK {
					t.Errorf("%s needs no permission: %d %s", name, w.Code, text)
				}
			case !strings.Contains(text, "AccessDenied") || w.Code < 400 || w.Code >= 500:
				t.Errorf("%s, without a permission: %d %s\n%s", name, w.Code, text, body)
			default:
				refused++
			}
		}
		if found != len(s.Operations) {
			t.Errorf("%s: %d of %d operations are in the model", s.Name, found, len(s.Operations))
		}
	}
	if refused < 150 {
		t.Errorf("only %d operations were refused: the walk does not reach them", refused)
	}
}
