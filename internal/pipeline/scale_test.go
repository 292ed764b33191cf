package pipeline

import (
	"fmt"
	"strings"
	"testing"
)

// S-23, S-40, S-49, S-74, S-75, S-275: the largest definition, fifty stages of a thousand actions
// with 500 KB of references to variables, is valid, and what is asked about an action is asked
// twice at most, however many others there are.
func TestLargestDefinition(t *testing.T) {
	t.Parallel()
	d := base()
	d.Stages = d.Stages[:1]
	previous := ""
	for n := 2; n < 1000; n++ {
		if len(d.Stages) < 50 && (n-2)%20 == 0 {
			d.Stages = append(d.Stages, Stage{Name: fmt.Sprint("Stage", len(d.Stages))})
		}
		s := &d.Stages[len(d.Stages)-1]
		s.Actions = append(s.Actions, Action{Name: fmt.Sprint("Make", n), ActionTypeID: aws(CategoryBuild, "CodeBuild"), RunOrder: n, Namespace: fmt.Sprint("ns", n),
			RoleARN: fmt.Sprintf("arn:aws:iam::111122223333:role/r%d", n%10), Configuration: map[string]string{"ProjectName": "app",
				"EnvironmentVariables": strings.Repeat("#{object.ETag}", 36) + previous},
			InputArtifacts: []ArtifactName{{"Sources"}}, OutputArtifacts: []OutputArtifact{{Name: fmt.Sprint("Out", n)}}})
		previous = fmt.Sprintf("#{ns%d.V}", n)
	}
	e, types, roles := env(), 0, 0
	e.Catalogue = func(id ActionTypeID) (ActionType, bool) {
		types++
		return builtin()(id)
	}
	e.MayAssumeFrom = func(string, string) bool {
		roles++
		return true
	}
	if err := Validate(d, e); err != nil {
		t.Fatal(err)
	}
	if len(d.Stages) != 50 || types > 2*1000 || roles != 10 {
		t.Errorf("%d stages; asked for %d action types and %d roles", len(d.Stages), types, roles)
	}
}
