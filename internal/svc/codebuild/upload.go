package codebuild

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	api "penstock/internal/api/codebuild"
	"penstock/internal/arn"
	"penstock/internal/artifact"
	"penstock/internal/buildspec"
)

// upload packs and uploads the artifacts. (A.4)
func (b *build) upload(ctx context.Context) result {
	var files []string
	for i, target := range b.doc.Artifacts {
		if target.Type != "S3" {
			continue
		}
		set, ok := b.artifactSet(target.ArtifactIdentifier)
		switch {
		case !ok && target.ArtifactIdentifier != "":
			return failed("CLIENT_ERROR", "no definition for secondary artifact %s: the buildspec has no such identifier in secondary-artifacts", target.ArtifactIdentifier)
		case !ok || len(set.Files) == 0 && target.ArtifactIdentifier == "":
			b.log.printf("No artifact files specified")
			continue
		}
		if files == nil {
			root, err := b.sources()
			if err != nil {
				return failed("CLIENT_ERROR", "The source folder cannot be read: %v", err)
			}
			files, err = artifact.List(ctx, root)
			root.Close()
			if err != nil {
				return failed("CLIENT_ERROR", "The source folder cannot be read: %v", err)
			}
		}
		made, res := b.uploadOne(ctx, target, set, files)
		if res.outcome != buildspec.Passed {
			return res
		}
		b.change(func(r *record) {
			if i == 0 {
				r.Artifacts = made
			} else {
				r.SecondaryArtifacts = append(r.SecondaryArtifacts, *made)
			}
		})
	}
	return result{}
}

func (b *build) artifactSet(id string) (buildspec.ArtifactSet, bool) {
	if b.spec.Artifacts == nil {
		return buildspec.ArtifactSet{}, false
	}
	if id == "" {
		return b.spec.Artifacts.Primary, true
	}
	for _, s := range b.spec.Artifacts.Secondary {
		if s.ID == id {
			return s.ArtifactSet, true
		}
	}
	return buildspec.ArtifactSet{}, false
}

// uploadOne uploads one artifact.
func (b *build) uploadOne(ctx context.Context, target api.ProjectArtifacts, set buildspec.ArtifactSet, files []string) (*api.BuildArtifacts, result) {
	base, err := b.baseDirectory(set.BaseDirectory)
	if err != nil {
		return nil, failed("CLIENT_ERROR", "%v", err)
	}
	set.BaseDirectory = base
	b.log.printf("Expanding base directory path: %s", cmp.Or(base, "."))
	for _, f := range set.Files {
		b.log.printf("Expanding %s", f)
	}
	picked := set.Select(files)
	b.log.printf("Found %d file(s)", len(picked))
	if len(picked) == 0 {
		return nil, failed("CLIENT_ERROR", "no matching artifact paths found")
	}
	root, err := b.sources()
	if err != nil {
		return nil, failed("CLIENT_ERROR", "The source folder cannot be read: %v", err)
	}
	defer root.Close()
	key := b.objectKey(target)
	made := &api.BuildArtifacts{
		Location: arn.S3(arn.Partition(b.doc.Region), target.Location+"/"+key), ArtifactIdentifier: target.ArtifactIdentifier,
		OverrideArtifactName: target.OverrideArtifactName, EncryptionDisabled: target.EncryptionDisabled,
	}
	if target.Packaging != "ZIP" {
		for _, p := range picked {
			if err := b.putFile(ctx, root, p, target, path.Join(key, p.Name)); err != nil {
				return nil, failed("CLIENT_ERROR", "Failed to upload artifacts: %v", err)
			}
		}
		return made, result{}
	}
	f, err := os.OpenFile(b.workspace+".zip", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, result{buildspec.Ended, "INTERNAL_ERROR", err.Error()}
	}
	defer os.Remove(f.Name())
	defer f.Close()
	list := make([]artifact.File, len(picked))
	for i, p := range picked {
		list[i] = artifact.File{Source: p.Source, Name: p.Name}
	}
	sum, md := sha256.New(), md5.New()
	if err := artifact.Pack(ctx, io.MultiWriter(f, sum, md), root, list, artifact.Options{KeepLinks: set.EnableSymlinks}); err != nil {
		return nil, failed("CLIENT_ERROR", "Failed to pack artifacts: %v", err)
	}
	made.Sha256sum, made.Md5sum = hex.EncodeToString(sum.Sum(nil)), hex.EncodeToString(md.Sum(nil))
	if err := b.put(ctx, f, target, key, made.Sha256sum); err != nil {
		return nil, failed("CLIENT_ERROR", "Failed to upload artifacts: %v", err)
	}
	return made, result{}
}

// baseDirectory expands the variables builds use for folders and makes an absolute path
// relative to the source again.
func (b *build) baseDirectory(dir string) (string, error) {
	view := b.room.deps.Runner.Path(b.workspace) + "/" + sourceDir
	dir = os.Expand(dir, func(name string) string {
		if name == "CODEBUILD_SRC_DIR" {
			return view
		}
		return "$" + name
	})
	if path.IsAbs(dir) {
		rel, ok := strings.CutPrefix(path.Clean(dir)+"/", view+"/")
		if !ok {
			return "", fmt.Errorf("base-directory %s is outside of the source folder %s", dir, view)
		}
		dir = strings.TrimSuffix(rel, "/")
	}
	return dir, nil
}

// objectKey is path/namespace/name as the project has them. (P-9)
func (b *build) objectKey(a api.ProjectArtifacts) string {
	name := a.Name
	if a.ArtifactIdentifier == "" {
		name = cmp.Or(b.exportName, name)
	}
	if name == "" || name == "/" {
		name = b.doc.Build.ProjectName
	}
	id := ""
	if a.NamespaceType == "BUILD_ID" {
		id = b.row.ID[strings.LastIndexByte(b.row.ID, ':')+1:]
	}
	return strings.TrimPrefix(path.Join(a.Path, id, name), "/")
}

func (b *build) putFile(ctx context.Context, root *os.Root, p buildspec.Picked, target api.ProjectArtifacts, key string) error {
	f, err := root.OpenFile(p.Source, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return err
	}
	return b.put(ctx, f, target, key, "")
}

// put uploads a file; the content is read twice, for the checksum and for the wire.
func (b *build) put(ctx context.Context, f *os.File, target api.ProjectArtifacts, key, sum string) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := &s3.PutObjectInput{
		Bucket: &target.Location, Key: &key, Body: f,
		Metadata: map[string]string{"codebuild-buildarn": b.doc.Build.Arn},
	}
	if sum != "" {
		in.Metadata["codebuild-content-sha256"] = sum
	}
	// The project's default key is S3's own, which needs no header.
	if k := b.doc.Build.EncryptionKey; k != "" && !strings.HasSuffix(k, ":alias/aws/s3") && (target.EncryptionDisabled == nil || !*target.EncryptionDisabled) {
		in.ServerSideEncryption, in.SSEKMSKeyId = types.ServerSideEncryptionAwsKms, &k
	}
	_, err := b.s3().PutObject(ctx, in)
	return err
}
