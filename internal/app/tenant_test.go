package app

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"penstock/internal/api"
	"penstock/internal/arn"
	"penstock/internal/auth"
)

// inner stands in the contents of everything that a tenant has, and in no name.
const inner = "inner-5e6f7a8b9c0d"

// tenant is an account with one of everything, and what every secret in it is.
type tenant struct {
	t      *testing.T
	a      *App
	models map[string]*published
	keys   aws.Credentials
	// account, region and name take the place of 000000000000, us-east-1 and tenant in what
	// furnish sends, and ARNs have the partition of the Region.
	account, region, name string
	// before is shown every operation of furnish before it is sent; may be nil.
	before func(s *api.Service, m *published, op modelled, in object)
	// after is shown every answer to furnish; may be nil.
	after func(operation, answer string)
	// secrets are by what they are; ids are what somebody else could know or guess: the ARNs,
	// names and ids of a service.
	secrets map[string]string
	ids     map[string][]string
	// right are the values of members with which the tenant itself is served.
	right   map[string]string
	answers strings.Builder
}

// secret makes one that changes its look in every encoding.
func (n *tenant) secret(kind string) string {
	text := "s3cret&" + strings.ReplaceAll(kind, " ", "/") + "+0a1b2c3d4e5f"
	n.secrets[kind] = text
	return text
}

func (n *tenant) service(name string) (*api.Service, *published) {
	for _, s := range n.a.rooms.services {
		if s.Name == name {
			return s, n.models[strings.Replace(name, "codestarconnections", "codeconnections", 1)]
		}
	}
	n.t.Fatalf("there is no service %s", name)
	return nil, nil
}

// asked sends an operation with an input, signed with keys for a Region.
func (n *tenant) asked(keys aws.Credentials, region string, s *api.Service, m *published, op modelled, in map[string]any) *httptest.ResponseRecorder {
	r, body := spell(n.t, s, m, op, in)
	return n.sent(keys, region, s.Scope, r, body)
}

func (n *tenant) sent(keys aws.Credentials, region, scope string, r *http.Request, body []byte) *httptest.ResponseRecorder {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", hash)
	if err := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = scope == "s3" }).SignHTTP(n.t.Context(), keys, r, hash, scope, region, time.Now()); err != nil {
		n.t.Fatal(err)
	}
	w := httptest.NewRecorder()
	n.a.server.Handler.ServeHTTP(w, r)
	return w
}

type object = map[string]any

// do is an operation that the tenant does and that has to succeed. Its answer is remembered
// unless it is there to give a secret.
func (n *tenant) do(service, operation string, in object) string {
	n.t.Helper()
	s, m := n.service(service)
	i := slices.IndexFunc(m.Operations, func(op modelled) bool { return op.Name == operation })
	if i < 0 {
		n.t.Fatalf("%s has no operation %s", service, operation)
	}
	in = n.own(in)
	if n.before != nil {
		n.before(s, m, m.Operations[i], n.own(in))
	}
	sent, err := json.Marshal(in)
	if err != nil {
		n.t.Fatal(err)
	}
	w := n.asked(n.keys, n.region, s, m, m.Operations[i], in)
	text := w.Body.String()
	if w.Code >= 300 {
		n.t.Fatalf("%s.%s: %d %s", service, operation, w.Code, text)
	}
	if n.after != nil {
		n.after(service+"."+operation, text)
	}
	n.learn(service, string(sent)+text)
	switch operation {
	case "CreateAccessKey", "CreateServiceSpecificCredential", "PollForJobs", "GetJobDetails", "CompleteConnection", "GetSecretValue", "AssumeRole", "GetSessionToken":
	default:
		n.answers.WriteString(operation + ": " + text + "\n")
	}
	return text
}

// local puts what is the tenant's own into what furnish says.
func (n *tenant) local() *strings.Replacer {
	return strings.NewReplacer("tenant", n.name, "000000000000", n.account, "us-east-1", n.region, "arn:aws:", "arn:"+arn.Partition(n.region)+":")
}

