package pipeline

import "time"

func sourceTypes() []ActionType {
	poll := flag("PollForSourceChanges", "Whether the source is asked for changes regularly; true if left out.")
	format := choice("OutputArtifactFormat", "CODE_ZIP for the files of the commit, CODEBUILD_CLONE_REF for a reference that only CodeBuild actions can clone.",
		"CODE_ZIP", "CODEBUILD_CLONE_REF")
	source := func(owner, provider string, properties ...Property) ActionType {
		return builtinType(CategorySource, owner, provider, none, one, time.Hour, properties...)
	}
	return []ActionType{
		source(OwnerAWS, "S3",
			required("S3Bucket", "Versioned bucket in the region of the pipeline that holds the source object.").identity(),
			required("S3ObjectKey", "Key of the source object, usually a zip file.").identity(),
			flag("AllowOverrideForS3ObjectKey", "Whether a start may name another object key; false if left out."),
			poll,
		),
		source(OwnerAWS, "CodeCommit",
			required("RepositoryName", "Repository whose branch is followed.").identity(),
			required("BranchName", "Branch that is followed.").identity(),
			poll, format,
		),
		source(OwnerAWS, "ECR",
			required("RepositoryName", "Image repository that is followed.").identity(),
			optional("ImageTag", "Image tag that is followed; latest if left out."),
		).notRun(),
		source(OwnerAWS, connectionProvider,
			required("ConnectionArn", "ARN of the connection to the Git provider.").identity(),
			required("FullRepositoryId", "Owner and name of the repository, spelled as the Git provider does.").identity(),
			required("BranchName", "Branch that is followed.").identity(),
			format,
			flag("DetectChanges", "Whether a push to the branch starts the pipeline; true if left out."),
		),
		source(OwnerThirdParty, "GitHub",
			required("Owner", "User or organisation the repository belongs to.").identity(),
			required("Repo", "Name of the repository.").identity(),
			required("Branch", "Branch that is followed.").identity(),
			required("OAuthToken", "Personal access token that may read the repository and manage its hooks.").hidden(),
			poll,
		).notRun(),
	}
}
