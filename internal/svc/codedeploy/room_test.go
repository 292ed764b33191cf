package codedeploy

import (
	"strings"
	"sync"
	"testing"
	"time"

	api "penstock/internal/api/codedeploy"
	commands "penstock/internal/api/codedeploycommands"
)

// N-12, C.1, E.1, S-238: a deployment goes from one instance to the next, each with its lifecycle events in order;
// nothing of it is in a server's memory.
func TestDeployment(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a", "b")
		id := b.deploy("v1")
		b.want("at the beginning", b.brief(id), "InProgress a:InProgress b:Pending")
		_, err := b.CreateDeployment(b.ctx, &api.CreateDeploymentInput{ApplicationName: "app", DeploymentGroupName: "all", Revision: revision("v2")})
		b.code("another one", err, "DeploymentLimitExceededException")
		if !strings.Contains(err.Error(), "'"+id+"'") {
			b.Error(err)
		}
		if c := b.agent("b").poll(); c != nil {
			b.Errorf("b is not asked yet: %+v", c)
		}

		a := b.agent("a")
		c := a.poll()
		if c == nil || c.CommandName != "ApplicationStop" || c.HostIdentifier != userOf("a") || *c.Nonce != 1 || !strings.HasSuffix(c.DeploymentExecutionId, "/"+id) {
			b.Fatalf("%+v", c)
		}
		b.want("noop", a.acknowledge(c.HostCommandIdentifier, true), succeeded)
		b.want("noop again", a.acknowledge(c.HostCommandIdentifier, true), succeeded)
		b.want("the rest", a.work(), strings.TrimPrefix(allEvents, "ApplicationStop "))
		b.want("after a", b.brief(id), "InProgress a:Succeeded b:InProgress")
		b.want("b", b.agent("b").work(), allEvents)
		b.want("at the end", b.brief(id), "Succeeded a:Succeeded b:Succeeded")
		b.want("told", b.told(), "START SUCCESS")

		g, err := b.GetDeploymentGroup(b.ctx, &api.GetDeploymentGroupInput{ApplicationName: "app", DeploymentGroupName: "all"})
		b.code("group", err, "")
		if i := g.DeploymentGroupInfo; i.LastSuccessfulDeployment.DeploymentId != id || i.LastAttemptedDeployment.Status != succeeded || i.TargetRevision.S3Location.Key != "v1" {
			b.Errorf("%+v", i)
		}
		r, err := b.GetApplicationRevision(b.ctx, &api.GetApplicationRevisionInput{ApplicationName: "app", Revision: revision("v1")})
		b.code("revision", err, "")
		if i := r.RevisionInfo; i.FirstUsedTime == nil || len(i.DeploymentGroups) != 1 || i.DeploymentGroups[0] != "all" {
			b.Errorf("%+v", i)
		}
	})
}

