package codedeploy

import (
	"strings"
	"testing"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/store"
)

// N-17: what can have tags is listed page by page, groups application by application.
func TestTagged(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		for _, app := range []string{"b", "c", "d"} {
			_, err := b.CreateApplication(b.ctx, &api.CreateApplicationInput{ApplicationName: app, Tags: []api.Tag{{Key: "of", Value: app}}})
			b.code(app, err, "")
			for _, group := range []string{"x", "y"} {
				if app == "c" {
					continue
				}
				_, err := b.CreateDeploymentGroup(b.ctx, &api.CreateDeploymentGroupInput{ApplicationName: app, DeploymentGroupName: group, ServiceRoleArn: "arn:aws:iam::000000000000:role/deploy",
					Tags: []api.Tag{{Key: "of", Value: group}}})
				b.code(group, err, "")
			}
		}
		for limit := 1; limit < 6; limit++ {
			var seen []string
			for _, list := range []func(after string) ([]store.Tagged, error){
				func(after string) ([]store.Tagged, error) {
					return b.TaggedApplications(b.ctx, "000000000000", "us-east-1", after, limit)
				},
				func(after string) ([]store.Tagged, error) {
					return b.TaggedGroups(b.ctx, "000000000000", "us-east-1", after, limit)
				},
			} {
				for after := ""; ; {
					page, err := list(after)
					b.code("list", err, "")
					for _, one := range page {
						seen = append(seen, strings.TrimPrefix(one.ARN, "arn:aws:codedeploy:us-east-1:000000000000:")+"="+one.Tags["of"])
						after = one.Key
					}
					if len(page) < limit {
						break
					}
				}
			}
			b.want("all", strings.Join(seen, " "), "application:app= application:b=b application:c=c application:d=d deploymentgroup:app/all= deploymentgroup:b/x=x deploymentgroup:b/y=y deploymentgroup:d/x=x deploymentgroup:d/y=y")
		}
	})
}
