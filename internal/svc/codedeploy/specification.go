package codedeploy

import (
	"context"
	"encoding/json"
	"strings"

	commands "penstock/internal/api/codedeploycommands"
	"penstock/internal/store"
)

// specification is what an agent is told of a deployment (D.2).
type specification struct {
	DeploymentID        string    `json:"DeploymentId"`
	DeploymentGroupID   string    `json:"DeploymentGroupId"`
	DeploymentGroupName string    `json:"DeploymentGroupName"`
	ApplicationName     string    `json:"ApplicationName"`
	DeploymentCreator   string    `json:"DeploymentCreator"`
	DeploymentType      string    `json:"DeploymentType"`
	AppSpecFilename     string    `json:"AppSpecFilename"`
	Revision            location  `json:"Revision"`
	Overrides           overrides `json:"AgentActionOverrides"`
	Events              []string  `json:"AllPossibleLifecycleEvents"`
}

type location struct {
	RevisionType string
	S3Revision   s3Revision
}

type s3Revision struct {
	Bucket, Key, BundleType string
	Version                 string `json:",omitempty"`
	ETag                    string `json:",omitempty"`
}

type overrides struct {
	AgentOverrides struct{ FileExistsBehavior string }
}

// specify makes the specification of a deployment.
func (d *deployment) specify() *specification {
	at := d.Info.Revision.S3Location
	s := &specification{
		DeploymentID: d.Info.DeploymentId, DeploymentGroupID: d.GroupID, DeploymentGroupName: d.Info.DeploymentGroupName, ApplicationName: d.Info.ApplicationName,
		DeploymentCreator: d.Info.Creator, DeploymentType: inPlace, AppSpecFilename: "appspec.yml",
		Revision: location{revisionS3, s3Revision{at.Bucket, at.Key, at.BundleType, at.Version, at.ETag}}, Events: lifecycle,
	}
	s.Overrides.AgentOverrides.FileExistsBehavior = d.Info.FileExistsBehavior
	return s
}

// GetDeploymentSpecification tells an instance what a deployment is that it is in.
func (r *Room) GetDeploymentSpecification(ctx context.Context, in *commands.GetDeploymentSpecificationInput) (*commands.GetDeploymentSpecificationOutput, error) {
	id := in.DeploymentExecutionId[strings.LastIndexByte(in.DeploymentExecutionId, '/')+1:]
	var d deployment
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		i, err := asHost(ctx, tx, "GetDeploymentSpecification", in.HostIdentifier)
		if err != nil {
			return err
		}
		missing := func(err error) error {
			return orMissing(err, "ClientException", "The instance %s is in no deployment %q.", i.Name, id)
		}
		if !deploymentForm.MatchString(id) {
			return missing(store.ErrNotFound)
		}
		if _, err := tx.GetCodeDeployTarget(ctx, i.Account, i.Region, id, i.Name); err != nil {
			return missing(err)
		}
		row, err := tx.GetCodeDeployDeployment(ctx, i.Account, i.Region, id)
		if err != nil {
			return missing(err)
		}
		d = deployment{}
		return json.Unmarshal([]byte(row.Doc), &d)
	}); err != nil {
		return nil, err
	}
	text, err := json.Marshal(d.specify())
	if err != nil {
		return nil, err
	}
	payload, err := r.signer.sign(text)
	return &commands.GetDeploymentSpecificationOutput{DeploymentSystem: "CodeDeploy", DeploymentSpecification: &commands.DeploymentSpecification{
		GenericEnvelope: &commands.Envelope{Format: "PKCS7/JSON", Payload: payload},
	}}, err
}
