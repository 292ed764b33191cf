package pipeline

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"penstock/internal/fault"
)

// Tag is a label of a pipeline, custom action type or webhook (S-361).
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

const (
	maxTagKey   = 128
	maxTagValue = 256
	invalidTags = "InvalidTagsException"
)

// ValidateTags checks the tags of one request (S-362: M-33). Their number depends on what the
// resource already has: CheckTagCount.
func ValidateTags(tags []Tag) error {
	seen := make(map[string]bool, len(tags))
	for _, t := range tags {
		if err := checkTagKey(t.Key); err != nil {
			return err
		}
		if seen[t.Key] {
			return fault.New(invalidTags, "The tag key '%s' is given more than once", t.Key)
		}
		seen[t.Key] = true
		if err := checkTagText("value", t.Value, maxTagValue); err != nil {
			return err
		}
	}
	return nil
}

// ValidateTagKeys checks the keys of tags that are to be removed (S-362).
func ValidateTagKeys(keys []string) error {
	for _, key := range keys {
		if err := checkTagKey(key); err != nil {
			return err
		}
	}
	return nil
}

func checkTagKey(key string) error {
	if len(key) >= 4 && strings.EqualFold(key[:4], "aws:") {
		return fault.New(invalidTags, "Not allowed to modify system tags. System tags start with 'aws:'. msg=[Caller is an end user and not allowed to mutate system tags]")
	}
	if key == "" {
		return fault.New(invalidTags, "A tag has no key. Keys have from 1 to %d characters", maxTagKey)
	}
	return checkTagText("key", key, maxTagKey)
}

func checkTagText(part, text string, limit int) error {
	if utf8.RuneCountInString(text) > limit {
		return fault.New(invalidTags, "The tag %s '%s' is longer than %d characters", part, excerpt(text), limit)
	}
	if strings.TrimRightFunc(text, unicode.IsSpace) != text {
		return fault.New(invalidTags, "The tag %s '%s' ends with a space", part, text)
	}
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.Is(unicode.Zs, r) && !strings.ContainsRune("+-=._:/@", r) || r == utf8.RuneError {
			return fault.New(invalidTags, "The tag %s %q contains %q. Tags consist of letters, digits, spaces and + - = . _ : / @", part, excerpt(text), r)
		}
	}
	return nil
}

// CheckTagCount refuses more tags than a resource may have (S-362: M-34); n counts those it
// would have afterwards.
func CheckTagCount(n int, arn string, limits Limits) error {
	if n > limits.OrDefault().Tags {
		return fault.New("TooManyTagsException", "Tag limit exceeded for resource [%s].", arn)
	}
	return nil
}
