package codebuild

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	api "penstock/internal/api/codebuild"
	"penstock/internal/arn"
	"penstock/internal/auth"
	"penstock/internal/buildspec"
)

// record is a build as the API shows it, with its rules.
type record struct{ api.Build }

// MarshalJSON and UnmarshalJSON keep the record an ordinary build in the store.
func (r record) MarshalJSON() ([]byte, error)     { return json.Marshal(r.Build) }
func (r *record) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &r.Build) }

// clone gives a copy that shares nothing that changes.
func (r *record) clone() *api.Build {
	b := r.Build
	b.Phases = slices.Clone(b.Phases)
	b.SecondaryArtifacts = slices.Clone(b.SecondaryArtifacts)
	if b.Artifacts != nil {
		b.Artifacts = new(*b.Artifacts)
	}
	if b.Logs != nil {
		b.Logs = new(*b.Logs)
	}
	return &b
}

func (r *record) beginPhase(now time.Time, phase buildspec.PhaseName) {
	r.CurrentPhase = string(phase)
	r.Phases = append(r.Phases, api.BuildPhase{PhaseType: string(phase), StartTime: &now})
}

// endPhase ends the phase in progress with a context, which is empty for a success. (A.5)
func (r *record) endPhase(now time.Time, status, code, message string) {
	if len(r.Phases) == 0 {
		return
	}
	p := &r.Phases[len(r.Phases)-1]
	if p.EndTime != nil || p.PhaseType == string(buildspec.Completed) {
		return
	}
	p.PhaseStatus, p.EndTime = status, &now
	p.DurationInSeconds = new(int64(now.Sub(*p.StartTime).Round(time.Second) / time.Second))
	p.Contexts = []api.PhaseContext{{StatusCode: code, Message: message}}
}

// complete ends the build.
func (r *record) complete(now time.Time, status string) {
	r.CurrentPhase, r.BuildStatus = string(buildspec.Completed), status
	r.EndTime, r.BuildComplete = &now, new(true)
	r.Phases = append(r.Phases, api.BuildPhase{PhaseType: string(buildspec.Completed), StartTime: &now})
}

// givenNames are the reserved variables that CodePipeline sets for a build whose source is
// an artifact: the build's source is an object, the artifact's revision is a commit. (B)
var givenNames = []string{"CODEBUILD_RESOLVED_SOURCE_VERSION", "CODEBUILD_SOURCE_VERSION", "CODEBUILD_SOURCE_REPO_URL", "CODEBUILD_INITIATOR"}

// newDoc makes the build of a project and a start: every override is resolved here.
func newDoc(c auth.Caller, p *api.Project, in api.StartBuildInput, number int64, now time.Time, console string) (*buildDoc, error) {
	if in.DebugSessionEnabled != nil && *in.DebugSessionEnabled {
		return nil, invalid("Debug sessions are not offered by this server")
	}
	if err := cmp.Or(validRetries(in.AutoRetryLimitOverride), validLogs(in.LogsConfigOverride)); err != nil {
		return nil, err
	}
	id := auth.NewUUID()
	b := api.Build{
		Id: p.Name + ":" + id, BuildNumber: &number, StartTime: &now, ProjectName: p.Name,
		Arn: buildARN(c.Account, c.Region, p.Name+":"+id), BuildStatus: "IN_PROGRESS", BuildComplete: new(false),
		SourceVersion: cmp.Or(in.SourceVersion, p.SourceVersion), ServiceRole: cmp.Or(in.ServiceRoleOverride, p.ServiceRole),
		EncryptionKey:    cmp.Or(in.EncryptionKeyOverride, p.EncryptionKey),
		TimeoutInMinutes: cmp.Or(in.TimeoutInMinutesOverride, p.TimeoutInMinutes), QueuedTimeoutInMinutes: cmp.Or(in.QueuedTimeoutInMinutesOverride, p.QueuedTimeoutInMinutes),
		Cache: cmp.Or(in.CacheOverride, p.Cache), VpcConfig: p.VpcConfig, Initiator: initiator(c),
		SecondarySources: p.SecondarySources, SecondarySourceVersions: p.SecondarySourceVersions,
	}
	src := *p.Source
	if in.SourceTypeOverride != "" {
		src.Type, src.Location = in.SourceTypeOverride, ""
	}
	src.Location = cmp.Or(in.SourceLocationOverride, src.Location)
	src.Buildspec = cmp.Or(in.BuildspecOverride, src.Buildspec)
	set(&src.Auth, in.SourceAuthOverride)
	set(&src.GitCloneDepth, in.GitCloneDepthOverride)
	set(&src.GitSubmodulesConfig, in.GitSubmodulesConfigOverride)
	set(&src.InsecureSsl, in.InsecureSslOverride)
	set(&src.ReportBuildStatus, in.ReportBuildStatusOverride)
	set(&src.BuildStatusConfig, in.BuildStatusConfigOverride)
	b.Source = &src
	setList(&b.SecondarySources, in.SecondarySourcesOverride)
	setList(&b.SecondarySourceVersions, in.SecondarySourcesVersionOverride)

	env := *p.Environment
	env.Type, env.Image, env.ComputeType = cmp.Or(in.EnvironmentTypeOverride, env.Type), cmp.Or(in.ImageOverride, env.Image), cmp.Or(in.ComputeTypeOverride, env.ComputeType)
	env.Certificate, env.ImagePullCredentialsType = cmp.Or(in.CertificateOverride, env.Certificate), cmp.Or(in.ImagePullCredentialsTypeOverride, env.ImagePullCredentialsType)
	set(&env.PrivilegedMode, in.PrivilegedModeOverride)
	set(&env.RegistryCredential, in.RegistryCredentialOverride)
	set(&env.Fleet, in.FleetOverride)
	if err := validVariables(in.EnvironmentVariablesOverride); err != nil {
		return nil, err
	}
	doc := &buildDoc{Input: in, Account: c.Account, Region: c.Region, CallerARN: c.ARN, Given: map[string]string{}}
	env.EnvironmentVariables = slices.Clone(env.EnvironmentVariables)
	for _, v := range in.EnvironmentVariablesOverride {
		if c.InvokedBy == codepipeline && slices.ContainsFunc(givenNames, func(n string) bool { return v.Name == n || strings.HasPrefix(v.Name, n+"_") }) {
			doc.Given[v.Name] = v.Value
			continue
		}
		i := slices.IndexFunc(env.EnvironmentVariables, func(o api.EnvironmentVariable) bool { return o.Name == v.Name })
		if i < 0 {
			env.EnvironmentVariables = append(env.EnvironmentVariables, v)
		} else {
			env.EnvironmentVariables[i] = v
		}
	}
	b.Environment = &env
	b.Initiator = cmp.Or(doc.Given["CODEBUILD_INITIATOR"], b.Initiator)

	primary := *cmp.Or(in.ArtifactsOverride, p.Artifacts)
	primary.ArtifactIdentifier = ""
	doc.Artifacts = append(doc.Artifacts, primary)
	secondary := p.SecondaryArtifacts
	setList(&secondary, in.SecondaryArtifactsOverride)
	doc.Artifacts = append(doc.Artifacts, secondary...)
	for i := range doc.Artifacts {
		if err := validArtifacts(&doc.Artifacts[i]); err != nil {
			return nil, err
		}
	}
	if err := startable(&b, doc.Artifacts); err != nil {
		return nil, err
	}
	b.Logs = logsOf(cmp.Or(in.LogsConfigOverride, p.LogsConfig), p.Name, id, c)
	if console != "" {
		b.Logs.DeepLink = console + "/codebuild/" + c.Region + "/builds/" + b.Id
	}
	doc.Build = record{b}
	doc.Build.beginPhase(now, buildspec.Submitted)
	doc.Build.endPhase(now, "SUCCEEDED", "", "")
	doc.Build.Phases[0].Contexts = nil
	doc.Build.beginPhase(now, buildspec.Queued)
	return doc, nil
}