// C.1, D.1, E.1: what follows an event that fails is skipped, and the instance failed, with what its
// agent said; a failure to stop the old application may be ignored.
func TestFailure(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a", "b")
		id := b.deploy("v1")
		b.want("a", b.agent("a").work("Install"), "ApplicationStop DownloadBundle BeforeInstall Install")
		b.want("ended", b.brief(id), "Failed HEALTH_CONSTRAINTS a:Failed b:Skipped")
		b.want("events", b.events(id, "a"), "ApplicationStop:Succeeded DownloadBundle:Succeeded BeforeInstall:Succeeded Install:Failed AfterInstall:Skipped ApplicationStart:Skipped ValidateService:Skipped")
		b.want("told", b.told(), "START FAILURE")
		if m := b.info(id).ErrorInformation.Message; !strings.Contains(m, "the instance a failed at the lifecycle event Install: ScriptFailed: exit code 1") {
			b.Error(m)
		}
		out, err := b.GetDeploymentInstance(b.ctx, &api.GetDeploymentInstanceInput{DeploymentId: id, InstanceId: "a"})
		b.code("instance", err, "")
		if d := out.InstanceSummary.LifecycleEvents[3].Diagnostics; d.ErrorCode != "ScriptFailed" || d.ScriptName != "check.sh" || d.LogTail != "[stderr]no" {
			b.Errorf("%+v", d)
		}
		if b.info(id).RollbackInfo != nil {
			b.Error("it is rolled back although nobody wants it")
		}

		// What is not healthy comes first: a failed, b was never deployed to.
		made, err := b.CreateDeployment(b.ctx, &api.CreateDeploymentInput{ApplicationName: "app", DeploymentGroupName: "all", Revision: revision("v2"), IgnoreApplicationStopFailures: new(true)})
		b.code("deploy", err, "")
		b.want("a", b.agent("a").work("ApplicationStop"), allEvents)
		b.want("b", b.agent("b").work(), allEvents)
		b.want("ignored", b.brief(made.DeploymentId), "Succeeded a:Succeeded b:Succeeded")
		if e := b.events(made.DeploymentId, "a"); !strings.HasPrefix(e, "ApplicationStop:Failed DownloadBundle:Succeeded") {
			b.Error(e)
		}
		id = b.deploy("v3")
		b.want("not ignored", b.agent("a").work("ApplicationStop"), "ApplicationStop")
		b.want("not ignored", b.brief(id), "Failed HEALTH_CONSTRAINTS a:Failed b:Skipped")
		id = b.deploy("v3")
		b.agent("a").work()
		b.agent("b").work("ValidateService")
		b.want("the last may fail", b.brief(id), "Succeeded a:Succeeded b:Failed")
		id = b.deploy("v4")
		b.want("b is not healthy and first", b.brief(id), "InProgress a:Pending b:InProgress")
	})
}

// E.2: a deployment that fails is followed by one of the revision that was deployed last with
// success; one that fails itself by none.
func TestRollback(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a")
		b.set("CodeDeployDefault.AllAtOnce", onFailure)
		id := b.deploy("v1")
		b.agent("a").work("Install")
		if i := b.info(id).RollbackInfo; i == nil || i.RollbackDeploymentId != "" || !strings.Contains(i.RollbackMessage, "nothing to roll back to") {
			b.Errorf("%+v", i)
		}
		id = b.deploy("v2")
		b.agent("a").work()
		b.want("good", b.brief(id), "Succeeded a:Succeeded")
		b.told()

		id = b.deploy("v3")
		a := b.agent("a")
		for range 6 {
			c := a.poll()
			a.acknowledge(c.HostCommandIdentifier, false)
			a.complete(c.HostCommandIdentifier, succeeded, "")
		}
		c := a.poll()
		a.complete(c.HostCommandIdentifier, failed, `{"error_code":"Unknown","message":"down"}`)
		i := b.info(id)
		back := i.RollbackInfo.RollbackDeploymentId
		b.want("bad", b.brief(id), "Failed HEALTH_CONSTRAINTS a:Failed")
		b.want("previous", i.PreviousRevision.S3Location.Key, "v2")
		b.want("going back", b.brief(back), "InProgress a:InProgress")
		b.want("told", b.told(), "START FAILURE START")
		if i := b.info(back); i.Creator != rollbackCreator || i.Revision.S3Location.Key != "v2" || i.RollbackInfo.RollbackTriggeringDeploymentId != id {
			b.Errorf("%+v", i)
		}
		a.work("Install")
		b.want("the way back fails", b.brief(back), "Failed HEALTH_CONSTRAINTS a:Failed")
		if i := b.info(back).RollbackInfo; i.RollbackDeploymentId != "" {
			b.Errorf("%+v", i)
		}
		if c := a.poll(); c != nil {
			b.Errorf("%+v", c)
		}
	})
}

