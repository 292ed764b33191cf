package store_test

import (
	"fmt"
	"testing"

	"penstock/internal/store"
	"penstock/internal/store/storetest"
)

// N-17: what is tagged is listed page by page, in the order of bytes.
func TestTagged(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx := t.Context()
		err := db.Update(ctx, func(tx *store.Tx) error {
			for _, name := range []string{"arn:x:b", "arn:x:a", "arn:x:B", "arn:xy:a", "arn:w:z"} {
				for _, key := range []string{"k", "l"} {
					if err := tx.PutTag(ctx, name, store.Tag{Key: key, Value: name}); err != nil {
						return err
					}
				}
			}
			for _, r := range []store.EventRule{{Bus: "b", Name: "x"}, {Bus: "default", Name: "a"}, {Bus: "b", Name: "z"}, {Region: "other", Bus: "b", Name: "y"}} {
				r.Account = "a"
				if r.Region == "" {
					r.Region = "r"
				}
				if err := tx.PutEventRule(ctx, r); err != nil {
					return err
				}
			}
			for _, name := range []string{"q", "p", "o"} {
				if _, err := tx.AddCodeBuildProject(ctx, store.CodeBuildProject{Account: "a", Region: "r", Name: name, Doc: "doc of " + name}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.View(ctx, func(tx *store.Tx) error {
			tagged, err := tx.TaggedResources(ctx, "arn:x:", "", 2)
			if err != nil {
				return err
			}
			rest, err := tx.TaggedResources(ctx, "arn:x:", tagged[1].Key, 2)
			if err != nil {
				return err
			}
			rules, err := tx.EventRulesAfter(ctx, "a", "r", "b", "x", 5)
			if err != nil {
				return err
			}
			projects, err := tx.CodeBuildProjectsAfter(ctx, "a", "r", "o", 5)
			got := fmt.Sprintln(tagged, rest, rules[0].Name, rules[1].Name, len(rules), projects[0].Doc, projects[1].Doc, len(projects))
			if want := "[{arn:x:B arn:x:B map[k:arn:x:B l:arn:x:B]} {arn:x:a arn:x:a map[k:arn:x:a l:arn:x:a]}] [{arn:x:b arn:x:b map[k:arn:x:b l:arn:x:b]}] z a 2 doc of p doc of q 2\n"; got != want {
				t.Errorf("%s\nnot %s", got, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