const codepipeline = "codepipeline.amazonaws.com"

// initiator says who started the build, as CODEBUILD_INITIATOR has it. (B)
func initiator(c auth.Caller) string {
	if c.InvokedBy == codepipeline {
		return "codepipeline/" + c.SessionName
	}
	if _, after, ok := strings.Cut(c.ARN, ":assumed-role/"); ok {
		return after
	}
	return cmp.Or(c.UserName, c.ARN[strings.LastIndexByte(c.ARN, ':')+1:])
}

// startable refuses builds that cannot have a source or an output.
func startable(b *api.Build, artifacts []api.ProjectArtifacts) error {
	if b.Source.Type == "CODEPIPELINE" {
		return invalid("Project source type is CODEPIPELINE: the build must be started by CodePipeline, or with sourceTypeOverride")
	}
	sources := append([]api.ProjectSource{*b.Source}, b.SecondarySources...)
	for i := range sources {
		if err := validSource(&sources[i]); err != nil {
			return err
		}
	}
	for _, a := range artifacts {
		if a.Type == "CODEPIPELINE" {
			return invalid("Project artifacts type is CODEPIPELINE: the build must be started by CodePipeline, or with artifactsOverride")
		}
	}
	if b.Source.Type == "NO_SOURCE" && !isInline(b.Source.Buildspec) && !strings.HasPrefix(b.Source.Buildspec, "arn:") {
		return invalid("Invalid source: a buildspec must be given inline for source type NO_SOURCE")
	}
	return nil
}

func logsOf(cfg *api.LogsConfig, project, id string, c auth.Caller) *api.LogsLocation {
	cw := api.CloudWatchLogsConfig{Status: "ENABLED"}
	if cfg != nil && cfg.CloudWatchLogs != nil {
		cw = *cfg.CloudWatchLogs
	}
	l := &api.LogsLocation{CloudWatchLogs: &cw, S3Logs: &api.S3LogsConfig{Status: "DISABLED", EncryptionDisabled: new(false)}}
	if cw.Status != "DISABLED" {
		l.GroupName = cmp.Or(cw.GroupName, "/aws/codebuild/"+project)
		l.StreamName = id
		if cw.StreamName != "" {
			l.StreamName = cw.StreamName + "/" + id
		}
		l.CloudWatchLogsArn = arn.New("logs", c.Region, c.Account, "log-group:"+l.GroupName+":log-stream:"+l.StreamName)
	}
	return l
}

// isInline tells the text of a buildspec from the path of one: it has lines, or is a map
// on one line. (A.1)
func isInline(s string) bool {
	if strings.Contains(s, "\n") {
		return true
	}
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "{") || strings.HasPrefix(s, "version:")
}

// variables gives the values of variables that have one, and by name those whose value is a
// parameter or a secret.
func variables(list []api.EnvironmentVariable) (plain map[string]string, elsewhere map[string]api.EnvironmentVariable) {
	plain, elsewhere = map[string]string{}, map[string]api.EnvironmentVariable{}
	for _, v := range list {
		switch {
		case strings.HasPrefix(v.Name, "CODEBUILD_"): // reserved
		case v.Type == "" || v.Type == "PLAINTEXT":
			plain[v.Name] = v.Value
		default:
			elsewhere[v.Name] = v
		}
	}
	return plain, elsewhere
}