// E.2: stopping ends what has not begun, lets instances finish their event, and rolls back if
// that is configured or asked for.
func TestStop(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a", "b")
		stop := func(id string, undo *bool, status, code string) {
			b.Helper()
			out, err := b.StopDeployment(b.ctx, &api.StopDeploymentInput{DeploymentId: id, AutoRollbackEnabled: undo})
			b.code("stop", err, code)
			b.want("stop", out.Status, status)
		}
		id := b.deploy("v1")
		stop(id, nil, "Succeeded", "")
		b.want("nobody had begun", b.brief(id), "Stopped MANUAL_STOP a:Skipped b:Skipped")
		b.want("told", b.told(), "START STOP")
		stop(id, nil, "", "DeploymentAlreadyCompletedException")

		id = b.deploy("v1")
		a := b.agent("a")
		c := a.poll()
		a.acknowledge(c.HostCommandIdentifier, false)
		stop(id, nil, "Pending", "")
		b.want("a is busy", b.brief(id), "InProgress a:InProgress b:Skipped")
		stop(id, nil, "Pending", "")
		for filter, code := range map[string]string{"TargetStatus": "InvalidInstanceStatusException", "ServerInstanceLabel": "InvalidInstanceTypeException"} {
			_, err := b.ListDeploymentTargets(b.ctx, &api.ListDeploymentTargetsInput{DeploymentId: id, TargetFilters: map[string][]string{filter: {"Nonsense"}}})
			b.code(filter, err, code)
		}
		a.complete(c.HostCommandIdentifier, succeeded, "")
		b.want("a has finished", b.brief(id), "Stopped MANUAL_STOP a:Skipped b:Skipped")
		b.want("events", b.events(id, "a"), "ApplicationStop:Succeeded DownloadBundle:Skipped BeforeInstall:Skipped Install:Skipped AfterInstall:Skipped ApplicationStart:Skipped ValidateService:Skipped")
		if c := a.poll(); c != nil {
			b.Errorf("%+v", c)
		}

		id = b.deploy("v1")
		a.work()
		b.agent("b").work()
		b.want("good", b.brief(id), "Succeeded a:Succeeded b:Succeeded")
		id = b.deploy("v2")
		c = a.poll()
		stop(id, new(true), "Succeeded", "")
		b.want("overtaken", a.acknowledge(c.HostCommandIdentifier, false), failed)
		back := b.info(id).RollbackInfo.RollbackDeploymentId
		b.want("asked for", b.info(back).Revision.S3Location.Key, "v1")
		stop(back, new(true), "Succeeded", "")
		if i := b.info(back).RollbackInfo; i.RollbackDeploymentId != "" {
			b.Errorf("%+v", i)
		}
		b.set(oneAtATime, onStop)
		id = b.deploy("v2")
		stop(id, new(false), "Succeeded", "")
		id2 := b.deploy("v2")
		stop(id2, nil, "Succeeded", "")
		if running := b.info(id2).RollbackInfo.RollbackDeploymentId; running != "" {
			stop(running, nil, "Succeeded", "")
		}
		id3 := b.deploy("v2")
		c = a.poll()
		a.acknowledge(c.HostCommandIdentifier, false)
		stop(id3, nil, "Pending", "")
		stop(id3, new(false), "Pending", "")
		a.complete(c.HostCommandIdentifier, succeeded, "")
		if b.info(id3).RollbackInfo != nil {
			b.Error("who stops it again has the last word")
		}
		if b.info(id).RollbackInfo != nil || b.info(id2).RollbackInfo == nil {
			b.Error("the configuration counts unless something else is asked for")
		}
	})
}

