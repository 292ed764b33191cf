package app

import (
	"regexp"
	"strings"
	"sync"

	"penstock/internal/template"
)

var quotes = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`'([^']{1,300})'|role (arn:\S+)`) })

// locate gives the place in a declaration that a message speaks of. path leads to the stage,
// action or rule it is about, as far as that is known; inside of it the words of the message
// are looked for.
func locate(declaration *template.Node, path, message string) *template.Node {
	at, scope := declaration, declaration
	own := map[string]bool{}
	if path != "" {
		at, scope = declaration.Find(strings.TrimPrefix(path, "pipeline."))
		if name := scope.Get("name"); name != nil {
			at = name
			own[name.Text] = true
		}
	}
	var words []string
	for _, m := range quotes().FindAllStringSubmatch(message, -1) {
		words = append(words, strings.TrimSuffix(m[1]+m[2], "."))
	}
	if len(words) == 0 && path != "" {
		words = strings.Fields(message)
	}
	for _, word := range words {
		if len(word) < 2 || own[word] { // numbers are everywhere
			continue
		}
		if n := scalar(scope, word); n != nil {
			return n
		}
	}
	return at
}

// scalar finds the first key or value below n that is the word.
func scalar(n *template.Node, word string) *template.Node {
	for i, v := range n.Items {
		if n.Kind == template.Map && n.Keys[i].Text == word {
			return n.Keys[i]
		}
		if v.Scalar() && v.Text == word {
			return v
		}
		if found := scalar(v, word); found != nil {
			return found
		}
	}
	return nil
}
