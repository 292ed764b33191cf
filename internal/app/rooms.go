package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"penstock/internal/api"
	cloudtrailapi "penstock/internal/api/cloudtrail"
	cloudwatchapi "penstock/internal/api/cloudwatch"
	codebuildapi "penstock/internal/api/codebuild"
	codecommitapi "penstock/internal/api/codecommit"
	codedeployapi "penstock/internal/api/codedeploy"
	commandsapi "penstock/internal/api/codedeploycommands"
	codepipelineapi "penstock/internal/api/codepipeline"
	notificationsapi "penstock/internal/api/codestarnotifications"
	eventsapi "penstock/internal/api/events"
	iamapi "penstock/internal/api/iam"
	lambdaapi "penstock/internal/api/lambda"
	logsapi "penstock/internal/api/logs"
	taggingapi "penstock/internal/api/resourcegroupstaggingapi"
	secretsmanagerapi "penstock/internal/api/secretsmanager"
	snsapi "penstock/internal/api/sns"
	ssmapi "penstock/internal/api/ssm"
	stsapi "penstock/internal/api/sts"
	"penstock/internal/auth"
	"penstock/internal/conductor"
	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/all"
	"penstock/internal/provider/lambdainvoke"
	"penstock/internal/retention"
	"penstock/internal/store"
	"penstock/internal/svc/cloudtrail"
	"penstock/internal/svc/cloudwatch"
	"penstock/internal/svc/codebuild"
	"penstock/internal/svc/codecommit"
	"penstock/internal/svc/codecommit/git"
	"penstock/internal/svc/codeconnections"
	"penstock/internal/svc/codeconnections/fetch"
	"penstock/internal/svc/codedeploy"
	"penstock/internal/svc/codepipeline"
	"penstock/internal/svc/events"
	"penstock/internal/svc/iam"
	"penstock/internal/svc/lambda"
	"penstock/internal/svc/logs"
	"penstock/internal/svc/notifications"
	"penstock/internal/svc/s3"
	"penstock/internal/svc/secretsmanager"
	"penstock/internal/svc/sns"
	"penstock/internal/svc/ssm"
	"penstock/internal/svc/sts"
	"penstock/internal/worker"
)

// rooms are the services and what moves the pipelines.
type rooms struct {
	fetch      *fetch.Fetcher
	services   []*api.Service
	s3         *s3.Room
	codecommit *codecommit.Room
	codebuild  *codebuild.Room
	codedeploy *codedeploy.Room
	lambda     *lambda.Room
	events     *events.Room
	sns        *sns.Room
	conductor  *conductor.Conductor
	worker     *worker.Worker
	cloudtrail *cloudtrail.Room
	cloudwatch *cloudwatch.Room
	changes    *changes
	poller     *poller
	keeper     *retention.Keeper
	hooks      http.Handler
	// notifications are the rules of CodeStar Notifications.
	notifications *notifications.Room
}

