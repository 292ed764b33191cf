package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"

	api "penstock/internal/api/lambda"
	"penstock/internal/auth"
	"penstock/internal/fault"
	"penstock/internal/store"
)

// publishTx makes the next version of what v, the $LATEST in the transaction, is. The caller
// keeps v if it has changed it; else its row is kept here.
func publishTx(ctx context.Context, tx *store.Tx, v *version, description string) (*version, error) {
	v.Published++
	row, err := v.row()
	if err != nil {
		return nil, err
	}
	if err := tx.SetFunction(ctx, row); err != nil {
		return nil, err
	}
	made := *v
	made.Number, made.Tags, made.Policies, made.Published = v.Published, nil, nil, 0
	made.Description = cmp.Or(description, v.Description)
	made.changed(tx.Now())
	if row, err = made.row(); err != nil {
		return nil, err
	}
	_, err = tx.AddFunction(ctx, row)
	return &made, err
}

// PublishVersion makes a version of $LATEST that never changes. If nothing has changed since the
// last one, that is the answer.
func (r *Room) PublishVersion(ctx context.Context, in *api.PublishVersionInput) (*api.PublishVersionOutput, error) {
	n, err := own(ctx, in.FunctionName, "PublishVersion")
	if err != nil {
		return nil, err
	}
	if in.PublishTo != "" {
		return nil, unsupported("PublishTo")
	}
	var out *version
	if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		v, err := opened(tx.LockFunction(ctx, n.account, n.region, n.function, 0))
		if err != nil {
			return n.missing(err)
		}
		switch {
		case in.RevisionId != "" && in.RevisionId != v.Revision:
			return fault.New("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
		case in.CodeSha256 != "" && in.CodeSha256 != v.CodeSHA256:
			return invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", in.CodeSha256, v.CodeSHA256)
		}
		if v.Published > 0 {
			last, err := opened(tx.GetFunction(ctx, n.account, n.region, n.function, v.Published))
			if err == nil && !last.Modified.Before(v.Modified) {
				out = &last
				return nil
			}
			if err != nil && err != store.ErrNotFound {
				return err
			}
		}
		out, err = publishTx(ctx, tx, &v, in.Description)
		return err
	}); err != nil {
		return nil, err
	}
	return out.configuration(n.bare() + ":" + versionText(out.Number)), nil
}

// ListVersionsByFunction lists $LATEST and the versions by number.
func (r *Room) ListVersionsByFunction(ctx context.Context, in *api.ListVersionsByFunctionInput) (*api.ListVersionsByFunctionOutput, error) {
	n, _, _, err := r.get(ctx, "ListVersionsByFunction", in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	after := int64(-1)
	if in.Marker != "" {
		if after, err = strconv.ParseInt(in.Marker, 10, 64); err != nil {
			return nil, invalid("The marker is not one of this operation")
		}
	}
	size := pageSize(in.MaxItems)
	out := &api.ListVersionsByFunctionOutput{Versions: []api.FunctionConfiguration{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListFunctionVersions(ctx, n.account, n.region, n.function, after, size+1)
		for i, row := range rows {
			if i == size {
				out.NextMarker = strconv.FormatInt(rows[i-1].Number, 10)
				break
			}
			v, err := opened(row, nil)
			if err != nil {
				return err
			}
			out.Versions = append(out.Versions, *v.configuration(n.bare() + ":" + versionText(v.Number)))
		}
		return err
	})
	return out, err
}

// aliasDoc is what an alias' row keeps beside its key.
type aliasDoc struct {
	Version     int64             `json:"version"`
	Description string            `json:"description,omitempty"`
	Weights     map[int64]float64 `json:"weights,omitempty"`
	Revision    string            `json:"revision"`
}

type alias struct {
	store.FunctionAlias
	aliasDoc
}

func openedAlias(a store.FunctionAlias, err error) (alias, error) {
	out := alias{FunctionAlias: a}
	if err == nil {
		err = json.Unmarshal([]byte(a.Doc), &out.aliasDoc)
	}
	return out, err
}

func (a *alias) row() (store.FunctionAlias, error) {
	text, err := json.Marshal(a.aliasDoc)
	row := a.FunctionAlias
	row.Doc = string(text)
	return row, err
}

// pick gives a version of the alias, by the weights.
func (a *alias) pick() int64 {
	at := rand.Float64()
	for v, w := range a.Weights {
		if at < w {
			return v
		}
		at -= w
	}
	return a.Version
}

func (a *alias) configuration() *api.AliasConfiguration {
	n := name{account: a.Account, region: a.Region, function: a.Function, qualifier: a.Name}
	out := &api.AliasConfiguration{AliasArn: n.arn(), Name: a.Name, FunctionVersion: versionText(a.Version), Description: a.Description, RevisionId: a.Revision}
	if len(a.Weights) > 0 {
		w := map[string]float64{}
		for v, part := range a.Weights {
			w[versionText(v)] = part
		}
		out.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: w}
	}
	return out
}

