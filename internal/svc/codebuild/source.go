package codebuild

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	api "penstock/internal/api/codebuild"
	"penstock/internal/arn"
	"penstock/internal/artifact"
	"penstock/internal/buildspec"
	"penstock/internal/runner"
)

// Folders of the workspace.
const (
	sourceDir    = "src"
	secondaryDir = "secondary"
)

// maxSource is the largest source object: AWS's limit for S3 sources. (0.2)
const maxSource = 5 << 30

var plainName = regexp.MustCompile(`[^A-Za-z0-9_]`)

// download fetches the sources, reads the build specification and starts the session.
func (b *build) download(ctx context.Context) result {
	b.log.printf("Waiting for DOWNLOAD_SOURCE")
	bd := &b.doc.Build
	if err := os.Mkdir(filepath.Join(b.workspace, secondaryDir), 0o755); err != nil {
		return result{buildspec.Ended, "INTERNAL_ERROR", err.Error()}
	}
	primary := filepath.Join(b.workspace, sourceDir)
	version, err := b.fetch(ctx, *bd.Source, bd.SourceVersion, primary)
	if err != nil {
		return failed("CLIENT_ERROR", "%v for primary source%s", err, ofVersion(bd.SourceVersion))
	}
	env := b.environment(version)
	view := b.room.deps.Runner.Path(b.workspace)
	for _, s := range bd.SecondarySources {
		asked := ""
		for _, v := range bd.SecondarySourceVersions {
			if v.SourceIdentifier == s.SourceIdentifier {
				asked = v.SourceVersion
			}
		}
		if !filepath.IsLocal(s.SourceIdentifier) || strings.ContainsRune(s.SourceIdentifier, '/') {
			return failed("CLIENT_ERROR", "Invalid source identifier %q", s.SourceIdentifier)
		}
		got, err := b.fetch(ctx, s, asked, filepath.Join(b.workspace, secondaryDir, s.SourceIdentifier))
		if err != nil {
			return failed("CLIENT_ERROR", "%v for secondary source %s%s", err, s.SourceIdentifier, ofVersion(asked))
		}
		for _, id := range []string{s.SourceIdentifier, plainName.ReplaceAllString(s.SourceIdentifier, "_")} {
			env["CODEBUILD_SRC_DIR_"+id] = view + "/" + secondaryDir + "/" + s.SourceIdentifier
			env["CODEBUILD_SOURCE_VERSION_"+id] = cmp.Or(b.doc.Given["CODEBUILD_SOURCE_VERSION_"+s.SourceIdentifier], asked, got)
			env["CODEBUILD_SOURCE_REPO_URL_"+id] = cmp.Or(b.doc.Given["CODEBUILD_SOURCE_REPO_URL_"+s.SourceIdentifier], s.Location)
		}
	}
	b.log.printf("CODEBUILD_SRC_DIR=%s", env["CODEBUILD_SRC_DIR"])
	if res := b.specify(ctx); res.outcome != buildspec.Passed {
		return res
	}
	if res := b.resolve(ctx, env); res.outcome != buildspec.Passed {
		return res
	}
	return b.open(ctx, env)
}

// ofVersion names the version that was asked for, if one was.
func ofVersion(asked string) string {
	if asked == "" {
		return ""
	}
	return " and source version " + asked
}

// fetch puts a source into dir and gives its resolved version.
func (b *build) fetch(ctx context.Context, s api.ProjectSource, version, dir string) (string, error) {
	switch s.Type {
	case "NO_SOURCE":
		return "", os.Mkdir(dir, 0o755)
	case "S3":
		bucket, key, _ := splitObject(s.Location)
		return b.fetchObject(ctx, bucket, key, version, dir)
	case "CODECOMMIT":
		return b.clone(ctx, s.Location, version, dir)
	}
	return "", fmt.Errorf("source type %s is not offered by this server", s.Type)
}

func (b *build) s3() *s3.Client {
	return s3.NewFromConfig(b.artifacts, func(o *s3.Options) { o.UsePathStyle = true })
}