// E.4: an instance that does not take its command in 5 minutes, or is silent for an hour and 5
// after it has, has failed; a deployment ends after 8 hours.
func TestSilence(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a", "b")
		b.set("CodeDeployDefault.AllAtOnce")
		pass := func(d time.Duration) {
			b.Helper()
			b.later.Add(int64(d))
			if _, err := b.look(b.ctx); err != nil {
				b.Fatal(err)
			}
		}
		id := b.deploy("v1")
		a := b.agent("a")
		c := a.poll()
		a.acknowledge(c.HostCommandIdentifier, false)
		pass(pickTime - time.Minute)
		b.want("there is time", b.brief(id), "InProgress a:InProgress b:InProgress")
		pass(2 * time.Minute)
		b.want("b is silent", b.brief(id), "InProgress a:InProgress b:Failed")
		pass(time.Hour - 2*time.Minute)
		b.want("a is not heard of", b.brief(id), "InProgress a:InProgress b:Failed")
		pass(2 * time.Minute)
		b.want("a is silent", b.brief(id), "Failed AGENT_ISSUE a:Failed b:Failed")
		b.want("too late", a.acknowledge(c.HostCommandIdentifier, false), failed)
		a.complete(c.HostCommandIdentifier, succeeded, "")
		b.want("events", b.events(id, "a"), "ApplicationStop:Failed DownloadBundle:Skipped BeforeInstall:Skipped Install:Skipped AfterInstall:Skipped ApplicationStart:Skipped ValidateService:Skipped")
		if m := b.info(id).ErrorInformation.Message; !strings.Contains(m, "has not reported its end") {
			b.Error(m)
		}

		b.set(oneAtATime)
		id = b.deploy("v2")
		for range 7 {
			c := a.poll()
			pass(pickTime - 30*time.Second)
			a.acknowledge(c.HostCommandIdentifier, false)
			pass(eventTime - 30*time.Second)
			a.complete(c.HostCommandIdentifier, succeeded, "")
		}
		b.want("more than 8 hours", b.brief(id), "Failed TIMEOUT a:Succeeded b:Skipped")
	})
}

// D.1: a command is handed out to one of those who ask, again when it is not acknowledged in a
// minute, and then the first one counts no more.
func TestCommands(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a", "b")
		id := b.deploy("v1")
		a := b.agent("a")
		first := a.poll()
		if c := a.poll(); c != nil {
			b.Fatalf("handed out twice: %+v", c)
		}
		b.later.Add(int64(offerAgain + time.Second))
		second := a.poll()
		if second == nil || second.HostCommandIdentifier == first.HostCommandIdentifier || *second.Nonce != 2 {
			b.Fatalf("%+v, %+v", first, second)
		}
		b.want("the first", a.acknowledge(first.HostCommandIdentifier, false), failed)
		b.want("the second", a.acknowledge(second.HostCommandIdentifier, false), inProgress)
		a.complete(first.HostCommandIdentifier, failed, "")
		b.want("not from the first", b.events(id, "a")[:len("ApplicationStop:InProgress ")], "ApplicationStop:InProgress ")
		up, err := b.PostHostCommandUpdate(a.ctx, &commands.PostHostCommandUpdateInput{HostCommandIdentifier: second.HostCommandIdentifier})
		b.code("update", err, "")
		b.want("update", up.CommandStatus, inProgress)
		b.later.Add(int64(offerAgain + time.Second))
		if c := a.poll(); c != nil {
			b.Fatalf("one that is being worked on is handed out: %+v", c)
		}
		a.complete(second.HostCommandIdentifier, succeeded, "")
		a.complete(second.HostCommandIdentifier, succeeded, "")
		b.want("once", b.events(id, "a")[:len("ApplicationStop:Succeeded DownloadBundle:Pending")], "ApplicationStop:Succeeded DownloadBundle:Pending")

		// Nobody else is a, whatever they may do.
		for who, ctx := range map[string]*agent{"b": b.agent("b"), "ann": {b, "ann", b.ctx}} {
			_, err := b.PollHostCommand(ctx.ctx, &commands.PollHostCommandInput{HostIdentifier: userOf("a")})
			b.code(who+" polls", err, "AccessDeniedException")
			_, err = b.GetDeploymentSpecification(ctx.ctx, &commands.GetDeploymentSpecificationInput{HostIdentifier: userOf("a"), DeploymentExecutionId: first.DeploymentExecutionId})
			b.code(who+" asks", err, "AccessDeniedException")
		}
		_, err = b.PutHostCommandComplete(b.agent("ann").ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: second.HostCommandIdentifier, CommandStatus: failed})
		b.code("ann reports", err, "AccessDeniedException")
		for _, bad := range []string{"", "x", "d-ABCDEFGHI.Install.1", id + ".Reboot.1", id + ".Install", id + ".Install.99999999999999999999"} {
			_, err = b.PutHostCommandComplete(a.ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: bad, CommandStatus: failed})
			b.code("report on "+bad, err, "ClientException")
		}
		_, err = b.PutHostCommandComplete(a.ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: second.HostCommandIdentifier, CommandStatus: inProgress})
		b.code("not complete", err, "ClientException")
		_, err = b.PutHostCommandComplete(a.ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: a.poll().HostCommandIdentifier, CommandStatus: failed,
			Diagnostics: &commands.Envelope{Payload: "x"}})
		b.code("no JSON", err, "ClientException")
	})
}

