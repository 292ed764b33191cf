package pipeline

import (
	"strings"
	"testing"

	"penstock/internal/fault"
)

func TestValidateTags(t *testing.T) {
	t.Parallel()
	const system = "InvalidTagsException: Not allowed to modify system tags. System tags start with 'aws:'. msg=[Caller is an end user and not allowed to mutate system tags]"
	for name, c := range map[string]struct {
		tags []Tag
		want string
	}{
		"S-362 none":                {nil, ""},
		"S-362 all characters":      {[]Tag{{"Ünit 1+-=._:/@", "größe 2"}}, ""},
		"S-362 empty value":         {[]Tag{{"k", ""}}, ""},
		"S-362 longest":             {[]Tag{{strings.Repeat("ä", 128), strings.Repeat("ä", 256)}}, ""},
		"S-362 keys differ in case": {[]Tag{{"k", "1"}, {"K", "2"}}, ""},
		"S-362 same value":          {[]Tag{{"a", "1"}, {"b", "1"}}, ""},
		"S-362 M-33 system tag":     {[]Tag{{"AwS:team", "x"}}, system},
		"S-362 no system tag":       {[]Tag{{"aws", "x"}, {"awsome:x", "x"}}, ""},
		"S-362 no key":              {[]Tag{{"", "x"}}, "InvalidTagsException: A tag has no key. Keys have from 1 to 128 characters"},
		"S-362 key twice":           {[]Tag{{"k", "1"}, {"k", "2"}}, "InvalidTagsException: The tag key 'k' is given more than once"},
		"S-362 only spaces":         {[]Tag{{"  ", "x"}}, "InvalidTagsException: The tag key '  ' ends with a space"},
		"S-362 ends with a space":   {[]Tag{{"k ", "x"}}, "InvalidTagsException: The tag key 'k ' ends with a space"},
		"S-362 value ends so":       {[]Tag{{"k", "x "}}, "InvalidTagsException: The tag value 'x ' ends with a space"},
		"S-362 long key":            {[]Tag{{strings.Repeat("k", 129), ""}}, "InvalidTagsException: The tag key '" + strings.Repeat("k", 60) + "…' is longer than 128 characters"},
		"S-362 long value":          {[]Tag{{"k", strings.Repeat("v", 257)}}, "InvalidTagsException: The tag value '" + strings.Repeat("v", 60) + "…' is longer than 256 characters"},
		"S-362 other character":     {[]Tag{{"k", "a;b"}}, `InvalidTagsException: The tag value "a;b" contains ';'. Tags consist of letters, digits, spaces and + - = . _ : / @`},
		"S-362 line break":          {[]Tag{{"a\nb", ""}}, `InvalidTagsException: The tag key "a\nb" contains '\n'. Tags consist of letters, digits, spaces and + - = . _ : / @`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := ValidateTags(c.tags); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	if err := ValidateTagKeys([]string{"team", "aws:x"}); err == nil || err.Error() != system {
		t.Errorf("S-362 M-33 untag: %v", err)
	}
}

// S-83, S-362, M-34: the number counts what the resource would have.
func TestCheckTagCount(t *testing.T) {
	t.Parallel()
	if err := CheckTagCount(50, "a", Limits{}); err != nil {
		t.Error(err)
	}
	err := CheckTagCount(51, "arn:aws:codepipeline:us-east-1:111122223333:p", Limits{})
	if want := "TooManyTagsException: Tag limit exceeded for resource [arn:aws:codepipeline:us-east-1:111122223333:p]."; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := CheckTagCount(3, "a", Limits{Tags: 2}); fault.Code(err) != "TooManyTagsException" {
		t.Errorf("a limit of its own: %v", err)
	}
}