// newRooms makes them. Rooms know each other only as services that are called.
func (a *App) newRooms(ctx context.Context) (_ *rooms, err error) {
	mailer, err := a.cfg.mailer()
	if err != nil {
		return nil, err
	}
	r := &rooms{
		cloudwatch:    cloudwatch.New(cloudwatch.Deps{DB: a.db, AWS: a.calls.forAlarm, Log: a.log}),
		events:        events.New(events.Deps{DB: a.db, AWS: a.calls.forEvent, Allowed: a.calls.allowed, Private: a.cfg.AllowPrivateTargets == "true", Log: a.log}),
		notifications: notifications.New(notifications.Deps{DB: a.db, AWS: a.calls.forNotification, Log: a.log}),
		sns:           sns.New(sns.Deps{DB: a.db, AWS: a.calls.forTopic, PublicURL: a.URL, Private: a.cfg.AllowPrivateTargets == "true", Mail: mailer, Log: a.log}),
	}
	if r.cloudtrail, err = a.newCloudTrail(ctx); err != nil {
		return nil, err
	}
	providers := all.Providers(func(ctx context.Context, job provider.Job) provider.Result { return r.codebuild.Commands(ctx, job) })
	r.conductor = conductor.New(conductor.Config{DB: a.db, Builtin: actionTypes(providers), Deliver: a.deliver(r), Measure: r.measure, Log: a.log})
	r.changes = newChanges(a.db, r.conductor, a.endpoints, a.log)
	r.s3 = s3.New(s3.Deps{DB: a.db, Blobs: a.blobs, Hosts: a.hosts(), Record: r.cloudtrail.Record, Log: a.log, Tell: r.conductor.TellTx, Notify: func(bucket, key string) {
		r.changes.object(objectARN + bucket + "/" + key)
	}})
	if a.auth, err = auth.New(ctx, auth.Config{DB: a.db, Region: a.cfg.Region, Bucket: r.s3.HostBucket}); err != nil {
		return nil, err
	}
	a.calls.auth = a.auth
	r.codecommit, err = codecommit.New(ctx, codecommit.Deps{
		DB: a.db, BasicGit: a.basicGit(r.cloudtrail), Record: r.cloudtrail.Record, Region: a.cfg.Region, Git: git.Config{Dir: filepath.Join(a.cfg.Data, "git"), Log: a.log},
		PublicURL: a.URL, AWS: a.calls.asCaller, TriggerAWS: a.calls.forTrigger, Notify: a.hub.Notify, RefsUpdated: r.changes.refsUpdated, Log: a.log,
	})
	if err != nil {
		return nil, err
	}
	run, err := a.newRunner()
	if err != nil {
		return nil, err
	}
	if r.codebuild, err = a.newCodeBuild(run, r.conductor.TellTx); err != nil {
		return nil, err
	}
	r.lambda = a.newLambda(run)
	if r.codedeploy, err = codedeploy.New(ctx, codedeploy.Deps{DB: a.db, Notify: a.hub.Notify, Tell: r.conductor.TellTx}); err != nil {
		return nil, err
	}
	r.worker = worker.New(worker.Config{DB: a.db, Conductor: r.conductor, Providers: providers, Execute: lambdainvoke.Execute, Env: a.env, Node: node(), Log: a.log})
	if err := a.takeUp(ctx); err != nil {
		return nil, err
	}
	connections, err := a.newConnections(r)
	if err != nil {
		return nil, err
	}
	every, err := time.ParseDuration(a.cfg.PollInterval)
	if err != nil {
		return nil, err
	}
	r.poller = &poller{every: every, db: a.db, changes: r.changes, refs: connections.Refs, between: connections.Between, log: a.log, now: time.Now}
	if len(a.endpoints.urls) > 0 {
		r.poller.away = &away{db: a.db, changes: r.changes, endpoints: a.endpoints, config: a.calls.forPoll}
	}
	r.keeper = a.newKeeper()
	pipelines, logRoom, parameters := a.newCodePipeline(r), logs.New(logs.Deps{DB: a.db, Notify: a.hub.Notify}), ssm.New(ssm.Deps{DB: a.db})
	hooks := http.NewServeMux()
	hooks.HandleFunc(codepipeline.WebhookPath, pipelines.ServeWebhook)
	hooks.HandleFunc(codeconnections.HookPath, connections.ServeHook)
	r.hooks = hooks
	r.services = append(connections.Services(),
		codecommitapi.New(r.codecommit),
		codebuildapi.New(r.codebuild),
		codedeployapi.New(r.codedeploy),
		commandsapi.New(r.codedeploy),
		lambdaapi.New(r.lambda),
		logsapi.New(logRoom),
		codepipelineapi.New(pipelines),
		eventsapi.New(r.events),
		snsapi.New(r.sns),
		ssmapi.New(parameters),
		secretsmanagerapi.New(secretsmanager.New(secretsmanager.Deps{DB: a.db})),
		notificationsapi.New(r.notifications),
		iamapi.New(iam.New(iam.Deps{DB: a.db})),
		stsapi.New(sts.New(sts.Deps{DB: a.db, Auth: a.auth})),
		cloudtrailapi.New(r.cloudtrail),
		cloudwatchapi.New(r.cloudwatch),
		taggingapi.New(a.newTagging(r, logRoom, parameters)),
	)
	for _, s := range r.services {
		s.Around = r.cloudtrail.Around
	}
	return r, nil
}

