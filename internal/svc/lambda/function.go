package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	api "penstock/internal/api/lambda"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// functionDoc is what a version's row keeps beside its key and its code. Tags, Policies and
// Published belong to $LATEST and so to the function.
type functionDoc struct {
	Runtime      string            `json:"runtime"`
	Handler      string            `json:"handler"`
	Role         string            `json:"role"`
	Description  string            `json:"description,omitempty"`
	Timeout      int32             `json:"timeout"`
	Memory       int32             `json:"memory"`
	Storage      int32             `json:"storage"`
	Architecture string            `json:"architecture"`
	LogGroup     string            `json:"logGroup,omitempty"`
	Variables    map[string]string `json:"variables,omitempty"`
	CodeSize     int64             `json:"codeSize"`
	CodeSHA256   string            `json:"codeSha256"`
	Revision     string            `json:"revision"`
	Modified     time.Time         `json:"modified"`
	Tags         map[string]string `json:"tags,omitempty"`
	// Policies are by qualifier, "" for the function itself.
	Policies map[string]policyDoc `json:"policies,omitempty"`
	// Published is the number of the last version that was published.
	Published int64 `json:"published,omitempty"`
}

const (
	defaultTimeout = 3
	defaultMemory  = 128
	defaultStorage = 512
	// maxVariables is the most bytes that the environment variables have together.
	maxVariables = 4 << 10
)

// version is one version of a function with what it is.
type version struct {
	store.Function
	functionDoc
}

func opened(f store.Function, err error) (version, error) {
	v := version{Function: f}
	if err == nil {
		err = json.Unmarshal([]byte(f.Doc), &v.functionDoc)
	}
	return v, err
}

// row gives the row with the document of v.
func (v *version) row() (store.Function, error) {
	text, err := json.Marshal(v.functionDoc)
	f := v.Function
	f.Doc = string(text)
	return f, err
}

func (v *version) name() name {
	return name{account: v.Account, region: v.Region, function: v.Name}
}

func (v *version) logGroup() string { return cmp.Or(v.LogGroup, "/aws/lambda/"+v.Name) }

// changed marks a change.
func (v *version) changed(now time.Time) { v.Revision, v.Modified = auth.NewUUID(), now.UTC() }

// configuration shows a version; arn is how it was asked for.
func (v *version) configuration(arn string) *api.FunctionConfiguration {
	out := &api.FunctionConfiguration{
		FunctionName: v.Name, FunctionArn: arn, Runtime: v.Runtime, Role: v.Role, Handler: v.Handler, CodeSize: new(v.CodeSize),
		Description: v.Description, Timeout: new(v.functionDoc.Timeout), MemorySize: new(v.Memory),
		LastModified: v.Modified.Format("2006-01-02T15:04:05.000+0000"), CodeSha256: v.CodeSHA256, Version: versionText(v.Number),
		TracingConfig: &api.TracingConfigResponse{Mode: "PassThrough"}, RevisionId: v.Revision, State: "Active", LastUpdateStatus: "Successful",
		PackageType: "Zip", Architectures: []string{v.Architecture}, EphemeralStorage: &api.EphemeralStorage{Size: new(v.Storage)},
		SnapStart:     &api.SnapStartResponse{ApplyOn: "None", OptimizationStatus: "Off"},
		LoggingConfig: &api.LoggingConfig{LogFormat: "Text", LogGroup: v.logGroup()},
	}
	if len(v.Variables) > 0 {
		out.Environment = &api.EnvironmentResponse{Variables: v.Variables}
	}
	return out
}

