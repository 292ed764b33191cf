package codedeploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	api "penstock/internal/api/codedeploy"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// bundleTypes are the archives that agents unpack (D.4).
var bundleTypes = []string{"tar", "tgz", "zip"}

// checkRevision refuses what is no revision that an instance can fetch.
func checkRevision(l *api.RevisionLocation) error {
	switch {
	case l == nil:
		return fault.New("RevisionRequiredException", "revision is missing: say where the revision is.")
	case l.RevisionType != "" && l.RevisionType != revisionS3 || l.S3Location == nil:
		return fault.New("InvalidRevisionException", "revisionType %q: on this server a revision is an archive in S3, with the revisionType S3 and an s3Location.", l.RevisionType)
	case l.GitHubLocation != nil || l.String != nil || l.AppSpecContent != nil:
		return fault.New("InvalidRevisionException", "revision has another location beside s3Location: leave it out.")
	case l.S3Location.Bucket == "" || l.S3Location.Key == "":
		return fault.New("InvalidRevisionException", "s3Location has no bucket or no key.")
	case len(l.S3Location.Bucket) > 255 || len(l.S3Location.Key) > 1024 || len(l.S3Location.Version) > 1024 || len(l.S3Location.ETag) > 256:
		return fault.New("InvalidRevisionException", "s3Location has a bucket, key, version or eTag that is longer than S3 allows.")
	case !slices.Contains(bundleTypes, l.S3Location.BundleType):
		return fault.New("InvalidRevisionException", "bundleType %q: it is tar, tgz or zip.", l.S3Location.BundleType)
	}
	return nil
}