// point has an alias mean a version, and others for a part of the invocations.
func (a *alias) point(ctx context.Context, tx *store.Tx, text string, routing *api.AliasRoutingConfiguration) error {
	n := name{account: a.Account, region: a.Region, function: a.Function}
	exists := func(text string) (int64, error) {
		num, ok := number(text)
		if !ok {
			return 0, invalid("'%s' is no version of a function", text)
		}
		of := n
		of.qualifier = text
		_, err := tx.GetFunction(ctx, n.account, n.region, n.function, num)
		return num, of.missing(err)
	}
	var err error
	if text != "" {
		if a.Version, err = exists(text); err != nil {
			return err
		}
	}
	if routing != nil {
		a.Weights = nil
		for text, w := range routing.AdditionalVersionWeights {
			num, err := exists(text)
			if err != nil {
				return err
			}
			if len(routing.AdditionalVersionWeights) > 1 || num == 0 || num == a.Version || w < 0 || w > 1 {
				return invalid("An alias routes to one additional published version, other than its own, with a weight from 0.0 to 1.0")
			}
			a.Weights = map[int64]float64{num: w}
		}
	}
	if len(a.Weights) > 0 && a.Version == 0 {
		return invalid("An alias of $LATEST cannot route to other versions")
	}
	a.Revision = auth.NewUUID()
	return nil
}