// CreateFunction adds a function whose code is a ZIP file. (N-16)
func (r *Room) CreateFunction(ctx context.Context, in *api.CreateFunctionInput) (*api.CreateFunctionOutput, error) {
	n, err := named(ctx, in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	if n.qualifier != "" {
		return nil, invalid("The function name '%s' must not have a qualifier", in.FunctionName)
	}
	if err := n.check(ctx, "CreateFunction"); err != nil {
		return nil, err
	}
	if err := mayPass(ctx, in.Role); err != nil {
		return nil, err
	}
	if err := refuseOptions(in); err != nil {
		return nil, err
	}
	if in.Runtime == "" || in.Handler == "" {
		return nil, invalid("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	v := version{Function: store.Function{Account: n.account, Region: n.region, Name: n.function}, functionDoc: functionDoc{
		Runtime: in.Runtime, Handler: in.Handler, Role: in.Role, Description: in.Description, Tags: in.Tags,
		Timeout: cmp.Or(value(in.Timeout), defaultTimeout), Memory: cmp.Or(value(in.MemorySize), defaultMemory), Storage: defaultStorage,
		Architecture: "x86_64",
	}}
	if len(in.Architectures) > 0 {
		v.Architecture = in.Architectures[0]
	}
	if in.EphemeralStorage != nil {
		v.Storage = *in.EphemeralStorage.Size
	}
	if in.LoggingConfig != nil {
		v.LogGroup = in.LoggingConfig.LogGroup
	}
	if in.Environment != nil {
		v.Variables = in.Environment.Variables
	}
	if err := r.valid(ctx, &v); err != nil {
		return nil, err
	}
	if err := r.take(ctx, &v, codeOf(in.Code)); err != nil {
		return nil, err
	}
	return r.add(ctx, n, &v, value(in.Publish))
}

// add keeps a new function, and its first version if it is to be published.
func (r *Room) add(ctx context.Context, n name, v *version, publish bool) (*api.FunctionConfiguration, error) {
	arn := n.bare()
	err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		v.changed(tx.Now())
		row, err := v.row()
		if err != nil {
			return err
		}
		switch isNew, err := tx.AddFunction(ctx, row); {
		case err != nil:
			return err
		case !isNew:
			return fault.New("ResourceConflictException", "Function already exist: %s", n.function)
		case publish:
			published, err := publishTx(ctx, tx, v, "")
			if err == nil {
				v, arn = published, n.bare()+":"+versionText(published.Number)
			}
			return err
		}
		return nil
	})
	if err != nil {
		r.discard(ctx, v.Code)
		return nil, err
	}
	return v.configuration(arn), nil
}

func mayPass(ctx context.Context, role string) error {
	return auth.CheckPass(ctx, role, Principal)
}

// refuseOptions refuses what this server cannot do for a function.
func refuseOptions(in *api.CreateFunctionInput) error {
	switch {
	case in.PackageType == "Image" || in.ImageConfig != nil:
		return unsupported("PackageType Image")
	case in.CodeSigningConfigArn != "":
		return unsupported("CodeSigningConfigArn")
	case in.CapacityProviderConfig != nil:
		return unsupported("CapacityProviderConfig")
	case in.DurableConfig != nil:
		return unsupported("DurableConfig")
	case in.TenancyConfig != nil:
		return unsupported("TenancyConfig")
	case in.PublishTo != "":
		return unsupported("PublishTo")
	}
	return refuseSettings(&api.UpdateFunctionConfigurationInput{VpcConfig: in.VpcConfig, DeadLetterConfig: in.DeadLetterConfig, KMSKeyArn: in.KMSKeyArn,
		TracingConfig: in.TracingConfig, Layers: in.Layers, FileSystemConfigs: in.FileSystemConfigs, SnapStart: in.SnapStart, LoggingConfig: in.LoggingConfig})
}

// refuseSettings is refuseOptions for what can also be changed later.
func refuseSettings(in *api.UpdateFunctionConfigurationInput) error {
	switch {
	case in.VpcConfig != nil && len(in.VpcConfig.SubnetIds)+len(in.VpcConfig.SecurityGroupIds) > 0:
		return unsupported("VpcConfig")
	case in.DeadLetterConfig != nil && in.DeadLetterConfig.TargetArn != "":
		return unsupported("DeadLetterConfig")
	case in.KMSKeyArn != "":
		return unsupported("KMSKeyArn")
	case in.TracingConfig != nil && in.TracingConfig.Mode == "Active":
		return unsupported("TracingConfig Active")
	case len(in.Layers) > 0:
		return unsupported("Layers")
	case len(in.FileSystemConfigs) > 0:
		return unsupported("FileSystemConfigs")
	case in.SnapStart != nil && in.SnapStart.ApplyOn == "PublishedVersions":
		return unsupported("SnapStart")
	case in.ImageConfig != nil:
		return unsupported("ImageConfig")
	case in.CapacityProviderConfig != nil:
		return unsupported("CapacityProviderConfig")
	case in.DurableConfig != nil:
		return unsupported("DurableConfig")
	case in.LoggingConfig != nil && in.LoggingConfig.LogFormat == "JSON":
		return unsupported("LoggingConfig with the LogFormat JSON")
	case in.LoggingConfig != nil && in.LoggingConfig.ApplicationLogLevel+in.LoggingConfig.SystemLogLevel != "":
		return unsupported("LoggingConfig with log levels")
	}
	return nil
}

