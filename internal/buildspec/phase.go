package buildspec

// PhaseName is the type of a build phase as BatchGetBuilds shows it.
type PhaseName string

// The phases of a build in their order. (A.5)
const (
	Submitted       PhaseName = "SUBMITTED"
	Queued          PhaseName = "QUEUED"
	Provisioning    PhaseName = "PROVISIONING"
	DownloadSource  PhaseName = "DOWNLOAD_SOURCE"
	Install         PhaseName = "INSTALL"
	PreBuild        PhaseName = "PRE_BUILD"
	Build           PhaseName = "BUILD"
	PostBuild       PhaseName = "POST_BUILD"
	UploadArtifacts PhaseName = "UPLOAD_ARTIFACTS"
	Finalizing      PhaseName = "FINALIZING"
	Completed       PhaseName = "COMPLETED"
)

// CommandPhases are the phases that run commands, in order.
var CommandPhases = []PhaseName{Install, PreBuild, Build, PostBuild}

// keys maps the phase names of the file to phases.
var keys = map[string]PhaseName{
	"install": Install, "pre_build": PreBuild, "build": Build, "post_build": PostBuild,
}

// Outcome is how a phase ended.
type Outcome int

// The outcomes that decide what comes next.
const (
	// Passed means that the phase did what it should.
	Passed Outcome = iota
	// Failed means that a command, a file or a service said no; retries are used up.
	Failed
	// Ended means that the build was stopped, ran out of time or broke: nothing more runs.
	Ended
)

// Next gives the phase that follows one which ended with the outcome, under the
// on-failure verb of that phase. (A.3)
//
// Without a rule a failed install or pre_build ends the build, a failed build phase is
// still followed by post_build, and artifacts are uploaded after a failed build or
// post_build. ABORT ends the build, CONTINUE goes on; neither makes the build succeed.
func Next(phase PhaseName, outcome Outcome, onFailure Action) PhaseName {
	following := map[PhaseName]PhaseName{
		Submitted: Queued, Queued: Provisioning, Provisioning: DownloadSource,
		DownloadSource: Install, Install: PreBuild, PreBuild: Build, Build: PostBuild,
		PostBuild: UploadArtifacts, UploadArtifacts: Finalizing, Finalizing: Completed,
		Completed: Completed,
	}[phase]
	switch {
	case outcome == Passed || following == Completed:
		return following
	case outcome == Ended:
		return Finalizing
	}
	switch phase {
	case Submitted, Queued, Provisioning, DownloadSource:
		return Finalizing
	case UploadArtifacts:
		return following
	case Build, PostBuild:
		if onFailure == Abort {
			return Finalizing
		}
		return following
	default:
		if onFailure == Continue {
			return following
		}
		return Finalizing
	}
}