// D.1: who waits for a command gets it when there is one, from whichever server it comes, and is
// answered when the server ends.
func TestPollWaits(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		b.register("a")
		other := b.another()
		got := make(chan *commands.HostCommandInstance, 2*maxPolls)
		poll := func(r *Room) {
			out, err := r.PollHostCommand(b.agent("a").ctx, &commands.PollHostCommandInput{HostIdentifier: userOf("a")})
			b.code("poll", err, "")
			got <- out.HostCommand
		}
		next := func() *commands.HostCommandInstance {
			b.Helper()
			select {
			case c := <-got:
				return c
			case <-time.After(patience):
				b.Fatal("nobody answers")
				return nil
			}
		}
		b.background(other)
		go poll(other)
		b.waits(other, 1)
		b.deploy("v1")
		c := next()
		if c == nil || c.CommandName != "ApplicationStop" {
			b.Fatalf("%+v", c)
		}
		go poll(b.Room)
		b.waits(b.Room, 1)
		a := b.agent("a")
		if _, err := b.PutHostCommandAcknowledgement(a.ctx, &commands.PutHostCommandAcknowledgementInput{HostCommandIdentifier: c.HostCommandIdentifier}); err != nil {
			b.Fatal(err)
		}
		if _, err := b.PutHostCommandComplete(a.ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: c.HostCommandIdentifier, CommandStatus: succeeded}); err != nil {
			b.Fatal(err)
		}
		if c = next(); c == nil || c.CommandName != "DownloadBundle" {
			b.Fatalf("%+v", c)
		}
		for range maxPolls {
			go poll(b.Room)
		}
		b.waits(b.Room, maxPolls)
		_, err := b.PollHostCommand(a.ctx, &commands.PollHostCommandInput{HostIdentifier: userOf("a")})
		b.code("one too many", err, "ClientException")
		b.EndPolls()
		for range maxPolls {
			if c := next(); c != nil {
				b.Errorf("%+v", c)
			}
		}
	})
}

// E.1: instances that report at the same time, to different servers, lose nothing of each other's
// reports.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(b *bench) {
		const n = 8
		var names []string
		for i := range n {
			names = append(names, string(rune('a'+i)))
		}
		b.register(names...)
		b.set("CodeDeployDefault.HalfAtATime")
		id := b.deploy("v1")
		var all sync.WaitGroup
		for _, name := range names {
			r, ctx := b.another(), b.agent(name).ctx
			b.background(r)
			all.Go(func() {
				for did := 0; did < len(lifecycle); did++ {
					out, err := r.PollHostCommand(ctx, &commands.PollHostCommandInput{HostIdentifier: userOf(name)})
					if err != nil || out.HostCommand == nil {
						b.Errorf("%s: %+v %v", name, out, err)
						return
					}
					if _, err := r.PutHostCommandComplete(ctx, &commands.PutHostCommandCompleteInput{HostCommandIdentifier: out.HostCommand.HostCommandIdentifier, CommandStatus: succeeded}); err != nil {
						b.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		all.Wait()
		b.want("all", b.brief(id), "Succeeded a:Succeeded b:Succeeded c:Succeeded d:Succeeded e:Succeeded f:Succeeded g:Succeeded h:Succeeded")
		b.want("told", b.told(), "START SUCCESS")
	})
}