// reserved are the variables that the runtime sets itself.
var reserved = map[string]bool{
	"_HANDLER": true, "AWS_REGION": true, "AWS_DEFAULT_REGION": true, "AWS_EXECUTION_ENV": true, "AWS_LAMBDA_FUNCTION_NAME": true,
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": true, "AWS_LAMBDA_FUNCTION_VERSION": true, "AWS_LAMBDA_INITIALIZATION_TYPE": true,
	"AWS_LAMBDA_LOG_GROUP_NAME": true, "AWS_LAMBDA_LOG_STREAM_NAME": true, "AWS_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": true,
	"AWS_SECRET_ACCESS_KEY": true, "AWS_SESSION_TOKEN": true, "AWS_LAMBDA_RUNTIME_API": true, "LAMBDA_TASK_ROOT": true, "LAMBDA_RUNTIME_DIR": true,
}

// valid checks what a version is to be, and with it whether this machine can run it.
func (r *Room) valid(ctx context.Context, v *version) error {
	size := 0
	var taken []string
	for k, val := range v.Variables {
		size += len(k) + len(val)
		if reserved[k] {
			taken = append(taken, k)
		}
		if strings.IndexByte(val, 0) >= 0 {
			return invalid("The value of the environment variable %s has a character that no environment can have", k)
		}
	}
	switch {
	case len(taken) > 0:
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(taken, ", "))
	case size > maxVariables:
		return invalid("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit.")
	}
	if _, err := r.command(v.Runtime); err != nil {
		return err
	}
	if !r.deps.CanAssume(ctx, v.Role, v.name().bare()) {
		return invalid("The role defined for the function cannot be assumed by Lambda.")
	}
	return nil
}

// resolve finds the version that a name means, also by an alias.
func (n name) resolve(ctx context.Context, tx *store.Tx) (version, error) {
	if num, ok := number(n.qualifier); ok {
		v, err := opened(tx.GetFunction(ctx, n.account, n.region, n.function, num))
		return v, n.missing(err)
	}
	a, err := openedAlias(tx.GetFunctionAlias(ctx, n.account, n.region, n.function, n.qualifier))
	if err != nil {
		return version{}, n.missing(err)
	}
	v, err := opened(tx.GetFunction(ctx, n.account, n.region, n.function, a.pick()))
	return v, n.missing(err)
}

// get authorises an action and finds the version that a request names.
func (r *Room) get(ctx context.Context, action, text, qualifier string) (n name, v version, tags map[string]string, err error) {
	if n, err = named(ctx, text, qualifier); err != nil {
		return n, v, nil, err
	}
	if err = n.check(ctx, action); err != nil {
		return n, v, nil, err
	}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		if v, err = n.resolve(ctx, tx); err != nil {
			return err
		}
		tags = v.Tags
		if v.Number != 0 {
			var own version
			own, err = opened(tx.GetFunction(ctx, n.account, n.region, n.function, 0))
			tags = own.Tags
		}
		return err
	})
	return n, v, tags, err
}