// revisionText is how a revision is kept; its digest tells it from all others.
func revisionText(l *api.RevisionLocation) (string, error) {
	text, err := json.Marshal(api.RevisionLocation{RevisionType: revisionS3, S3Location: l.S3Location})
	return string(text), err
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// revisionDoc is what a revision's row keeps.
type revisionDoc struct {
	Location    api.RevisionLocation `json:"location"`
	Description string               `json:"description,omitempty"`
}

func checkDescription(text string) error {
	if len(text) > maxDescription {
		return fault.New("DescriptionTooLongException", "description has %d characters: at most %d are allowed.", len(text), maxDescription)
	}
	return nil
}

// revisionRow makes the row of a revision.
func revisionRow(application string, l *api.RevisionLocation, description string) (store.CodeDeployRevision, error) {
	text, err := revisionText(l)
	if err != nil {
		return store.CodeDeployRevision{}, err
	}
	doc, err := json.Marshal(revisionDoc{api.RevisionLocation{RevisionType: revisionS3, S3Location: l.S3Location}, description})
	return store.CodeDeployRevision{Application: application, Digest: digest(text), Doc: string(doc)}, err
}

// RegisterApplicationRevision implements the API. Registering a revision again is no error.
func (r *Room) RegisterApplicationRevision(ctx context.Context, in *api.RegisterApplicationRevisionInput) (*api.RegisterApplicationRevisionOutput, error) {
	c, err := nameOfApplication(ctx, "RegisterApplicationRevision", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := checkRevision(in.Revision); err != nil {
		return nil, err
	}
	if err := checkDescription(in.Description); err != nil {
		return nil, err
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		a, err := lockApplication(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		row, err := revisionRow(a.ID, in.Revision, in.Description)
		if err != nil {
			return err
		}
		return tx.PutCodeDeployRevision(ctx, row)
	})
}

// revisionInfo gives what is known of a revision, with the groups whose target it is.
func revisionInfo(row store.CodeDeployRevision, targets map[string][]string) (api.RevisionInfo, error) {
	var d revisionDoc
	err := json.Unmarshal([]byte(row.Doc), &d)
	at := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return api.RevisionInfo{RevisionLocation: &d.Location, GenericRevisionInfo: &api.GenericRevisionInfo{
		Description: d.Description, DeploymentGroups: append([]string{}, targets[row.Digest]...),
		RegisterTime: at(row.Registered), FirstUsedTime: at(row.FirstUsed), LastUsedTime: at(row.LastUsed),
	}}, err
}

// targets gives the groups of an application by the digest of the revision that they were deployed
// last with success.
func targets(ctx context.Context, tx *store.Tx, application string) (map[string][]string, error) {
	rows, err := tx.ListCodeDeployGroups(ctx, application, store.Keyset{Limit: maxGroups})
	if err != nil {
		return nil, err
	}
	of := map[string][]string{}
	for _, row := range rows {
		g, err := openGroup(row)
		if err != nil {
			return nil, err
		}
		if g.Info.TargetRevision == nil {
			continue
		}
		text, err := revisionText(g.Info.TargetRevision)
		if err != nil {
			return nil, err
		}
		of[digest(text)] = append(of[digest(text)], row.Name)
	}
	return of, nil
}

// revisions finds revisions of an application.
func (r *Room) revisions(ctx context.Context, c auth.Caller, name string, locations []api.RevisionLocation) (list []api.RevisionInfo, err error) {
	for i := range locations {
		if err := checkRevision(&locations[i]); err != nil {
			return nil, err
		}
	}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		list = []api.RevisionInfo{}
		a, err := application(ctx, tx, c, name)
		if err != nil {
			return err
		}
		of, err := targets(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		for i := range locations {
			text, err := revisionText(&locations[i])
			if err != nil {
				return err
			}
			row, err := tx.GetCodeDeployRevision(ctx, a.ID, digest(text))
			if err != nil {
				return orMissing(err, "RevisionDoesNotExistException", "The application %s does not know the revision s3://%s/%s.", name, locations[i].S3Location.Bucket, locations[i].S3Location.Key)
			}
			info, err := revisionInfo(row, of)
			if err != nil {
				return err
			}
			list = append(list, info)
		}
		return nil
	})
	return list, err
}

// GetApplicationRevision implements the API.
func (r *Room) GetApplicationRevision(ctx context.Context, in *api.GetApplicationRevisionInput) (*api.GetApplicationRevisionOutput, error) {
	c, err := nameOfApplication(ctx, "GetApplicationRevision", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if in.Revision == nil {
		return nil, checkRevision(nil)
	}
	list, err := r.revisions(ctx, c, in.ApplicationName, []api.RevisionLocation{*in.Revision})
	if err != nil {
		return nil, err
	}
	return &api.GetApplicationRevisionOutput{ApplicationName: in.ApplicationName, Revision: list[0].RevisionLocation, RevisionInfo: list[0].GenericRevisionInfo}, nil
}

// BatchGetApplicationRevisions implements the API.
func (r *Room) BatchGetApplicationRevisions(ctx context.Context, in *api.BatchGetApplicationRevisionsInput) (*api.BatchGetApplicationRevisionsOutput, error) {
	c, err := nameOfApplication(ctx, "BatchGetApplicationRevisions", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if err := tooMany(len(in.Revisions)); err != nil {
		return nil, err
	}
	list, err := r.revisions(ctx, c, in.ApplicationName, in.Revisions)
	return &api.BatchGetApplicationRevisionsOutput{ApplicationName: in.ApplicationName, Revisions: list}, err
}

// yetToCome is where a list that is newest first begins.
var yetToCome = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// ListApplicationRevisions implements the API. A page that filters leave little of says where to go
// on.
func (r *Room) ListApplicationRevisions(ctx context.Context, in *api.ListApplicationRevisionsInput) (*api.ListApplicationRevisionsOutput, error) {
	c, err := nameOfApplication(ctx, "ListApplicationRevisions", in.ApplicationName)
	if err != nil {
		return nil, err
	}
	if in.S3KeyPrefix != "" && in.S3Bucket == "" {
		return nil, fault.New("BucketNameFilterRequiredException", "s3KeyPrefix is given without s3Bucket.")
	}
	by := map[string]string{"firstUsedTime": "first_used", "lastUsedTime": "last_used"}[in.SortBy]
	page := store.Keyset{Descending: in.SortOrder == "descending", Limit: pageSize}
	if page.Descending {
		page.AfterTime = yetToCome
	}
	key, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	if key.After != "" {
		page.After, page.AfterTime = key.After, key.Time
	}
	out := &api.ListApplicationRevisionsOutput{}
	return out, r.deps.DB.View(ctx, func(tx *store.Tx) error {
		out.Revisions, out.NextToken = []api.RevisionLocation{}, ""
		a, err := application(ctx, tx, c, in.ApplicationName)
		if err != nil {
			return err
		}
		of, err := targets(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		rows, err := tx.ListCodeDeployRevisions(ctx, a.ID, by, page)
		for _, row := range rows {
			info, err := revisionInfo(row, of)
			if err != nil {
				return err
			}
			at, l := info.RevisionLocation.S3Location, len(of[row.Digest]) > 0
			if (in.S3Bucket == "" || at.Bucket == in.S3Bucket) && strings.HasPrefix(at.Key, in.S3KeyPrefix) && !(in.Deployed == "include" && !l) && !(in.Deployed == "exclude" && l) {
				out.Revisions = append(out.Revisions, *info.RevisionLocation)
			}
		}
		if len(rows) == pageSize {
			last := rows[len(rows)-1]
			out.NextToken = pageToken(last.Digest, map[string]time.Time{"first_used": last.FirstUsed, "last_used": last.LastUsed, "": last.Registered}[by])
		}
		return err
	})
}
