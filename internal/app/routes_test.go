package app

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codecommit"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/auth"
)

// open are the answers that nobody needs credentials for; every other path and operation is
// refused.
var open = map[string]int{
	"/healthz": http.StatusOK, "/readyz": http.StatusOK,
	"/sns/":      http.StatusNotFound, // without the token of a link of a message
	"/webhooks/": http.StatusNotFound, // without the token of a webhook
}

// ownPaths reads from the source of the door which paths are its own.
func ownPaths(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "awswire", "route.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(text), "func (d *Door) ownPath(")
	body, _, _ = strings.Cut(body, "\n}\n")
	var paths []string
	for _, m := range regexp.MustCompile(`"(/[a-z0-9/]+)"`).FindAllStringSubmatch(body, -1) {
		paths = append(paths, m[1])
	}
	if len(paths) < 8 {
		t.Fatalf("the door has only the paths %q", paths)
	}
	return paths
}

// objectRoutes are requests that reach every operation of S3, and what is none: each method on
// each level with each parameter that the room's source knows.
func objectRoutes(t *testing.T, bucket string) (list []*http.Request) {
	t.Helper()
	params := map[string]bool{"": true, "list-type=2": true}
	for file, form := range map[string]string{"route.go": `(?:Level|service), [a-z]+, "([a-zA-Z-]+)"|\t"([a-z][a-zA-Z-]+)", |"([a-z][a-zA-Z-]+)", `, "documents.go": `param: "([a-zA-Z-]+)"`} {
		text, err := os.ReadFile(filepath.Join("..", "svc", "s3", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(form).FindAllStringSubmatch(string(text), -1) {
			params[strings.Join(m[1:], "")] = true
		}
	}
	if len(params) < 35 {
		t.Fatalf("S3 has only %d parameters", len(params))
	}
	add := func(method, path, copyOf string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "http://penstock.example"+path, http.NoBody)
		if copyOf != "" {
			r.Header.Set("X-Amz-Copy-Source", copyOf)
		}
		if strings.HasPrefix(path, "/v20180820/") {
			r.Header.Set("X-Amz-Account-Id", "000000000000")
		}
		list = append(list, r)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodDelete} {
		for param := range params {
			for _, path := range []string{"/" + bucket, "/" + bucket + "/key", "/" + bucket + "/new"} {
				add(method, path+"?"+param, "")
			}
		}
		add(method, "/v20180820/tags/arn%3Aaws%3As3%3A%3A%3A"+bucket, "")
	}
	add(http.MethodPut, "/"+bucket+"/new", "/"+bucket+"/key")
	add(http.MethodPut, "/"+bucket+"/new?partNumber=1&uploadId=x", "/"+bucket+"/key")
	add(http.MethodPut, "/"+bucket+"/new?partNumber=1", "/"+bucket+"/key")
	return list
}

// nobodies are credentials that are none, or none any more, or may do nothing; each with what
// says so in some protocol.
func nobodies(t *testing.T, a *App) map[string]struct {
	keys *aws.Credentials
	says []string
} {
	t.Helper()
	users := iam.NewFromConfig(a.administrator())
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::000000000000:root"}}]}`
	session := func(role string, life time.Duration, remove bool) *aws.Credentials {
		made, err := users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: &trust})
		if err == nil {
			_, err = users.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
		}
		if err != nil {
			t.Fatal(err)
		}
		c, err := a.auth.Mint(t.Context(), auth.MintInput{RoleARN: *made.Role.Arn, SessionName: "session", Duration: life})
		if err == nil && remove {
			_, err = users.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: &role, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
			if err == nil {
				_, err = users.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: &role})
			}
			if err == nil { // another one has its name
				_, err = users.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &role, AssumeRolePolicyDocument: &trust})
			}
			if err == nil {
				_, err = users.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: aws.String("arn:aws:iam::aws:policy/AdministratorAccess")})
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return &aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: string(c.SecretAccessKey), SessionToken: string(c.SessionToken)}
	}
	mine := stranger(t, a, "nobody")
	off := stranger(t, a, "off")
	if _, err := users.UpdateAccessKey(t.Context(), &iam.UpdateAccessKeyInput{UserName: aws.String("off"), AccessKeyId: &off.AccessKeyID, Status: iamtypes.StatusTypeInactive}); err != nil {
		t.Fatal(err)
	}
	expired := session("expired", -time.Second, false)
	forged := session("forged", time.Hour, false)
	forged.SessionToken = expired.SessionToken
	unknown := []string{"UnrecognizedClient", "InvalidClientTokenId", "InvalidAccessKeyId"}
	return map[string]struct {
		keys *aws.Credentials
		says []string
	}{
		"no credentials":               {nil, []string{"MissingAuthenticationToken", "<Code>AccessDenied</Code>"}},
		"an expired session":           {expired, []string{"ExpiredToken"}},
		"a session of a removed role":  {session("removed", time.Hour, true), []string{"AccessDenied", "Must specify userName when calling with non-User credentials"}},
		"the token of another session": {forged, unknown},
		"an inactive key":              {&off, unknown},
		"a user without permissions":   {&mine, []string{"AccessDenied"}},
	}
}