// own gives a copy of an input in which names and accounts are the tenant's own.
func (n *tenant) own(in object) (out object) {
	text, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal([]byte(n.local().Replace(string(text))), &out)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// member takes one value out of an answer, in JSON or XML.
func (n *tenant) member(text, name string) string {
	n.t.Helper()
	m := regexp.MustCompile(`(?i)"` + name + `"\s*:\s*"([^"]+)"|<` + name + `>([^<]+)<`).FindStringSubmatch(text)
	if m == nil {
		n.t.Fatalf("no %s in %s", name, text)
	}
	return m[1] + m[2]
}

func put(t *testing.T, path string, body string) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), http.MethodPut, "http://penstock.example"+path, strings.NewReader(body))
}

const emptyZip = "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA=="

// newTenant makes an account that has an administrator and nothing else.
func newTenant(t *testing.T, a *App, account, name string) *tenant {
	t.Helper()
	id, secret, err := auth.Bootstrap(t.Context(), a.db, a.cfg.Region, account)
	if err != nil {
		t.Fatal(err)
	}
	return &tenant{t: t, a: a, models: models(t), account: account, region: a.cfg.Region, name: name, keys: aws.Credentials{AccessKeyID: id, SecretAccessKey: string(secret)},
		secrets: map[string]string{"administrator's key": string(secret)}, ids: map[string][]string{}, right: map[string]string{}}
}

