package commands_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/commands"
	"penstock/internal/provider/providertest"
)

func passes(context.Context, provider.Job) provider.Result {
	return provider.Result{OutputVariables: map[string]string{"RAN": "1"}}
}

// P-16, P-53, C-30: what is asked of every provider.
func TestProvider(t *testing.T) {
	t.Parallel()
	p := commands.New(passes)
	providertest.Run(t, p)
	if n := len(p.Types()); n != 3 {
		t.Errorf("%d types", n)
	}
	for _, typ := range p.Types() {
		if typ.Timeout != 55*time.Minute { // S-335
			t.Errorf("%v ends after %v", typ.ID, typ.Timeout)
		}
	}
	job := providertest.Job(p.Types()[0])
	job.Commands = []string{"true"}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if r := p.Run(ended, job); r.Error == nil {
		t.Error("commands ran although the action had ended")
	}
}

// P-16, S-44, S-45, S-46: what cannot run is refused before anything does.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(j *provider.Job)
		text   string
	}{
		"well":        {func(*provider.Job) {}, ""},
		"nothing":     {func(j *provider.Job) { j.Commands = nil }, "no commands"},
		"Windows":     {func(j *provider.Job) { j.Configuration["EnvironmentType"] = "WINDOWS_SERVER_2022_CONTAINER" }, "Linux"},
		"Linux":       {func(j *provider.Job) { j.Configuration["EnvironmentType"] = "LINUX_CONTAINER" }, ""},
		"secret":      {func(j *provider.Job) { j.Environment[0].Type = "SECRETS_MANAGER" }, ""}, // resolved by what runs them
		"digit":       {func(j *provider.Job) { j.Environment[0].Name = "1A" }, "'1A'"},
		"reserved":    {func(j *provider.Job) { j.Environment[0].Name = "CODEBUILD_SRC_DIR" }, "reserved"},
		"shell text":  {func(j *provider.Job) { j.OutputVariables = []string{"A;touch x"} }, "'A;touch x'"},
		"no files":    {func(j *provider.Job) { j.Files = nil }, "**/"},
		"no output":   {func(j *provider.Job) { j.Files, j.Outputs = nil, nil }, ""},
		"as a rule":   {func(j *provider.Job) { j.Inputs, j.Outputs, j.Files, j.OutputVariables = nil, nil, nil, nil }, ""},
		"other names": {func(j *provider.Job) { j.OutputVariables = []string{"_a1", "B"} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := commands.New(passes)
			job := providertest.Job(p.Types()[0])
			job.Commands, job.OutputVariables, job.Files = []string{"make"}, []string{"VERSION"}, []string{"**/"}
			job.Environment = []pipeline.EnvironmentVariable{{Name: "A", Value: "1", Type: "PLAINTEXT"}}
			job.Outputs = []pipeline.Artifact{{Name: "out", Bucket: "b", Key: "k"}}
			c.change(&job)
			r := p.Run(t.Context(), job)
			if c.text == "" && (r.Error != nil || r.OutputVariables["RAN"] != "1") {
				t.Errorf("%+v", r.Error)
			}
			if c.text != "" && (r.Error == nil || r.Error.Code != pipeline.ConfigurationError || !strings.Contains(r.Error.Message, c.text)) {
				t.Errorf("%+v", r.Error)
			}
		})
	}
}
