package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

var anyARN = regexp.MustCompile(`arn:[a-z-]+:([a-z-]+):`)

// S-356, N-1: a server of China or of GovCloud speaks in every answer of its own partition alone,
// and understands itself: what is made with the ARNs of that partition is found, allowed and told.
func TestPartitions(t *testing.T) {
	t.Parallel()
	for region, partition := range map[string]string{"cn-north-1": "aws-cn", "us-gov-west-1": "aws-us-gov"} {
		t.Run(region, func(t *testing.T) {
			t.Parallel()
			n := newTenant(t, regional(t, region, slog.New(slog.DiscardHandler)), "000000000000", "tenant")
			services, seen := map[string]bool{}, 0
			look := func(operation, answer string) {
				for _, m := range anyARN.FindAllStringSubmatch(answer, -1) {
					services[m[1]] = true
					seen++
					if !strings.HasPrefix(m[0], "arn:"+partition+":") {
						t.Errorf("S-356: %s answers with %s in %s", operation, m[0], answer)
						return
					}
				}
			}
			n.after = look
			n.furnish()
			// What the policies of a role allow it is allowed, by ARNs of the partition.
			n.do("iam", "CreateRole", object{"RoleName": "tenant-reader", "AssumeRolePolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole","Principal":{"AWS":"arn:aws:iam::000000000000:user/administrator"}}]}`})
			n.do("iam", "PutRolePolicy", object{"RoleName": "tenant-reader", "PolicyName": "p", "PolicyDocument": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws:s3:::tenant-bucket/*"}]}`})
			n.do("iam", "AttachRolePolicy", object{"RoleName": "tenant-reader", "PolicyArn": "arn:aws:iam::aws:policy/AWSCodeCommitFullAccess"})
			made := n.do("sts", "AssumeRole", object{"RoleArn": "arn:aws:iam::000000000000:role/tenant-reader", "RoleSessionName": "tenant"})
			reader := aws.Credentials{AccessKeyID: n.member(made, "AccessKeyId"), SecretAccessKey: n.member(made, "SecretAccessKey"), SessionToken: n.member(made, "SessionToken")}
			for path, want := range map[string]int{"/tenant-bucket/tenant-key": http.StatusOK, "/tenant-bucket?tagging": http.StatusForbidden} {
				w := n.sent(reader, region, "s3", httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://penstock.example"+path, http.NoBody), nil)
				if w.Code != want {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
			told := n.told(n.keys, region)
			for operation, answer := range told {
				look(operation, answer)
			}
			for _, service := range []string{"codebuild", "codecommit", "codeconnections", "codedeploy", "codepipeline", "codestar-notifications", "cloudwatch", "events", "iam", "kms",
				"lambda", "logs", "secretsmanager", "sns", "ssm", "sts"} {
				if !services[service] {
					t.Errorf("no answer has an ARN of %s", service)
				}
			}
			if len(told) < 90 || seen < 100 {
				t.Errorf("only %d answers with %d ARNs", len(told), seen)
			}
		})
	}
}
