package pipeline

import (
	"testing"

	"penstock/internal/fault"
)

const region = "us-east-1"

func env() Env { return Env{Region: region, Account: "111122223333"} }

// base is one valid definition; each case of a table breaks it in one place.
func base() *Declaration {
	return &Declaration{
		Name:          "release",
		RoleARN:       "arn:aws:iam::111122223333:role/pipeline",
		ArtifactStore: &ArtifactStore{Type: "S3", Location: "artifacts"},
		PipelineType:  V2,
		Variables:     []VariableDeclaration{{Name: "color", DefaultValue: new("red")}},
		Stages: []Stage{
			{Name: "Source", Actions: []Action{
				{Name: "Object", ActionTypeID: aws(CategorySource, "S3"), Namespace: "object",
					Configuration:   map[string]string{"S3Bucket": "in", "S3ObjectKey": "source.zip"},
					OutputArtifacts: []OutputArtifact{{Name: "Sources"}}},
				{Name: "Git", ActionTypeID: aws(CategorySource, connectionProvider), Namespace: "git",
					Configuration: map[string]string{"ConnectionArn": "arn:aws:codeconnections:us-east-1:111122223333:connection/x",
						"FullRepositoryId": "team/app", "BranchName": "main"},
					OutputArtifacts: []OutputArtifact{{Name: "Tree"}}},
			}},
			{Name: "Build", Actions: []Action{
				{Name: "Compile", ActionTypeID: aws(CategoryBuild, "CodeBuild"), Namespace: "build",
					Configuration:   map[string]string{"ProjectName": "app"},
					InputArtifacts:  []ArtifactName{{"Sources"}},
					OutputArtifacts: []OutputArtifact{{Name: "Binary"}}},
				{Name: "Check", ActionTypeID: aws(CategoryTest, "CodeBuild"), RunOrder: 2,
					Configuration:  map[string]string{"ProjectName": "check", "EnvironmentVariables": "[#{build.VERSION}#{variables.color}]"},
					InputArtifacts: []ArtifactName{{"Binary"}}},
			}},
			{Name: "Deploy", Actions: []Action{
				{Name: "Approve", ActionTypeID: aws(CategoryApproval, "Manual"), TimeoutInMinutes: 60,
					Configuration: map[string]string{"CustomData": "#{codepipeline.PipelineExecutionId}"}},
				{Name: "Publish", ActionTypeID: aws(CategoryDeploy, "S3"), RunOrder: 2,
					Configuration:  map[string]string{"BucketName": "out", "Extract": "true"},
					InputArtifacts: []ArtifactName{{"Binary"}}},
			}},
		},
	}
}

func aws(category, provider string) ActionTypeID {
	return ActionTypeID{Category: category, Owner: OwnerAWS, Provider: provider, Version: "1"}
}

// action finds an action of a definition by its name.
func action(d *Declaration, name string) *Action {
	for i := range d.Stages {
		if a, ok := d.Stages[i].Action(name); ok {
			return a
		}
	}
	panic("no action " + name)
}

func set(d *Declaration, name, key, value string) { action(d, name).Configuration[key] = value }

// commands turns the test action into one of Compute/Commands.
func commandsAction(d *Declaration) *Action {
	a := action(d, "Check")
	a.ActionTypeID = aws(CategoryCompute, "Commands")
	a.Configuration = nil
	a.Commands = []string{"make test"}
	return a
}

func gitHub(d *Declaration) *Action {
	a := action(d, "Git")
	a.ActionTypeID = ActionTypeID{CategorySource, OwnerThirdParty, "GitHub", "1"}
	a.Configuration = map[string]string{"Owner": "team", "Repo": "app", "Branch": "main", "OAuthToken": "s3cr3t"}
	return a
}

// varCheck is a rule that any place takes.
func varCheck(name string) Rule {
	return Rule{Name: name, RuleTypeID: RuleTypeID{Category: CategoryRule, Provider: "VariableCheck"},
		Configuration: map[string]string{"Variable": "#{object.ETag}", "Value": "x", "Operator": "NE"}}
}

func condition(result string, rules ...Rule) []Condition {
	return []Condition{{Result: result, Rules: rules}}
}

// refusal is a case of a table: a mutation of base and the answer, none if it stays valid.
type refusal struct {
	name   string
	mutate func(d *Declaration, e *Env)
	code   string
	text   string
}

func runRefusals(t *testing.T, cases []refusal) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, e := base(), env()
			c.mutate(d, &e)
			err := Validate(d, e)
			if c.code == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				return
			}
			want := fault.New(c.code, "%s", c.text).Error()
			if err == nil || err.Error() != want {
				t.Fatalf("got  %v\nwant %s", err, want)
			}
			if fault.Code(err) != c.code {
				t.Fatalf("code %q, want %q", fault.Code(err), c.code)
			}
		})
	}
}

func TestBaseIsValid(t *testing.T) {
	t.Parallel()
	if err := Validate(base(), env()); err != nil {
		t.Fatal(err)
	}
}
