package secretsmanager

import (
	"context"
	"errors"
	"slices"

	wire "penstock/internal/api/secretsmanager"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// value is a value that a caller sends, with the version it is to be.
type value struct {
	given bool
	// token is what the caller named the version by, id what it is named by.
	token, id string
	kind      string
	text      store.Secret
}

func readValue(token, text string, binary []byte) (value, error) {
	v := value{given: true, token: token, id: token, kind: "string", text: store.Secret(text)}
	if v.id == "" {
		v.id = auth.NewUUID()
	}
	switch {
	case text != "" && len(binary) > 0:
		return v, invalid("You can't specify both a binary secret value and a string secret value in the same secret.")
	case len(binary) > 0:
		v.kind, v.text = "binary", store.Secret(binary)
	case text == "":
		v.given = false
	}
	switch {
	case len(v.text) > maxValue:
		return v, invalid("The secret value has more than %d bytes.", maxValue)
	case !idForm().MatchString(v.id):
		return v, invalid("ClientRequestToken: it is made of printable ASCII characters without spaces.")
	}
	return v, nil
}

// isThere says whether the secret has the version already; it refuses one with another value.
func (v value) isThere(ctx context.Context, tx *store.Tx, s store.StoredSecret) (bool, error) {
	old, err := tx.SecretVersion(ctx, s.ARN, v.id)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text, err := tx.SecretValue(old)
	if err != nil {
		return false, err
	}
	if old.Kind != v.kind || text != v.text {
		return false, fault.New("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", v.id, s.ARN)
	}
	return true, nil
}

// add makes a version of a value and moves stages to it, AWSCURRENT if none is named. It gives
// the stages that the version is at.
func add(ctx context.Context, tx *store.Tx, s store.StoredSecret, v value, stages []string) ([]string, error) {
	at, err := tx.SecretStages(ctx, s.ARN)
	if err != nil {
		return nil, err
	}
	if there, err := v.isThere(ctx, tx, s); err != nil || there {
		return byVersion(at)[v.id], err
	}
	if len(stages) == 0 || at[current] == "" && !slices.Contains(stages, current) {
		stages = append(stages, current)
	}
	if err := tx.AddSecretVersion(ctx, store.SecretVersion{ARN: s.ARN, ID: v.id, Kind: v.kind}, v.text); err != nil {
		return nil, err
	}
	for _, stage := range stages {
		if err := move(ctx, tx, s, at, stage, v.id); err != nil {
			return nil, err
		}
	}
	if err := tx.SetSecret(ctx, s); err != nil {
		return nil, err
	}
	return byVersion(at)[v.id], tx.PruneSecretVersions(ctx, s.ARN, maxDeprecated)
}

// move moves a stage to a version, or away if the id is empty; the version that AWSCURRENT
// leaves becomes AWSPREVIOUS.
func move(ctx context.Context, tx *store.Tx, s store.StoredSecret, at map[string]string, stage, id string) error {
	if !idForm().MatchString(stage) {
		return invalid("VersionStage: it is made of printable ASCII characters without spaces.")
	}
	if was := at[current]; stage == current && was != "" && was != id {
		if err := tx.SetSecretStage(ctx, s.ARN, previous, was); err != nil {
			return err
		}
		at[previous] = was
	}
	at[stage] = id
	if id == "" {
		delete(at, stage)
	}
	if len(at) > maxStages {
		return fault.New("LimitExceededException", "A secret has at most %d staging labels.", maxStages)
	}
	return tx.SetSecretStage(ctx, s.ARN, stage, id)
}

// byVersion turns stages with versions into versions with stages, in order.
func byVersion(at map[string]string) map[string][]string {
	out := map[string][]string{}
	for stage, id := range at {
		out[id] = append(out[id], stage)
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

// PutSecretValue gives a secret a new version.
func (r *Room) PutSecretValue(ctx context.Context, in *wire.PutSecretValueInput) (*wire.PutSecretValueOutput, error) {
	v, err := readValue(in.ClientRequestToken, in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	var out *wire.PutSecretValueOutput
	err = r.update(ctx, "PutSecretValue", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		switch {
		case !v.given:
			return badState("You must provide either SecretString or SecretBinary.")
		case in.RotationToken != "":
			return invalid("RotationToken: this server does not rotate secrets.")
		}
		if err := alive(s); err != nil {
			return err
		}
		stages, err := add(ctx, tx, s, v, slices.Clone(in.VersionStages))
		out = &wire.PutSecretValueOutput{ARN: s.ARN, Name: s.Name, VersionId: v.id, VersionStages: stages}
		return err
	})
	return out, err
}

// GetSecretValue gives the value of a version: the one that is named, that a stage is at, or
// that AWSCURRENT is at.
func (r *Room) GetSecretValue(ctx context.Context, in *wire.GetSecretValueInput) (*wire.GetSecretValueOutput, error) {
	var out *wire.GetSecretValueOutput
	err := r.view(ctx, "GetSecretValue", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		if err := alive(s); err != nil {
			return err
		}
		v, err := pick(ctx, tx, s, in.VersionId, in.VersionStage)
		if err != nil {
			return err
		}
		text, err := tx.SecretValue(v)
		if err != nil {
			return err
		}
		at, err := tx.SecretStages(ctx, s.ARN)
		out = &wire.GetSecretValueOutput{ARN: s.ARN, Name: s.Name, VersionId: v.ID, VersionStages: byVersion(at)[v.ID], CreatedDate: &v.Created}
		if v.Kind == "binary" {
			out.SecretBinary = []byte(text)
		} else {
			out.SecretString = string(text)
		}
		return err
	})
	return out, err
}

// pick finds the version of an id, which must be at the stage if both are given.
func pick(ctx context.Context, tx *store.Tx, s store.StoredSecret, id, stage string) (v store.SecretVersion, err error) {
	what := "VersionId: " + id
	switch {
	case id == "" && stage == "":
		stage = current
		fallthrough
	case id == "":
		what, err = "staging label: "+stage, store.ErrNotFound
		if idForm().MatchString(stage) {
			v, err = tx.SecretVersionAt(ctx, s.ARN, stage)
		}
	default:
		err = store.ErrNotFound
		if idForm().MatchString(id) {
			v, err = tx.SecretVersion(ctx, s.ARN, id)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return v, fault.New("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for %s", what)
	}
	if err == nil && id != "" && stage != "" {
		at, err := tx.SecretStages(ctx, s.ARN)
		if err == nil && at[stage] != id {
			err = badState("You provided a VersionStage that is not associated to the provided VersionId.")
		}
		return v, err
	}
	return v, err
}

// ListSecretVersionIds lists the versions of a secret.
func (r *Room) ListSecretVersionIds(ctx context.Context, in *wire.ListSecretVersionIdsInput) (*wire.ListSecretVersionIdsOutput, error) {
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	after, err := parsePageToken(in.NextToken)
	if err != nil {
		return nil, err
	}
	var out *wire.ListSecretVersionIdsOutput
	err = r.view(ctx, "ListSecretVersionIds", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		out = &wire.ListSecretVersionIdsOutput{ARN: s.ARN, Name: s.Name, Versions: []wire.SecretVersionsListEntry{}}
		list, err := tx.ListSecretVersions(ctx, s.ARN, after, in.IncludeDeprecated != nil && *in.IncludeDeprecated, limit+1)
		if err != nil {
			return err
		}
		at, err := tx.SecretStages(ctx, s.ARN)
		if len(list) > limit {
			list = list[:limit]
			out.NextToken = pageToken(list[limit-1].ID)
		}
		for _, v := range list {
			out.Versions = append(out.Versions, wire.SecretVersionsListEntry{VersionId: v.ID, VersionStages: byVersion(at)[v.ID], CreatedDate: &v.Created})
		}
		return err
	})
	return out, err
}

// UpdateSecretVersionStage moves a stage from one version to another, to one, or away.
func (r *Room) UpdateSecretVersionStage(ctx context.Context, in *wire.UpdateSecretVersionStageInput) (*wire.UpdateSecretVersionStageOutput, error) {
	var out *wire.UpdateSecretVersionStageOutput
	err := r.update(ctx, "UpdateSecretVersionStage", in.SecretId, func(tx *store.Tx, s store.StoredSecret) error {
		if err := alive(s); err != nil {
			return err
		}
		at, err := tx.SecretStages(ctx, s.ARN)
		if err != nil {
			return err
		}
		was := at[in.VersionStage]
		switch {
		case in.MoveToVersionId == "" && in.RemoveFromVersionId == "":
			return invalid("You must specify MoveToVersionId or RemoveFromVersionId.")
		case in.MoveToVersionId == "" && in.VersionStage == current:
			return invalid("You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.")
		case was != in.RemoveFromVersionId && (was == "" || was != in.MoveToVersionId):
			if was == "" {
				return invalid("Staging label %s is not attached to version %s.", in.VersionStage, in.RemoveFromVersionId)
			}
			return invalid("The parameter RemoveFromVersionId must be provided. Staging label %s is currently attached to version %s.", in.VersionStage, was)
		}
		if in.MoveToVersionId != "" {
			if _, err := pick(ctx, tx, s, in.MoveToVersionId, ""); err != nil {
				return err
			}
		}
		out = &wire.UpdateSecretVersionStageOutput{ARN: s.ARN, Name: s.Name}
		if err := move(ctx, tx, s, at, in.VersionStage, in.MoveToVersionId); err != nil {
			return err
		}
		return tx.SetSecret(ctx, s)
	})
	return out, err
}