func (b *build) fetchObject(ctx context.Context, bucket, key, version, dir string) (string, error) {
	in := &s3.GetObjectInput{Bucket: &bucket, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	out, err := b.s3().GetObject(ctx, in)
	if err != nil {
		return "", fmt.Errorf("cannot get s3://%s/%s with the role %s: %w", bucket, key, b.doc.Build.ServiceRole, err)
	}
	defer out.Body.Close()
	// The archive stays out of the workspace, where the build would find it.
	f, err := os.OpenFile(b.workspace+".zip", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(out.Body, maxSource+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot read s3://%s/%s: %w", bucket, key, err)
	case n > maxSource:
		return "", fmt.Errorf("s3://%s/%s is larger than %d bytes", bucket, key, int64(maxSource))
	}
	if ref, ok := readReference(f, n); ok {
		return b.clone(ctx, ref.URL, ref.Commit, dir)
	}
	if err := artifact.Unpack(ctx, f, n, dir, artifact.DefaultLimits); err != nil {
		return "", fmt.Errorf("cannot unpack s3://%s/%s: %w", bucket, key, err)
	}
	return aws.ToString(out.VersionId), nil
}

// specify finds and reads the build specification: inline, in S3, or a file of the source.
func (b *build) specify(ctx context.Context) result {
	if b.task != nil {
		return result{} // it came with its own
	}
	where := b.doc.Build.Source.Buildspec
	var text []byte
	var err error
	switch {
	case isInline(where):
		b.log.printf("Using buildspec from the project or the start of the build")
		text = []byte(where)
	case strings.HasPrefix(where, "arn:"):
		text, err = b.specObject(ctx, where)
	default:
		where = cmp.Or(where, "buildspec.yml")
		b.log.printf("YAML location is %s", path.Join(sourceDir, where))
		text, err = b.specFile(where)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return failed("YAML_FILE_ERROR", "YAML file does not exist")
	}
	if err == nil {
		b.spec, err = buildspec.Parse(text)
	}
	if err != nil {
		return failed("YAML_FILE_ERROR", "%v", err)
	}
	found := 0
	for _, name := range buildspec.CommandPhases {
		if p := b.spec.Phases[name]; !p.Empty() {
			found++
		}
	}
	b.log.printf("Phases found in YAML: %d", found)
	for _, name := range buildspec.CommandPhases {
		if p := b.spec.Phases[name]; !p.Empty() {
			b.log.printf(" %s: %d commands", name, len(p.Commands))
		}
	}
	for _, w := range b.spec.Warnings {
		b.log.printf("%s", w)
	}
	return result{}
}

// sources opens the folder of the source. What ran in the workspace may have put a link in its
// place, which is followed only inside of the workspace.
func (b *build) sources() (*os.Root, error) {
	root, err := os.OpenRoot(b.workspace)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.OpenRoot(sourceDir)
}

func (b *build) specFile(name string) ([]byte, error) {
	root, err := b.sources()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.Clean(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, buildspec.MaxSize+1))
}

func (b *build) specObject(ctx context.Context, location string) ([]byte, error) {
	a, _ := arn.Parse(location)
	bucket, key, ok := strings.Cut(a.Resource, "/")
	if !ok || a.Service != "s3" {
		return nil, fmt.Errorf("the buildspec location %s is not the ARN of an S3 object", location)
	}
	out, err := b.s3().GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return nil, fmt.Errorf("cannot get the buildspec %s: %w", location, err)
	}
	defer out.Body.Close()
	return io.ReadAll(io.LimitReader(out.Body, buildspec.MaxSize+1))
}

// environment gives what the server itself sets. (B)
func (b *build) environment(version string) map[string]string {
	bd := &b.doc.Build
	resolved := cmp.Or(b.doc.Given["CODEBUILD_RESOLVED_SOURCE_VERSION"], version)
	b.change(func(r *record) { r.ResolvedSourceVersion = resolved })
	env := map[string]string{
		"AWS_REGION": b.doc.Region, "AWS_DEFAULT_REGION": b.doc.Region,
		"CODEBUILD_CI": "true", "CODEBUILD_BUILD_ARN": bd.Arn, "CODEBUILD_BUILD_ID": bd.Id,
		"CODEBUILD_BUILD_IMAGE": bd.Environment.Image, "CODEBUILD_BUILD_NUMBER": strconv.FormatInt(*bd.BuildNumber, 10),
		"CODEBUILD_BUILD_SUCCEEDING": "1", "CODEBUILD_BUILD_URL": bd.Logs.DeepLink, "CODEBUILD_INITIATOR": bd.Initiator,
		"CODEBUILD_KMS_KEY_ID": bd.EncryptionKey, "CODEBUILD_PROJECT_ARN": projectARN(b.doc.Account, b.doc.Region, bd.ProjectName),
		"CODEBUILD_START_TIME":     strconv.FormatInt(bd.StartTime.UnixMilli(), 10),
		"CODEBUILD_SRC_DIR":        b.room.deps.Runner.Path(b.workspace) + "/" + sourceDir,
		"CODEBUILD_SOURCE_VERSION": cmp.Or(b.doc.Given["CODEBUILD_SOURCE_VERSION"], bd.SourceVersion, sourceARN(b.doc.Region, bd.Source)),
	}
	if resolved != "" {
		env["CODEBUILD_RESOLVED_SOURCE_VERSION"] = resolved
	}
	if url := cmp.Or(b.doc.Given["CODEBUILD_SOURCE_REPO_URL"], bd.Source.Location); url != "" {
		env["CODEBUILD_SOURCE_REPO_URL"] = url
	}
	for k, v := range b.given {
		env[k] = v
	}
	return env
}

func sourceARN(region string, s *api.ProjectSource) string {
	if s.Type != "S3" {
		return ""
	}
	if strings.HasPrefix(s.Location, "arn:") {
		return s.Location
	}
	return arn.S3(arn.Partition(region), s.Location)
}

// credentials lets the build ask for its role's credentials, which its log masks.
func (b *build) credentials(cfg aws.Config, role string) error {
	if b.room.deps.Endpoint != "" {
		b.given["AWS_ENDPOINT_URL"] = b.room.deps.Endpoint
	}
	if cfg.Credentials == nil {
		return nil
	}
	uri, token, release, err := b.room.creds.admit(cfg.Credentials, role, b.log.Conceal)
	if err != nil {
		return err
	}
	b.release = release
	b.given["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = uri
	b.given["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
	return nil
}

// open starts the session.
func (b *build) open(ctx context.Context, env map[string]string) result {
	bd := &b.doc.Build
	b.log.printf("Moving to directory %s", env["CODEBUILD_SRC_DIR"])
	s, err := b.room.deps.Runner.Start(ctx, runner.Spec{
		ID: bd.Id, Workspace: b.workspace, Shell: b.spec.Env.Shell, Env: buildspec.Sorted(env), Output: b.output,
		Image: bd.Environment.Image, ComputeType: bd.Environment.ComputeType, Privileged: aws.ToBool(bd.Environment.PrivilegedMode),
	})
	if err != nil {
		return result{buildspec.Ended, "CLIENT_ERROR", err.Error()}
	}
	b.session = s
	return result{}
}
