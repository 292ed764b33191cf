package pipeline

import "penstock/internal/fault"

// The namespaces that no action declares (S-272).
const (
	systemNamespace    = "codepipeline"
	variablesNamespace = "variables"
	executionIDKey     = "PipelineExecutionId"
)

// referrer is the action or rule whose values hold references.
type referrer struct {
	stage, kind, name string
	at                place
	source            bool
	// secret says that a value must not be quoted in a message.
	secret func(key string) bool
}

// texts are the values of an action that variables are resolved in (S-277), with the key
// that messages name.
func (a *Action) texts(yield func(key, value string) bool) {
	for _, key := range sortedKeys(a.Configuration) {
		if !yield(key, a.Configuration[key]) {
			return
		}
	}
	for _, command := range a.Commands {
		if !yield("commands", command) {
			return
		}
	}
	for _, e := range a.EnvironmentVariables {
		if !yield(e.Name, e.Value) {
			return
		}
	}
}

func (r *Rule) texts(yield func(key, value string) bool) {
	for _, key := range sortedKeys(r.Configuration) {
		if !yield(key, r.Configuration[key]) {
			return
		}
	}
	for _, command := range r.Commands {
		if !yield("commands", command) {
			return
		}
	}
}

func (v *validator) actionReferences(a subject) error {
	return v.references(referrer{
		stage: a.stage.Name, kind: "Action", name: a.Name, at: a.at,
		source: a.t.ID.Category == CategorySource, secret: a.t.IsSecret,
	}, a.texts)
}

// references checks that every reference can be resolved when its turn comes (S-271 to S-276).
func (v *validator) references(user referrer, texts func(yield func(key, value string) bool)) error {
	for key, value := range texts {
		for _, ref := range References(value) {
			if err := v.reference(user, key, ref); err != nil {
				return err
			}
		}
	}
	return nil
}

const referenceFormat = "Valid format for a pipeline execution variable reference is a namespace and a key separated by a period (.). "

func (v *validator) reference(user referrer, key string, ref Reference) error {
	refuse := func(code, text string) error {
		quoted := ref.Text
		if user.secret != nil && user.secret(key) {
			quoted = SecretMask
		}
		return fault.New(code, "%s\nStageName=[%s], %sName=[%s], %sConfigurationKey=[%s], VariableReferenceText=[%s]",
			text, user.stage, user.kind, user.name, user.kind, key, quoted)
	}
	if !ref.OK {
		return refuse(invalidAction, referenceFormat+"The following pipeline execution variables do not have a valid format.")
	}
	if ref.Namespace == systemNamespace {
		if ref.Key == executionIDKey {
			return nil
		}
		return refuse(invalidAction, "The namespace codepipeline has no key but PipelineExecutionId.")
	}
	from, produced := v.namespaces[ref.Namespace]
	if ref.Namespace == variablesNamespace && (len(v.variables) > 0 || !produced) {
		switch {
		case user.source:
			return refuse(invalidStructure, "Variables at the pipeline level cannot be used in source actions.")
		case !v.variables[ref.Key]:
			return refuse(invalidStructure, "The referenced variables haven't been declared.")
		}
		return nil
	}
	if !produced || user.source || !from.before(user.at) {
		return refuse(invalidAction, referenceFormat+"The following pipeline execution variables are referencing a namespace that does not exist.")
	}
	return nil
}
