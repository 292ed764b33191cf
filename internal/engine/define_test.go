package engine

import (
	"strconv"
	"strings"
	"time"

	"penstock/internal/pipeline"
)

// catalogue knows the action types of the stories: their provider is the kind.
func catalogue(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
	t := pipeline.ActionType{ID: id, Timeout: time.Hour}
	switch id.Provider {
	case "gone":
		return t, false
	case "off":
		t.Unavailable = "this server does not run it"
	case "untimed":
		t.Timeout = 0
	case "function":
		t.Timeout, t.Silence = 24*time.Hour, 20*time.Minute
	case "executor":
		t.Function = "arn:function"
	case "worker":
		t.Timeout = 24 * time.Hour
		t.Properties = []pipeline.Property{{Name: "job", Required: true}}
		t.Settings = pipeline.Settings{EntityURLTemplate: "https://ci/{Config:job}", ExecutionURLTemplate: "https://ci/{Config:job}/{ExternalExecutionId}"}
	}
	return t, true
}

// define reads a pipeline's stages, one a line.
func (p *player) define(args, lines []string, version int) *pipeline.Declaration {
	d := &pipeline.Declaration{Name: "the-pipeline-of-stories", RoleARN: "arn:role", Version: version, ExecutionMode: pipeline.Superseded, PipelineType: pipeline.V2,
		ArtifactStore: &pipeline.ArtifactStore{Type: "S3", Location: "bucket"}}
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "mode":
			d.ExecutionMode = pipeline.ExecutionMode(v)
		case "limit":
			p.limits.ConcurrentExecutions, _ = strconv.Atoi(v)
		case "stores":
			d.ArtifactStore, d.ArtifactStores = nil, map[string]pipeline.ArtifactStore{}
			for region := range strings.SplitSeq(v, ",") {
				d.ArtifactStores[region] = pipeline.ArtifactStore{Type: "S3", Location: "bucket-" + region}
			}
		case "type":
			d.PipelineType = v
		case "var":
			name, value, ok := strings.Cut(v, ":")
			decl := pipeline.VariableDeclaration{Name: name}
			if ok {
				decl.DefaultValue = &value
			}
			d.Variables = append(d.Variables, decl)
		}
	}
	for i, line := range lines {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		s := pipeline.Stage{Name: name}
		for word := range strings.FieldsSeq(rest) {
			if mode, ok := strings.CutPrefix(word, "!retry"); ok {
				s.OnFailure = &pipeline.FailureConditions{Result: "RETRY"}
				if mode != "" {
					s.OnFailure.RetryConfiguration = &pipeline.RetryConfiguration{RetryMode: pipeline.RetryMode(mode[1:])}
				}
				continue
			}
			if text, ok := strings.CutPrefix(word, "?"); ok {
				condition(&s, text)
				continue
			}
			if word == "!rollback" {
				s.OnFailure = &pipeline.FailureConditions{Result: "ROLLBACK"}
				continue
			}
			s.Actions = append(s.Actions, action(word, i == 0))
		}
		d.Stages = append(d.Stages, s)
	}
	return d
}

// script makes an action of commands, in whose text _ stands for a blank.
func script(a *pipeline.Action, parts []string) {
	for _, p := range parts {
		if name, value, ok := strings.Cut(p, "="); ok {
			a.EnvironmentVariables = append(a.EnvironmentVariables, pipeline.EnvironmentVariable{Name: name, Value: value, Type: "PLAINTEXT"})
		} else {
			a.Commands = append(a.Commands, strings.ReplaceAll(p, "_", " "))
		}
	}
	a.OutputVariables = []string{"VERSION"}
	for i := range a.OutputArtifacts {
		a.OutputArtifacts[i].Files = []string{"**/"}
	}
}

// action reads name[:kind][@order][>output][<input][/namespace][~minutes][^region][=key:value].
func action(word string, source bool) pipeline.Action {
	a := pipeline.Action{RunOrder: 1, ActionTypeID: pipeline.ActionTypeID{Category: "Build", Owner: "AWS", Provider: "CodeBuild", Version: "1"}, Configuration: map[string]string{}}
	if source {
		a.ActionTypeID = pipeline.ActionTypeID{Category: "Source", Owner: "AWS", Provider: "CodeCommit", Version: "1"}
	}
	for len(word) > 0 {
		end := strings.IndexAny(word[1:], ":@><=/~^") + 1
		if end == 0 {
			end = len(word)
		}
		part := word[:end]
		if strings.HasPrefix(word, "=") { // key:value reaches to the end
			k, v, _ := strings.Cut(word[1:], ":")
			if k == "run" { // =run:COMMAND;NAME=VALUE;…
				script(&a, strings.Split(v, ";"))
				break
			}
			v, more, _ := strings.Cut(v, ";") // =key:value;key:value
			a.Configuration[k] = v
			for k, v := range pairs(more) {
				a.Configuration[k] = v
			}
			break
		}
		word = word[end:]
		switch part[0] {
		case ':':
			a.ActionTypeID.Provider = part[1:]
			switch part[1:] {
			case "Manual":
				a.ActionTypeID.Category = "Approval"
			case "worker", "gone", "mine":
				a.ActionTypeID.Owner = "Custom"
			}
		case '@':
			a.RunOrder, _ = strconv.Atoi(part[1:])
		case '>':
			a.OutputArtifacts = append(a.OutputArtifacts, pipeline.OutputArtifact{Name: part[1:]})
		case '<':
			a.InputArtifacts = append(a.InputArtifacts, pipeline.ArtifactName{Name: part[1:]})
		case '^':
			a.Region = part[1:]
		case '/':
			a.Namespace = part[1:]
		case '~':
			a.TimeoutInMinutes, _ = strconv.Atoi(part[1:])
		default:
			a.Name = part
		}
	}
	return a
}

// condition reads entry|success|failure:RESULT=RULE[,RULE…] with rules written like actions;
// their kind is VariableCheck unless they have one.
func condition(s *pipeline.Stage, text string) {
	head, rules, _ := strings.Cut(text, "=")
	place, result, _ := strings.Cut(head, ":")
	c := pipeline.Condition{Result: result}
	for word := range strings.SplitSeq(rules, ",") {
		a := action(word, false)
		r := pipeline.Rule{Name: a.Name, RuleTypeID: pipeline.RuleTypeID{Category: "Rule", Provider: "VariableCheck"},
			Configuration: a.Configuration, Commands: a.Commands, InputArtifacts: a.InputArtifacts, Region: a.Region, TimeoutInMinutes: a.TimeoutInMinutes}
		if a.ActionTypeID.Provider != "CodeBuild" {
			r.RuleTypeID.Provider = a.ActionTypeID.Provider
		}
		c.Rules = append(c.Rules, r)
	}
	switch place {
	case "entry":
		s.BeforeEntry = &pipeline.Conditions{Conditions: []pipeline.Condition{c}}
	case "success":
		s.OnSuccess = &pipeline.Conditions{Conditions: []pipeline.Condition{c}}
	case "failure":
		s.OnFailure = &pipeline.FailureConditions{Conditions: []pipeline.Condition{c}}
	}
}

// pairs reads key:value;key:value.
func pairs(text string) map[string]string {
	m := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		if k, v, ok := strings.Cut(part, ":"); ok {
			m[k] = v
		}
	}
	return m
}