// actionTypes are all that AWS has, of actions and of rules, with the providers' own
// descriptions of what runs here.
func actionTypes(providers []provider.Provider) []pipeline.ActionType {
	types := pipeline.BuiltinTypes()
	for _, rule := range pipeline.BuiltinRuleTypes() {
		types = append(types, rule.ActionType())
	}
	for _, p := range providers {
		types = append(types, p.Types()...) // the conductor keeps the last of an id
	}
	return types
}

// takeUp makes the work of servers that are gone available again, where there can be only one
// server: a SQLite file is held by one process.
func (a *App) takeUp(ctx context.Context) error {
	if a.shared() {
		return nil
	}
	return a.db.Update(ctx, func(tx *store.Tx) error {
		return errors.Join(tx.DropLeases(ctx), tx.ReleaseDeliveries(ctx))
	})
}

func (a *App) newCodePipeline(r *rooms) *codepipeline.Room {
	yes := func(ok bool, err error) bool {
		if err != nil {
			a.log.Error("iam: cannot tell whether a role may be assumed", "error", err)
		}
		return ok && err == nil
	}
	return codepipeline.New(codepipeline.Deps{
		DB: a.db, Conductor: r.conductor, Sources: a.endpoints.sources, ArtifactCredentials: a.calls.forWorker, BucketRegion: a.bucketRegion,
		PublicURL: a.URL, EchoSecrets: a.cfg.WebhookSecrets == "echo", GitHub: codepipeline.GitHub{URL: strings.TrimRight(a.cfg.GitHubURL, "/")}, Log: a.log,
		CanAssume: func(ctx context.Context, role, source string) bool {
			return yes(a.auth.CanAssumeFor(ctx, role, pipelineService, source))
		},
		CanAssumeFrom: func(ctx context.Context, from, to string) bool {
			return from == to || yes(a.auth.CanAssumeFrom(ctx, from, to))
		},
	})
}

// bucketRegion tells where an artifact bucket of an account is (S-11). One at another endpoint
// is taken to be where it is declared to be: only the roles of actions can look.
func (a *App) bucketRegion(ctx context.Context, account, declared, name string) (region string, ok bool) {
	if _, away := a.endpoints.of("s3", account, declared); away {
		return declared, true
	}
	err := a.db.View(ctx, func(tx *store.Tx) error {
		b, err := tx.Bucket(ctx, name)
		region, ok = b.Region, err == nil && b.Account == account
		return nil
	})
	return region, ok && err == nil
}

// env is what a job may use.
func (a *App) env(_ context.Context, job *store.JobRow) provider.Env {
	env := a.calls.forJob(job)
	env.Credentials = func(ctx context.Context) (aws.Credentials, error) {
		c, err := a.calls.forWorker(ctx, job.Job)
		return aws.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}, err
	}
	env.Changed, env.ConsoleURL = a.hub.Changed, a.URL()
	return env
}

// deliver tells events to the rules of their account (S-340), and those of pipelines to the
// log.
func (a *App) deliver(r *rooms) func(context.Context, []store.Outgoing) error {
	return func(ctx context.Context, list []store.Outgoing) error {
		for _, e := range list {
			if e.Source != "aws.codepipeline" {
				continue
			}
			a.log.LogAttrs(ctx, slog.LevelInfo, "event", slog.String("type", e.DetailType), slog.String("resource", e.Resource),
				slog.Time("at", e.At), slog.String("detail", e.Detail))
		}
		if err := r.events.Take(ctx, list); err != nil {
			return err
		}
		return r.notifications.Take(ctx, list)
	}
}
