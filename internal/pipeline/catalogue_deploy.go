package pipeline

import (
	"fmt"
	"time"
)

func deployTypes() []ActionType {
	deploy := func(provider string, inputs Bounds, timeout time.Duration, properties ...Property) ActionType {
		return builtinType(CategoryDeploy, OwnerAWS, provider, inputs, none, timeout, properties...)
	}
	application := required("ApplicationName", "CodeDeploy application that is deployed.").identity()
	group := required("DeploymentGroupName", "Deployment group that receives the revision.").identity()
	return []ActionType{
		deploy("S3", one, 90*time.Minute, // S-330
			required("BucketName", "Bucket the files are written to, in the region of the action.").identity(),
			flag("Extract", "Whether the files of the artifact are written one by one, or the artifact as it is.").must(),
			optional("ObjectKey", "Key of the object, or prefix of the keys when files are extracted; may hold {datetime} and {uuid}."),
			optional("KMSEncryptionKeyARN", "Key the objects are encrypted with; that of the bucket if left out."),
			choice("CannedACL", "Access list the objects get.", "private", "public-read", "public-read-write", "authenticated-read",
				"bucket-owner-read", "bucket-owner-full-control", "aws-exec-read"),
			optional("CacheControl", "Cache-Control header the objects are served with."),
		),
		deploy("CodeDeploy", one, 5*day, application, group), // S-328
		deploy("CodeDeployToECS", between(1, 5), 5*day, append([]Property{
			application, group,
			required("TaskDefinitionTemplateArtifact", "Input artifact that holds the task definition."),
			required("AppSpecTemplateArtifact", "Input artifact that holds the AppSpec file."),
			optional("TaskDefinitionTemplatePath", "Task definition in its artifact; taskdef.json if left out."),
			optional("AppSpecTemplatePath", "AppSpec file in its artifact; appspec.yaml if left out."),
		}, imageKeys()...)...).notRun(),
		deploy("ECS", one, time.Hour, // S-336
			required("ClusterName", "Cluster of the service.").identity(),
			required("ServiceName", "Service that gets the new images.").identity(),
			optional("FileName", "Image definitions in the artifact; imagedefinitions.json if left out."),
			number("DeploymentTimeout", "Minutes the deployment may take, at most 60."),
		).notRun(),
		deploy("ElasticBeanstalk", one, time.Hour,
			required("ApplicationName", "Application that gets a new version.").identity(),
			required("EnvironmentName", "Environment the version is deployed to.").identity(),
		).notRun(),
		deploy("OpsWorks", one, time.Hour,
			required("Stack", "Stack of the app.").identity(),
			required("App", "App that is deployed.").identity(),
			optional("Layer", "Layer that is deployed to; all instances if left out."),
		).notRun(),
		deploy("ServiceCatalog", one, time.Hour,
			required("ProductId", "Product that gets a new version.").identity(),
			optional("TemplateFilePath", "Template of the product in the artifact."),
			optional("ProductVersionName", "Name of the new version."),
			optional("ProductType", "Kind of product, such as CLOUD_FORMATION_TEMPLATE."),
			optional("ProductVersionDescription", "Description of the new version."),
			optional("ConfigurationFilePath", "File in the artifact that describes the version in place of the other keys."),
		).notRun(),
		deploy("AppConfig", one, time.Hour,
			required("Application", "Id of the application.").identity(),
			required("Environment", "Id of the environment.").identity(),
			required("ConfigurationProfile", "Id of the configuration profile.").identity(),
			required("InputArtifactConfigurationPath", "File of the configuration in the artifact."),
			optional("DeploymentStrategy", "Id of the deployment strategy."),
		).notRun(),
		deploy("EC2", one, time.Hour,
			required("InstanceTagKey", "Tag that selects the instances.").identity(),
			optional("InstanceTagValue", "Value of the tag; any if left out."),
			choice("InstanceType", "Kind of machines.", "EC2", "SSM_MANAGED_NODE").must(),
			optional("TargetDirectory", "Directory on the machines the files are copied to."),
			optional("DeploySpec", "File in the artifact that describes the deployment."),
			optional("PreScript", "Script in the artifact that runs before the files are copied."),
			optional("PostScript", "Script in the artifact that runs after the files are copied."),
			optional("MaxBatch", "Number of machines that are deployed to at a time."),
			optional("MaxError", "Number of machines that may fail."),
			optional("TargetGroupNameList", "Load balancer target groups of the machines, separated by commas."),
		).v2Only().notRun(),
		deploy("EKS", one, time.Hour,
			required("ClusterName", "Cluster that is deployed to.").identity(),
			optional("HelmReleaseName", "Helm release that is installed or upgraded."),
			optional("HelmChartLocation", "Helm chart in the artifact, or its address."),
			optional("HelmValuesFiles", "Helm values in the artifact, separated by commas."),
			optional("ManifestFiles", "Kubernetes manifests in the artifact, separated by commas."),
			optional("Namespace", "Kubernetes namespace."),
			optional("Subnets", "Subnets from which the cluster is reached, separated by commas."),
			optional("SecurityGroupIds", "Security groups with which the cluster is reached, separated by commas."),
		).v2Only().notRun(),
		// Without input the action shifts to a version that is already published.
		deploy("Lambda", upTo(1), time.Hour,
			required("FunctionName", "Function that gets the new code.").identity(),
			optional("FunctionAlias", "Alias that is moved to the new version."),
			optional("PublishedTargetVersion", "Published version to shift to; needed without an input artifact."),
			optional("DeployStrategy", "How traffic is shifted, such as Canary10Percent5Minutes; AllAtOnce if left out."),
			optional("Alarms", "Alarms that take the shift back, at most 10, separated by commas."),
		).notRun(),
		builtinType(CategoryDeploy, OwnerThirdParty, "AlexaSkillsKit", between(1, 2), none, time.Hour,
			required("ClientId", "Client id of the Login with Amazon security profile."),
			required("ClientSecret", "Client secret of the Login with Amazon security profile.").hidden(),
			required("RefreshToken", "Token with which access is renewed.").hidden(),
			required("SkillId", "Skill that is deployed.").identity(),
		).notRun(),
	}
}

// imageKeys name up to four artifacts with an image and the placeholder it replaces.
func imageKeys() []Property {
	var keys []Property
	for n := range 4 {
		keys = append(keys,
			optional(fmt.Sprintf("Image%dArtifactName", n+1), "Input artifact with an imageDetail.json."),
			optional(fmt.Sprintf("Image%dContainerName", n+1), "Placeholder in the task definition that the image replaces."))
	}
	return keys
}
