package app

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/codedeploy"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	commands "penstock/internal/api/codedeploycommands"
	"penstock/internal/auth"
)

// D.1, N-12: agents that wait for a command do not hold up the end of the server: once it takes no
// more requests, they are told that there is none.
func TestAgentsDoNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	a := start(t, t.TempDir(), "")
	cfg := a.administrator()
	who, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := codedeploy.NewFromConfig(cfg).RegisterOnPremisesInstance(t.Context(), &codedeploy.RegisterOnPremisesInstanceInput{InstanceName: new("this"), IamUserArn: who.Arn}); err != nil {
		t.Fatal(err)
	}
	if err := a.stopServing(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	as := auth.Trusted(t.Context(), auth.Caller{Account: *who.Account, Region: cfg.Region, ARN: *who.Arn})
	out, err := a.rooms.codedeploy.PollHostCommand(as, &commands.PollHostCommandInput{HostIdentifier: *who.Arn})
	if took := time.Since(begun); err != nil || out.HostCommand != nil || took > 30*time.Second {
		t.Errorf("%+v, %v after %s", out, err, took)
	}
}