// GetFunction shows a function. The code itself cannot be fetched.
func (r *Room) GetFunction(ctx context.Context, in *api.GetFunctionInput) (*api.GetFunctionOutput, error) {
	n, v, tags, err := r.get(ctx, "GetFunction", in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &api.GetFunctionOutput{Configuration: v.configuration(n.arn()), Code: &api.FunctionCodeLocation{RepositoryType: "S3"}, Tags: maps.Clone(tags)}, nil
}

// GetFunctionConfiguration shows a function without its code and tags.
func (r *Room) GetFunctionConfiguration(ctx context.Context, in *api.GetFunctionConfigurationInput) (*api.GetFunctionConfigurationOutput, error) {
	n, v, _, err := r.get(ctx, "GetFunctionConfiguration", in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return v.configuration(n.arn()), nil
}

// GetFunctionCodeSigningConfig says that a function has none.
func (r *Room) GetFunctionCodeSigningConfig(ctx context.Context, in *api.GetFunctionCodeSigningConfigInput) (*api.GetFunctionCodeSigningConfigOutput, error) {
	_, v, _, err := r.get(ctx, "GetFunctionCodeSigningConfig", in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	return &api.GetFunctionCodeSigningConfigOutput{FunctionName: v.Name}, nil
}

// ListFunctions lists functions by name, each as its $LATEST.
func (r *Room) ListFunctions(ctx context.Context, in *api.ListFunctionsInput) (*api.ListFunctionsOutput, error) {
	c := auth.From(ctx)
	if err := auth.Check(ctx, "lambda:ListFunctions", "*"); err != nil {
		return nil, err
	}
	if in.FunctionVersion != "" {
		return nil, unsupported("FunctionVersion ALL")
	}
	if in.MasterRegion != "" {
		return nil, unsupported("MasterRegion")
	}
	size := pageSize(in.MaxItems)
	out := &api.ListFunctionsOutput{Functions: []api.FunctionConfiguration{}}
	err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListFunctions(ctx, c.Account, c.Region, store.Keyset{After: in.Marker, Limit: size + 1})
		for i, row := range rows {
			if i == size {
				out.NextMarker = rows[i-1].Name
				break
			}
			v, err := opened(row, nil)
			if err != nil {
				return err
			}
			out.Functions = append(out.Functions, *v.configuration(v.name().bare()))
		}
		return err
	})
	return out, err
}

// change alters $LATEST of a function; f may refuse.
func (r *Room) change(ctx context.Context, n name, revision string, f func(tx *store.Tx, v *version) error) (v version, err error) {
	err = r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if v, err = opened(tx.LockFunction(ctx, n.account, n.region, n.function, 0)); err != nil {
			return n.missing(err)
		}
		if revision != "" && revision != v.Revision {
			return fault.New("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
		}
		v.changed(tx.Now())
		if err := f(tx, &v); err != nil {
			return err
		}
		row, err := v.row()
		if err != nil {
			return err
		}
		return tx.SetFunction(ctx, row)
	})
	return v, err
}

// own is named for operations that are about $LATEST.
func own(ctx context.Context, text, action string) (name, error) {
	n, err := named(ctx, text, "")
	if err != nil {
		return n, err
	}
	if n.qualifier != "" && n.qualifier != latest {
		return n, invalid("$LATEST is the only version that can be changed, not '%s'", n.qualifier)
	}
	n.qualifier = ""
	return n, n.check(ctx, action)
}

// UpdateFunctionConfiguration changes what is given.
func (r *Room) UpdateFunctionConfiguration(ctx context.Context, in *api.UpdateFunctionConfigurationInput) (*api.UpdateFunctionConfigurationOutput, error) {
	n, err := own(ctx, in.FunctionName, "UpdateFunctionConfiguration")
	if err != nil {
		return nil, err
	}
	if in.Role != "" {
		if err := mayPass(ctx, in.Role); err != nil {
			return nil, err
		}
	}
	if err := refuseSettings(in); err != nil {
		return nil, err
	}
	set := func(v *version) {
		v.Role, v.Handler, v.Runtime = cmp.Or(in.Role, v.Role), cmp.Or(in.Handler, v.Handler), cmp.Or(in.Runtime, v.Runtime)
		if in.Description != nil {
			v.Description = *in.Description
		}
		v.functionDoc.Timeout, v.Memory = cmp.Or(value(in.Timeout), v.functionDoc.Timeout), cmp.Or(value(in.MemorySize), v.Memory)
		if in.EphemeralStorage != nil {
			v.Storage = *in.EphemeralStorage.Size
		}
		if in.LoggingConfig != nil {
			v.LogGroup = in.LoggingConfig.LogGroup
		}
		if in.Environment != nil {
			v.Variables = in.Environment.Variables
		}
	}
	var now version
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error { now, err = n.resolve(ctx, tx); return err }); err != nil {
		return nil, err
	}
	set(&now)
	if err := r.valid(ctx, &now); err != nil {
		return nil, err
	}
	v, err := r.change(ctx, n, in.RevisionId, func(_ *store.Tx, v *version) error { set(v); return nil })
	if err != nil {
		return nil, err
	}
	r.retire(n)
	return v.configuration(n.bare()), nil
}