// W-20, W-32, W-33, W-36, W-43: every path and every operation of every service, asked by those
// who are nobody, tells and does nothing. Paths, parameters and operations are read from the
// sources and the models of the server.
func TestEveryRouteRefusesNobody(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	cfg := a.administrator()
	store := s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := store.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("artifacts")}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("artifacts"), Key: aws.String("key"), Body: strings.NewReader(canary)}); err != nil {
		t.Fatal(err)
	}
	if _, err := codecommit.NewFromConfig(cfg).CreateRepository(t.Context(), &codecommit.CreateRepositoryInput{RepositoryName: aws.String("name"), RepositoryDescription: aws.String(canary)}); err != nil {
		t.Fatal(err)
	}
	all, walked := models(t), 0
	for who, c := range nobodies(t, a) {
		judge := func(what string, w *httptest.ResponseRecorder) {
			t.Helper()
			walked++
			text := w.Header().Get("X-Amzn-Errortype") + w.Body.String()
			refused := w.Code >= 400 && w.Code < 500
			said := false
			for _, code := range c.says {
				said = said || strings.Contains(text, code)
			}
			if !refused || !said && w.Body.Len() > 0 || strings.Contains(text, canary) {
				t.Errorf("%s: %s: %d %s", who, what, w.Code, text)
			}
		}
		for _, s := range a.rooms.services {
			m := all[strings.Replace(s.Name, "codestarconnections", "codeconnections", 1)]
			for _, op := range m.Operations {
				if s.Operations[op.Name] == nil {
					continue
				}
				r, body := request(t, s, m, op)
				w := a.ask(t, c.keys, s.Scope, r, body)
				if notOffered(w.Body.String()) || free[s.Name+"."+op.Name] != "" && c.says[0] == "AccessDenied" && w.Code == http.StatusOK {
					continue
				}
				judge(s.Name+"."+op.Name, w)
			}
		}
		for _, r := range objectRoutes(t, "artifacts") {
			what := r.Method + " " + r.URL.String()
			w := a.ask(t, c.keys, "s3", r, nil)
			if c.keys != nil && (w.Code == http.StatusNotImplemented || w.Code == http.StatusMethodNotAllowed || w.Code == http.StatusBadRequest && !strings.Contains(what, "/key?")) {
				continue // there is no such operation, or it is not understood
			}
			judge(what, w)
		}
		if c.keys != nil {
			continue
		}
		for _, path := range ownPaths(t) {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
				for _, tail := range []string{"", "x", "name/info/refs?service=git-upload-pack", "name/git-receive-pack", "?Action=ListTopics", "?Action=ConfirmSubscription&TopicArn=" + topic + "&Token=x", "%2e%2e/"} {
					r := httptest.NewRequestWithContext(t.Context(), method, "http://penstock.example"+path+tail, bytes.NewReader(nil))
					w := a.ask(t, nil, "", r, nil)
					if status, ok := open[path]; w.Code < 400 && (!ok || status != http.StatusOK || tail != "" && !strings.HasPrefix(tail, "?")) || w.Code >= 500 || strings.Contains(w.Body.String(), canary) {
						t.Errorf("%s %s: %d %s", method, r.URL, w.Code, w.Body)
					}
				}
			}
		}
	}
	if out, err := store.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("artifacts"), Key: aws.String("key")}); err != nil {
		t.Errorf("the object is gone: %v", err)
	} else {
		out.Body.Close()
	}
	if walked < 6*(250+500) {
		t.Errorf("only %d requests", walked)
	}
}