// CreateAlias names a version.
func (r *Room) CreateAlias(ctx context.Context, in *api.CreateAliasInput) (*api.CreateAliasOutput, error) {
	n, err := own(ctx, in.FunctionName, "CreateAlias")
	if err != nil {
		return nil, err
	}
	a := alias{FunctionAlias: store.FunctionAlias{Account: n.account, Region: n.region, Function: n.function, Name: in.Name}, aliasDoc: aliasDoc{Description: in.Description}}
	if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockFunction(ctx, n.account, n.region, n.function, 0); err != nil {
			return n.missing(err)
		}
		if err := a.point(ctx, tx, in.FunctionVersion, in.RoutingConfig); err != nil {
			return err
		}
		row, err := a.row()
		if err != nil {
			return err
		}
		isNew, err := tx.AddFunctionAlias(ctx, row)
		if err == nil && !isNew {
			err = fault.New("ResourceConflictException", "Alias already exists: %s:%s", n.bare(), in.Name)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return a.configuration(), nil
}

func (n name) noAlias(err error, name string) error {
	n.qualifier = name
	if err == store.ErrNotFound {
		return fault.New("ResourceNotFoundException", "Cannot find alias arn: %s", n.arn())
	}
	return err
}

// GetAlias shows an alias.
func (r *Room) GetAlias(ctx context.Context, in *api.GetAliasInput) (*api.GetAliasOutput, error) {
	n, err := own(ctx, in.FunctionName, "GetAlias")
	if err != nil {
		return nil, err
	}
	var a alias
	if err := r.deps.DB.View(ctx, func(tx *store.Tx) error {
		a, err = openedAlias(tx.GetFunctionAlias(ctx, n.account, n.region, n.function, in.Name))
		return n.noAlias(err, in.Name)
	}); err != nil {
		return nil, err
	}
	return a.configuration(), nil
}

// UpdateAlias changes what is given.
func (r *Room) UpdateAlias(ctx context.Context, in *api.UpdateAliasInput) (*api.UpdateAliasOutput, error) {
	n, err := own(ctx, in.FunctionName, "UpdateAlias")
	if err != nil {
		return nil, err
	}
	var a alias
	if err := r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if _, err := tx.LockFunction(ctx, n.account, n.region, n.function, 0); err != nil {
			return n.missing(err)
		}
		if a, err = openedAlias(tx.GetFunctionAlias(ctx, n.account, n.region, n.function, in.Name)); err != nil {
			return n.noAlias(err, in.Name)
		}
		if in.RevisionId != "" && in.RevisionId != a.Revision {
			return fault.New("PreconditionFailedException", "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id")
		}
		if in.Description != nil {
			a.Description = *in.Description
		}
		if err := a.point(ctx, tx, in.FunctionVersion, in.RoutingConfig); err != nil {
			return err
		}
		row, err := a.row()
		if err != nil {
			return err
		}
		return tx.SetFunctionAlias(ctx, row)
	}); err != nil {
		return nil, err
	}
	return a.configuration(), nil
}

// DeleteAlias removes an alias; one that is not there is no error.
func (r *Room) DeleteAlias(ctx context.Context, in *api.DeleteAliasInput) (*api.DeleteAliasOutput, error) {
	n, err := own(ctx, in.FunctionName, "DeleteAlias")
	if err != nil {
		return nil, err
	}
	return nil, r.deps.DB.Update(ctx, func(tx *store.Tx) error {
		if err := n.dropPolicy(ctx, tx, in.Name); err != nil {
			return err
		}
		return tx.DeleteFunctionAlias(ctx, n.account, n.region, n.function, in.Name)
	})
}

// ListAliases lists the aliases of a function, or of one of its versions, by name.
func (r *Room) ListAliases(ctx context.Context, in *api.ListAliasesInput) (*api.ListAliasesOutput, error) {
	n, _, _, err := r.get(ctx, "ListAliases", in.FunctionName, "")
	if err != nil {
		return nil, err
	}
	size := pageSize(in.MaxItems)
	out := &api.ListAliasesOutput{Aliases: []api.AliasConfiguration{}}
	err = r.deps.DB.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.ListFunctionAliases(ctx, n.account, n.region, n.function, store.Keyset{After: in.Marker, Limit: size + 1})
		for i, row := range rows {
			if i == size {
				out.NextMarker = rows[i-1].Name
				break
			}
			a, err := openedAlias(row, nil)
			if err != nil {
				return err
			}
			if in.FunctionVersion == "" || in.FunctionVersion == versionText(a.Version) {
				out.Aliases = append(out.Aliases, *a.configuration())
			}
		}
		return err
	})
	return out, err
}

// usedBy names the aliases that mean a version.
func (n name) usedBy(ctx context.Context, tx *store.Tx, num int64) (string, error) {
	var names []string
	for page := (store.Keyset{Limit: 100}); ; {
		rows, err := tx.ListFunctionAliases(ctx, n.account, n.region, n.function, page)
		if err != nil || len(rows) == 0 {
			return strings.Join(names, ", "), err
		}
		for _, row := range rows {
			page.After = row.Name
			a, err := openedAlias(row, nil)
			if err != nil {
				return "", err
			}
			if _, routed := a.Weights[num]; routed || a.Version == num {
				names = append(names, a.Name)
			}
		}
	}
}
