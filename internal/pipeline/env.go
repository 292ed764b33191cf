package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"penstock/internal/fault"
)

// Env is what the rules of a pipeline depend on besides its definition.
type Env struct {
	// Region and Account are those of the pipeline.
	Region, Account string
	// Catalogue knows the action types; nil means the built-in ones.
	Catalogue Catalogue
	Limits    Limits
	// MayAssume says whether the service may assume a role (S-8); nil skips the check.
	MayAssume func(roleARN string) bool
	// MayAssumeFrom says whether a role may assume the role of an action (S-40); nil skips
	// the check.
	MayAssumeFrom func(pipelineRole, actionRole string) bool
	// Previous is the stored definition an update replaces, with its secrets; nil at creation.
	Previous *Declaration
	// StrictPipelineType takes an absent pipelineType for V1 instead of inferring V2.
	StrictPipelineType bool
	// At, if not nil, is given the path of the stage, action or rule that an error speaks of
	// (W-22), for who shows the place in a text.
	At *string
	// StrictTriggers refuses combinations of filters that AWS does not document.
	StrictTriggers bool
}

var builtin = sync.OnceValue(func() Catalogue { return NewCatalogue(BuiltinTypes()...) })

func (e Env) catalogue() Catalogue {
	if e.Catalogue != nil {
		return e.Catalogue
	}
	return builtin()
}

// The error classes of a definition, spelled as AWS spells them.
const (
	invalidValue     = "ValidationException"
	invalidStructure = "InvalidStructureException"
	invalidStage     = "InvalidStageDeclarationException"
	invalidAction    = "InvalidActionDeclarationException"
	invalidBlocker   = "InvalidBlockerDeclarationException"
)

// The categories and owners of action types (S-34).
const (
	CategorySource   = "Source"
	CategoryBuild    = "Build"
	CategoryDeploy   = "Deploy"
	CategoryTest     = "Test"
	CategoryInvoke   = "Invoke"
	CategoryApproval = "Approval"
	CategoryCompute  = "Compute"
	CategoryRule     = "Rule"

	OwnerAWS        = "AWS"
	OwnerThirdParty = "ThirdParty"
	OwnerCustom     = "Custom"
)

// Bounds of the API model that are no quotas, so no setting changes them.
const (
	maxRunOrder = 999
	minTimeout  = 5
	maxTimeout  = 86400
	maxFilters  = 3
	maxPatterns = 8
	maxPattern  = 255
	maxRules    = 5
)

// violation words a broken constraint as the wire does (W-21, W-23). It is for constraints
// that are quotas here, and for values the engine relies on.
func violation(path, phrase string, args ...any) error {
	return fault.New(invalidValue, "1 validation error detected: Value at '%s' failed to satisfy constraint: %s",
		path, fmt.Sprintf(phrase, args...))
}

// at tells the place of an error, unless one nearer to it has been told.
func (v *validator) at(err error, path string, args ...any) error {
	if err != nil && v.env.At != nil && *v.env.At == "" {
		*v.env.At = fmt.Sprintf(path, args...)
	}
	return err
}

const (
	tooLong  = "Member must have length less than or equal to %d"
	tooShort = "Member must have length greater than or equal to %d"
	tooMuch  = "Member must have value less than or equal to %d"
	tooFew   = "Member must have value greater than or equal to %d"
	notIn    = "Member must satisfy enum value set: [%s]"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