// UpdateFunctionCode gives $LATEST other code.
func (r *Room) UpdateFunctionCode(ctx context.Context, in *api.UpdateFunctionCodeInput) (*api.UpdateFunctionCodeOutput, error) {
	n, err := own(ctx, in.FunctionName, "UpdateFunctionCode")
	if err != nil {
		return nil, err
	}
	switch {
	case in.ImageUri != "":
		return nil, unsupported("ImageUri")
	case in.PublishTo != "":
		return nil, unsupported("PublishTo")
	}
	fresh := version{}
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error { fresh, err = n.resolve(ctx, tx); return err }); err != nil {
		return nil, err
	}
	if err := r.take(ctx, &fresh, code{in.ZipFile, in.S3Bucket, in.S3Key, in.S3ObjectVersion, in.SourceKMSKeyArn}); err != nil {
		return nil, err
	}
	if value(in.DryRun) {
		r.discard(ctx, fresh.Code)
		return fresh.configuration(n.bare()), nil
	}
	old, arn := "", n.bare()
	var published *version
	v, err := r.change(ctx, n, in.RevisionId, func(tx *store.Tx, v *version) (err error) {
		old = v.Code
		v.Code, v.CodeSize, v.CodeSHA256 = fresh.Code, fresh.CodeSize, fresh.CodeSHA256
		if len(in.Architectures) > 0 {
			v.Architecture = in.Architectures[0]
		}
		if value(in.Publish) {
			published, err = publishTx(ctx, tx, v, "")
		}
		return err
	})
	if err != nil {
		r.discard(ctx, fresh.Code)
		return nil, err
	}
	r.discard(ctx, old)
	r.retire(n)
	if published != nil {
		v, arn = *published, n.bare()+":"+versionText(published.Number)
	}
	return v.configuration(arn), nil
}

// DeleteFunction removes a function, or one version of it that no alias names.
func (r *Room) DeleteFunction(ctx context.Context, in *api.DeleteFunctionInput) (*api.DeleteFunctionOutput, error) {
	n, err := named(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := n.check(ctx, "DeleteFunction"); err != nil {
		return nil, err
	}
	num, ok := number(n.qualifier)
	if n.qualifier == latest || !ok {
		return nil, invalid("$LATEST and aliases cannot be deleted with DeleteFunction: name a version, or the function alone")
	}
	var codes []string
	if err := r.deps.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if _, err := tx.LockFunction(ctx, n.account, n.region, n.function, 0); err != nil {
			return n.missing(err)
		}
		codes, err = n.remove(ctx, tx, num)
		return err
	}); err != nil {
		return nil, err
	}
	for _, code := range codes {
		r.discard(ctx, code)
	}
	r.retire(n)
	return &api.DeleteFunctionOutput{StatusCode: new(int32(204))}, nil
}

// remove takes a version out, or all with number 0, and gives the code that it had.
func (n name) remove(ctx context.Context, tx *store.Tx, num int64) (codes []string, err error) {
	if num != 0 {
		row, err := tx.GetFunction(ctx, n.account, n.region, n.function, num)
		if err != nil {
			return nil, n.missing(err)
		}
		used, err := n.usedBy(ctx, tx, num)
		if err != nil {
			return nil, err
		}
		if used != "" {
			return nil, fault.New("ResourceConflictException", "Unable to delete version because the following aliases reference it: [%s]", used)
		}
		if err := n.dropPolicy(ctx, tx, versionText(num)); err != nil {
			return nil, err
		}
		return []string{row.Code}, tx.DeleteFunctionVersion(ctx, n.account, n.region, n.function, num)
	}
	for after := int64(-1); ; {
		rows, err := tx.ListFunctionVersions(ctx, n.account, n.region, n.function, after, 100)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return codes, tx.DeleteFunction(ctx, n.account, n.region, n.function)
		}
		for _, row := range rows {
			codes, after = append(codes, row.Code), row.Number
		}
	}
}
