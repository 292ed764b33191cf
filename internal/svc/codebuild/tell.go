package codebuild

import (
	"cmp"
	"context"
	"encoding/json"
	"strings"
	"time"

	api "penstock/internal/api/codebuild"
	"penstock/internal/store"
)

// stateChange is the detail of the event that a build has begun or ended, phaseChange that of
// the end of a phase. The names and the order are those of CodeBuild.
type stateChange struct {
	Status  string `json:"build-status"`
	Project string `json:"project-name"`
	Build   string `json:"build-id"`
	About   about  `json:"additional-information"`
	Phase   string `json:"current-phase"`
	Context string `json:"current-phase-context"`
	Version string `json:"version"`
}

type phaseChange struct {
	Phase    string `json:"completed-phase"`
	Project  string `json:"project-name"`
	Build    string `json:"build-id"`
	Context  string `json:"completed-phase-context"`
	About    about  `json:"additional-information"`
	Status   string `json:"completed-phase-status"`
	Duration int64  `json:"completed-phase-duration-seconds"`
	Version  string `json:"version"`
	Start    string `json:"completed-phase-start"`
	End      string `json:"completed-phase-end"`
}

type about struct {
	Artifact      *aboutArtifact `json:"artifact,omitempty"`
	Environment   aboutWhere     `json:"environment"`
	Timeout       int32          `json:"timeout-in-minutes"`
	Complete      bool           `json:"build-complete"`
	Initiator     string         `json:"initiator"`
	Start         string         `json:"build-start-time"`
	Source        aboutSource    `json:"source"`
	SourceVersion string         `json:"source-version,omitempty"`
	Logs          *aboutLogs     `json:"logs,omitempty"`
	Phases        []aboutPhase   `json:"phases"`
}

type aboutArtifact struct {
	MD5      string `json:"md5sum,omitempty"`
	SHA256   string `json:"sha256sum,omitempty"`
	Location string `json:"location"`
}

type aboutWhere struct {
	Image      string          `json:"image"`
	Privileged bool            `json:"privileged-mode"`
	Compute    string          `json:"compute-type"`
	Type       string          `json:"type"`
	Variables  []aboutVariable `json:"environment-variables"`
}

type aboutVariable struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

type aboutSource struct {
	Location string `json:"location,omitempty"`
	Type     string `json:"type"`
}

type aboutLogs struct {
	Group  string `json:"group-name"`
	Stream string `json:"stream-name"`
	Link   string `json:"deep-link"`
}

type aboutPhase struct {
	Context  []string `json:"phase-context"`
	Start    string   `json:"start-time"`
	End      string   `json:"end-time,omitempty"`
	Duration *int64   `json:"duration-in-seconds,omitempty"`
	Type     string   `json:"phase-type"`
	Status   string   `json:"phase-status,omitempty"`
}

// ended counts the phases that are over: the last but one, or all.
func (r *record) ended() int {
	n := len(r.Phases)
	for n > 0 && r.Phases[n-1].EndTime == nil {
		n--
	}
	return n
}

// moment writes times as these events do.
func moment(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format("Jan 2, 2006 3:04:05 PM")
}

// contexts are what went wrong in a phase.
func contexts(p *api.BuildPhase) []string {
	list := []string{}
	for _, c := range p.Contexts {
		if c.StatusCode != "" || c.Message != "" {
			list = append(list, strings.TrimSuffix(c.StatusCode+": "+c.Message, ": "))
		}
	}
	return list
}

func oneContext(p *api.BuildPhase) string { return "[" + strings.Join(contexts(p), ", ") + "]" }

// about says what events say of a build.
func (r *record) about() about {
	a := about{
		Environment: aboutWhere{Image: r.Environment.Image, Compute: r.Environment.ComputeType, Type: r.Environment.Type, Variables: []aboutVariable{}},
		Complete:    r.EndTime != nil, Initiator: r.Initiator, Start: moment(r.StartTime), SourceVersion: r.SourceVersion,
		Source: aboutSource{Location: r.Source.Location, Type: r.Source.Type}, Phases: []aboutPhase{},
	}
	if r.Environment.PrivilegedMode != nil {
		a.Environment.Privileged = *r.Environment.PrivilegedMode
	}
	for _, v := range r.Environment.EnvironmentVariables {
		a.Environment.Variables = append(a.Environment.Variables, aboutVariable{v.Name, cmp.Or(v.Type, "PLAINTEXT"), v.Value})
	}
	if r.TimeoutInMinutes != nil {
		a.Timeout = *r.TimeoutInMinutes
	}
	if r.Artifacts != nil && r.Artifacts.Location != "" {
		a.Artifact = &aboutArtifact{r.Artifacts.Md5sum, r.Artifacts.Sha256sum, r.Artifacts.Location}
	}
	if r.Logs != nil && r.Logs.GroupName != "" {
		a.Logs = &aboutLogs{r.Logs.GroupName, r.Logs.StreamName, r.Logs.DeepLink}
	}
	for i := range r.Phases {
		p := &r.Phases[i]
		a.Phases = append(a.Phases, aboutPhase{contexts(p), moment(p.StartTime), moment(p.EndTime), p.DurationInSeconds, p.PhaseType, p.PhaseStatus})
	}
	return a
}

// tell keeps the events of the phases that have ended after the first from, and of the build's
// new state if it has one, in the transaction that keeps the build (S-238).
func (r *Room) tell(ctx context.Context, tx *store.Tx, doc *buildDoc, from int, changed bool) error {
	b := &doc.Build
	keep := func(kind string, detail any) error {
		text, err := json.Marshal(detail)
		if err != nil {
			return err
		}
		return r.deps.Tell(ctx, tx, store.Outgoing{
			Source: "aws.codebuild", Account: doc.Account, Region: doc.Region, Resource: b.Arn, At: tx.Now(), DetailType: kind, Detail: string(text),
		})
	}
	state := func() error {
		last := &b.Phases[len(b.Phases)-1]
		return keep("CodeBuild Build State Change", stateChange{b.BuildStatus, b.ProjectName, b.Arn, b.about(), b.CurrentPhase, oneContext(last), "1"})
	}
	if changed && b.EndTime == nil { // it has begun
		if err := state(); err != nil {
			return err
		}
	}
	for i := from; i < b.ended(); i++ {
		p := &b.Phases[i]
		if err := keep("CodeBuild Build Phase Change", phaseChange{p.PhaseType, b.ProjectName, b.Arn, oneContext(p), b.about(), p.PhaseStatus,
			*p.DurationInSeconds, "1", moment(p.StartTime), moment(p.EndTime)}); err != nil {
			return err
		}
	}
	if changed && b.EndTime != nil {
		return state()
	}
	return nil
}
