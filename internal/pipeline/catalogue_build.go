package pipeline

import "time"

func buildTypes() []ActionType {
	codeBuild := func(category string, timeout time.Duration) ActionType {
		return builtinType(category, OwnerAWS, "CodeBuild", between(1, 5), upTo(5), timeout, codeBuildKeys()...)
	}
	return []ActionType{
		codeBuild(CategoryBuild, 36*time.Hour), // S-332
		codeBuild(CategoryTest, 8*time.Hour),
		commandsType(CategoryCompute),
		commandsType(CategoryBuild), // C-30: accepted under Build as well
		builtinType(CategoryBuild, OwnerAWS, "ECRBuildAndPublish", one, none, time.Hour,
			required("ECRRepositoryName", "Image repository the image is pushed to.").identity(),
			optional("DockerFilePath", "Place of the Dockerfile in the artifact; its root if left out."),
			optional("ImageTags", "Tags of the image, separated by commas; latest if left out."),
			choice("RegistryType", "Whether the repository is private or public; private if left out.", "private", "public"),
		).v2Only().notRun(),
		deviceFarmType(),
	}
}

// codeBuildKeys are those of the build action, the test action and, in part, the rule.
func codeBuildKeys() []Property {
	return []Property{
		required("ProjectName", "Build project that is run.").identity(),
		optional("PrimarySource", "Input artifact that holds the buildspec; needed if there are several."),
		flag("BatchEnabled", "Whether the project is run as a batch of builds; false if left out."),
		flag("CombineArtifacts", "Whether the artifacts of a batch become one; false if left out."),
		optional("BuildspecOverride", "Buildspec for this run in place of the project's: YAML text, a path in the source, or the ARN of an object."),
		optional("EnvironmentVariables", "JSON list of name, value and type of variables that are added to those of the project."),
		optional("ServiceRoleArnOverride", "Role the build runs with in place of the project's."),
	}
}

func commandsType(category string) ActionType {
	return builtinType(category, OwnerAWS, commandsProvider, between(1, 10), upTo(1), 55*time.Minute, // S-335
		optional("EnvironmentType", "LINUX_CONTAINER, as if left out, or WINDOWS_SERVER_2022_CONTAINER."),
		optional("ComputeType", "Size of the machine; BUILD_GENERAL1_SMALL if left out."),
		optional("VpcId", "VPC the commands run in."),
		optional("Subnets", "Subnets the commands run in, separated by commas."),
		optional("SecurityGroupIds", "Security groups the commands run in, separated by commas."),
	).v2Only()
}

func deviceFarmType() ActionType {
	return builtinType(CategoryTest, OwnerAWS, "DeviceFarm", one, none, time.Hour,
		choice("AppType", "Kind of app under test.", "iOS", "Android", "Web").must(),
		required("ProjectId", "Last part of the ARN of the Device Farm project.").identity(),
		required("DevicePoolArn", "Devices the tests run on."),
		required("TestType", "Kind of tests, such as APPIUM_PYTHON or INSTRUMENTATION."),
		optional("App", "File of the app in the artifact; not for web apps."),
		optional("AppiumVersion", "Version of Appium."),
		optional("Test", "File of the test package in the artifact."),
		flag("RadioBluetoothEnabled", "Whether Bluetooth is switched on."),
		flag("RadioWifiEnabled", "Whether Wi-Fi is switched on."),
		flag("RadioNfcEnabled", "Whether NFC is switched on."),
		flag("RadioGpsEnabled", "Whether GPS is switched on."),
		flag("RecordAppPerformanceData", "Whether performance data are recorded."),
		flag("RecordVideo", "Whether a video is recorded."),
		number("FuzzEventCount", "Number of events of a fuzz test, from 1 to 10000."),
		number("FuzzEventThrottle", "Milliseconds between the events of a fuzz test, from 1 to 1000."),
		number("FuzzRandomizerSeed", "Seed of a fuzz test."),
		optional("CustomHostMachineArtifacts", "Paths on the host that are kept as results."),
		optional("CustomDeviceArtifacts", "Paths on the devices that are kept as results."),
		flag("UnmeteredDevicesOnly", "Whether only unmetered devices are used."),
		number("JobTimeoutMinutes", "Minutes a test may run on one device."),
		number("Latitude", "Latitude of the device in degrees."),
		number("Longitude", "Longitude of the device in degrees."),
	).notRun()
}
