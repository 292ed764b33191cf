package store

import (
	"context"
	"database/sql"
)

// Tagged is a resource as rooms list them for the Resource Groups Tagging API: with its tags,
// none if it has none. A listing goes on behind the key.
type Tagged struct {
	Key, ARN string
	Tags     map[string]string
}

// TaggedResources gives a page of what has tags in the table of tags, by the text it has them
// under: those that begin with the prefix and come after a text. ARN is that text.
func (tx *Tx) TaggedResources(ctx context.Context, prefix, after string, limit int) ([]Tagged, error) {
	names, err := all(ctx, tx, `SELECT DISTINCT resource FROM tag WHERE resource > $1 AND resource < $2 ORDER BY resource LIMIT $3`,
		[]any{max(prefix, after), prefix + "\U0010FFFF", limit}, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
	if err != nil {
		return nil, err
	}
	tags, err := tx.TagsOf(ctx, names)
	list := make([]Tagged, len(names))
	for i, name := range names {
		list[i] = Tagged{Key: name, ARN: name, Tags: map[string]string{}}
		for _, t := range tags[name] {
			list[i].Tags[t.Key] = t.Value
		}
	}
	return list, err
}

// EventRulesAfter gives a page of the rules of an account in a Region, of all buses, by bus and
// name.
func (tx *Tx) EventRulesAfter(ctx context.Context, account, region, bus, name string, limit int) ([]EventRule, error) {
	return all(ctx, tx, `SELECT `+eventRuleColumns+` FROM events_rule WHERE account = $1 AND region = $2 AND (bus, name) > ($3, $4) ORDER BY bus, name LIMIT $5`,
		[]any{account, region, bus, name, limit}, scanEventRule)
}

// CodeBuildProjectsAfter gives a page of the projects of an account in a Region with their
// documents, by name.
func (tx *Tx) CodeBuildProjectsAfter(ctx context.Context, account, region, name string, limit int) ([]CodeBuildProject, error) {
	return all(ctx, tx, `SELECT name, doc FROM codebuild_project WHERE account = $1 AND region = $2 AND name > $3 ORDER BY name LIMIT $4`,
		[]any{account, region, name, limit}, func(rows *sql.Rows) (CodeBuildProject, error) {
			p := CodeBuildProject{Account: account, Region: region}
			return p, rows.Scan(&p.Name, &p.Doc)
		})
}