// furnish gives the account one of everything: inner in the contents, a secret wherever there can
// be one.
func (n *tenant) furnish() {
	t := n.t
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"Service":["codepipeline.amazonaws.com","codebuild.amazonaws.com","lambda.amazonaws.com","events.amazonaws.com"],"AWS":"arn:aws:iam::000000000000:root"}}]}`
	policy := `{"Version":"2012-10-17","Statement":[{"Sid":"` + strings.ReplaceAll(inner, "-", "") + `","Effect":"Allow","Action":"*","Resource":"*"}]}`
	n.do("iam", "CreateRole", object{"RoleName": "tenant-role", "Description": inner, "AssumeRolePolicyDocument": trust})
	n.do("iam", "PutRolePolicy", object{"RoleName": "tenant-role", "PolicyName": "tenant-inline", "PolicyDocument": policy})
	n.do("iam", "CreatePolicy", object{"PolicyName": "tenant-policy", "Description": inner, "PolicyDocument": policy})
	n.do("iam", "CreateUser", object{"UserName": "tenant-user", "Tags": []any{object{"Key": "inner", "Value": inner}}})
	n.do("iam", "PutUserPolicy", object{"UserName": "tenant-user", "PolicyName": "tenant-inline", "PolicyDocument": policy})
	made := n.do("iam", "CreateAccessKey", object{"UserName": "tenant-user"})
	n.secrets["key of a user"] = n.member(made, "SecretAccessKey")
	n.ids["iam"] = append(n.ids["iam"], n.member(made, "AccessKeyId"))
	made = n.do("iam", "CreateServiceSpecificCredential", object{"UserName": "tenant-user", "ServiceName": "codepipeline.amazonaws.com"})
	n.secrets["password of a service"] = n.member(made, "ServicePassword")
	role := "arn:aws:iam::000000000000:role/tenant-role"
	made = n.do("sts", "AssumeRole", object{"RoleArn": role, "RoleSessionName": "tenant"})
	n.secrets["key of a session"], n.secrets["token of a session"] = n.member(made, "SecretAccessKey"), n.member(made, "SessionToken")

	for _, r := range []*http.Request{put(t, "/"+n.name+"-bucket", ""), put(t, "/"+n.name+"-bucket/"+n.name+"-key", inner)} {
		body := []byte(nil)
		if strings.HasSuffix(r.URL.Path, "key") {
			body = []byte(inner)
		}
		if w := n.sent(n.keys, n.region, "s3", r, body); w.Code != http.StatusOK {
			t.Fatal(w.Body)
		}
	}
	n.do("codecommit", "CreateRepository", object{"repositoryName": "tenant-repository", "repositoryDescription": inner})
	n.do("codecommit", "CreateCommit", object{"repositoryName": "tenant-repository", "branchName": "main", "commitMessage": inner,
		"putFiles": []any{object{"filePath": "tenant.txt", "fileContent": base64.StdEncoding.EncodeToString([]byte(inner))}}})

	for category, artifacts := range map[string][2]int{"Source": {0, 1}, "Build": {1, 0}} {
		n.do("codepipeline", "CreateCustomActionType", object{"category": category, "provider": "tenant-type", "version": "1",
			"configurationProperties": []any{object{"name": "Password", "required": true, "key": true, "secret": true}, object{"name": "Plain", "required": true, "key": true, "secret": false, "queryable": true}},
			"inputArtifactDetails":    object{"minimumCount": artifacts[0], "maximumCount": artifacts[0]}, "outputArtifactDetails": object{"minimumCount": artifacts[1], "maximumCount": artifacts[1]}})
	}
	custom := func(category, artifacts string) object {
		return object{"name": category, "actions": []any{object{"name": "Act", "roleArn": role, "actionTypeId": object{"category": category, "owner": "Custom", "provider": "tenant-type", "version": "1"},
			"configuration": object{"Password": n.secret("secret configuration"), "Plain": inner}, artifacts: []any{object{"name": "out"}}}}}
	}
	stages := []any{custom("Source", "outputArtifacts"), custom("Build", "inputArtifacts")}
	store := object{"type": "S3", "location": "tenant-bucket"}
	n.do("codepipeline", "CreatePipeline", object{"pipeline": object{"name": "tenant-pipeline", "roleArn": role, "artifactStore": store, "stages": stages}})
	github := object{"name": "Source", "actions": []any{object{"name": "Act", "actionTypeId": object{"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"},
		"configuration":   object{"Owner": "o", "Repo": "r", "Branch": "main", "OAuthToken": n.secret("OAuth token"), "PollForSourceChanges": "false"},
		"outputArtifacts": []any{object{"name": "out"}}}}}
	n.do("codepipeline", "CreatePipeline", object{"pipeline": object{"name": "tenant-github", "roleArn": role, "artifactStore": store, "stages": []any{github, custom("Build", "inputArtifacts")}}})
	n.do("codepipeline", "StartPipelineExecution", object{"name": "tenant-pipeline"})
	made = n.do("codepipeline", "PollForJobs", object{"actionTypeId": object{"category": "Source", "owner": "Custom", "provider": "tenant-type", "version": "1"}, "queryParam": object{"Plain": inner}})
	n.secrets["key of a job"], n.secrets["token of a job"] = n.member(made, "secretAccessKey"), n.member(made, "sessionToken")
	n.right["codepipeline.jobid"], n.right["codepipeline.nonce"] = n.member(made, "id"), n.member(made, "nonce")
	n.do("codepipeline", "PutWebhook", object{"webhook": object{"name": "tenant-webhook", "targetPipeline": "tenant-github", "targetAction": "Act", "filters": []any{object{"jsonPath": "$.ref"}},
		"authentication": "GITHUB_HMAC", "authenticationConfiguration": object{"SecretToken": n.secret("secret of a webhook")}}})

	n.do("codebuild", "CreateProject", object{"name": "tenant-project", "description": inner, "serviceRole": role, "source": object{"type": "NO_SOURCE", "buildspec": "version: 0.2\n# " + inner},
		"artifacts": object{"type": "NO_ARTIFACTS"}, "environment": object{"type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
			"environmentVariables": []any{object{"name": "FROM", "type": "SECRETS_MANAGER", "value": "tenant-secret"}}}})
	n.do("codedeploy", "CreateApplication", object{"applicationName": "tenant-application", "tags": []any{object{"Key": "inner", "Value": inner}}})
	n.do("codedeploy", "CreateDeploymentConfig", object{"deploymentConfigName": "tenant-config", "minimumHealthyHosts": object{"type": "HOST_COUNT", "value": 0}})
	n.do("codedeploy", "CreateDeploymentGroup", object{"applicationName": "tenant-application", "deploymentGroupName": "tenant-group", "deploymentConfigName": "tenant-config", "serviceRoleArn": role,
		"onPremisesInstanceTagFilters": []any{object{"Key": "inner", "Value": inner, "Type": "KEY_AND_VALUE"}}})
	n.do("codedeploy", "RegisterOnPremisesInstance", object{"instanceName": "tenant-instance", "iamUserArn": "arn:aws:iam::000000000000:user/tenant-user"})
	n.do("codedeploy", "AddTagsToOnPremisesInstances", object{"instanceNames": []any{"tenant-instance"}, "tags": []any{object{"Key": "inner", "Value": inner}}})
	// A bucket may be anybody's: the instance reads it with its own credentials.
	n.do("codedeploy", "CreateDeployment", object{"applicationName": "tenant-application", "deploymentGroupName": "tenant-group", "description": inner,
		"revision": object{"revisionType": "S3", "s3Location": object{"bucket": "bundles", "key": "tenant-key", "bundleType": "zip"}}})
	n.do("lambda", "CreateFunction", object{"FunctionName": "tenant-function", "Description": inner, "Runtime": "provided.al2023", "Handler": "h", "Role": role, "Code": object{"ZipFile": emptyZip},
		"Environment": object{"Variables": object{"PLAIN": inner}}})
	n.do("logs", "CreateLogGroup", object{"logGroupName": "tenant-group"})
	n.do("logs", "CreateLogStream", object{"logGroupName": "tenant-group", "logStreamName": "tenant-stream"})
	n.do("logs", "PutLogEvents", object{"logGroupName": "tenant-group", "logStreamName": "tenant-stream", "logEvents": []any{object{"timestamp": time.Now().UnixMilli(), "message": inner}}})

	topic := n.member(n.do("sns", "CreateTopic", object{"Name": "tenant-topic"}), "TopicArn")
	n.do("sns", "TagResource", object{"ResourceArn": topic, "Tags": []any{object{"Key": "inner", "Value": inner}}})
	n.do("sns", "Subscribe", object{"TopicArn": topic, "Protocol": "email", "Endpoint": inner + "@example.org", "ReturnSubscriptionArn": true})
	n.do("events", "CreateEventBus", object{"Name": "tenant-bus", "Description": inner})
	n.do("events", "PutRule", object{"Name": "tenant-rule", "Description": inner, "EventPattern": `{"source":["` + inner + `"]}`})
	n.do("events", "PutTargets", object{"Rule": "tenant-rule", "Targets": []any{object{"Id": "tenant-target", "Arn": topic, "Input": `"` + inner + `"`}}})
	n.do("events", "PutTargets", object{"Rule": "tenant-rule", "Targets": []any{object{"Id": "tenant-start", "Arn": "arn:aws:codepipeline:us-east-1:000000000000:tenant-pipeline", "RoleArn": role}}})
	value := func(kind string) []any {
		return []any{object{"Key": "X-Inner", "Value": n.secret(kind), "IsValueSecret": true}}
	}
	connection := n.member(n.do("events", "CreateConnection", object{"Name": "tenant-basic", "Description": inner, "AuthorizationType": "BASIC",
		"AuthParameters": object{"BasicAuthParameters": object{"Username": "u", "Password": n.secret("password of a destination")},
			"InvocationHttpParameters": object{"HeaderParameters": value("header of a destination"), "QueryStringParameters": value("query of a destination"), "BodyParameters": value("body of a destination")}}}), "ConnectionArn")
	n.do("events", "CreateConnection", object{"Name": "tenant-key", "AuthorizationType": "API_KEY", "AuthParameters": object{"ApiKeyAuthParameters": object{"ApiKeyName": "X-Key", "ApiKeyValue": n.secret("key of a destination")}}})
	n.do("events", "CreateApiDestination", object{"Name": "tenant-destination", "Description": inner, "ConnectionArn": connection, "InvocationEndpoint": "https://destination.invalid/", "HttpMethod": "POST"})
	n.do("ssm", "PutParameter", object{"Name": "/tenant/parameter", "Type": "SecureString", "Value": n.secret("secure string")})
	n.do("ssm", "PutParameter", object{"Name": "/tenant/plain", "Type": "String", "Description": inner, "Value": inner})
	n.do("secretsmanager", "CreateSecret", object{"Name": "tenant-secret", "Description": inner, "SecretString": n.secret("secret string"), "ClientRequestToken": "12345678-1234-1234-1234-123456789012"})
	n.do("secretsmanager", "CreateSecret", object{"Name": "tenant-binary", "SecretBinary": base64.StdEncoding.EncodeToString([]byte(n.secret("secret binary"))), "ClientRequestToken": "22345678-1234-1234-1234-123456789012"})
	n.do("codestarnotifications", "CreateNotificationRule", object{"Name": "tenant-notification", "DetailType": "FULL", "Resource": "arn:aws:codepipeline:us-east-1:000000000000:tenant-pipeline",
		"EventTypeIds": []any{"codepipeline-pipeline-pipeline-execution-failed"}, "Targets": []any{object{"TargetType": "SNS", "TargetAddress": topic}}, "Tags": object{"inner": inner}})
	made = n.do("codeconnections", "CreateConnection", object{"ConnectionName": "tenant-connection", "ProviderType": "GitHub", "Tags": []any{object{"Key": "inner", "Value": inner}}})
	made = n.do("codeconnections", "CompleteConnection", object{"ConnectionArn": n.member(made, "ConnectionArn"), "GitUrl": "https://git.invalid/{repository}", "Username": "u", "Token": n.secret("token of a connection")})
	n.secrets["secret of a connection's webhook"] = n.member(made, "WebhookSecret")
	n.do("cloudwatch", "PutMetricAlarm", object{"AlarmName": "tenant-alarm", "AlarmDescription": inner, "MetricName": "m", "Namespace": "tenant-metrics", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
		"Threshold": 1, "ComparisonOperator": "GreaterThanThreshold"})

	for member, text := range map[string]string{
		"codecommit.filepath": "tenant.txt", "codecommit.folderpath": "/", "codecommit.commitspecifier": "main", "codecommit.aftercommitspecifier": "main",
		"codecommit.resourcearn": "arn:aws:codecommit:us-east-1:000000000000:tenant-repository", "codepipeline.resourcearn": "arn:aws:codepipeline:us-east-1:000000000000:tenant-pipeline",
		"codepipeline.stagename": "Source", "codepipeline.actionname": "Act", "codepipeline.category": "Build", "codepipeline.version": "1", "codepipeline.webhookname": "tenant-webhook",
		"codedeploy.resourcearn": "arn:aws:codedeploy:us-east-1:000000000000:application:tenant-application", "codedeploy.targetid": "tenant-instance", "codedeploy.instanceid": "tenant-instance",
		"lambda.resource": "arn:aws:lambda:us-east-1:000000000000:function:tenant-function", "logs.resourcearn": "arn:aws:logs:us-east-1:000000000000:log-group:tenant-group",
		"events.targetarn": topic, "events.resourcearn": "arn:aws:events:us-east-1:000000000000:rule/tenant-rule", "ssm.resourceid": "/tenant/parameter", "ssm.path": "/tenant", "ssm.resourcetype": "Parameter",
		"secretsmanager.secretid": "tenant-secret", "iam.policyarn": "arn:aws:iam::000000000000:policy/tenant-policy", "cloudwatch.metricname": "m", "events.name": "tenant-rule",
		"codeconnections.resourcearn": n.right["codeconnections.connectionarn"], "codestarconnections.connectionarn": n.right["codeconnections.connectionarn"], "codestarconnections.resourcearn": n.right["codeconnections.connectionarn"],
	} {
		text = n.local().Replace(text)
		n.right[member] = text
		if service, _, _ := strings.Cut(member, "."); strings.HasPrefix(text, "arn:") && !slices.Contains(n.ids[service], text) {
			n.ids[service] = append(n.ids[service], text)
		}
	}
	n.ids["ssm"] = append(n.ids["ssm"], "/tenant/parameter", "/tenant/plain", "arn:aws:ssm:us-east-1:000000000000:parameter/tenant/plain")
	n.ids["cloudwatch"] = append(n.ids["cloudwatch"], "arn:aws:cloudwatch:us-east-1:000000000000:alarm:tenant-alarm")
}

var ids = regexp.MustCompile(`arn:aws[a-z-]*:[A-Za-z0-9:/._-]+|tenant-[a-z]+|"(?:commitId|pipelineExecutionId|id|blobId|treeId)":"([0-9a-f-]{36,40})"`)

// learn remembers what is named in an answer of a service, and what members are called that name
// it.
func (n *tenant) learn(service, text string) {
	for _, m := range ids.FindAllStringSubmatch(text, -1) {
		id := m[0]
		if m[1] != "" {
			id = m[1]
		}
		if !slices.Contains(n.ids[service], id) {
			n.ids[service] = append(n.ids[service], id)
		}
	}
	for _, m := range regexp.MustCompile(`"([a-zA-Z]+)":"([^"]+)"|<([A-Za-z]+)>([^<]+)<`).FindAllStringSubmatch(text, -1) {
		if member, value := m[1]+m[3], m[2]+m[4]; n.right[service+"."+strings.ToLower(member)] == "" && (ids.MatchString(value) || strings.HasPrefix(value, "/tenant") || value == "main") {
			n.right[service+"."+strings.ToLower(member)] = value
		}
	}
}
