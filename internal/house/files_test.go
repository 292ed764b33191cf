package house

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// migrations wants the same file names for both databases, each number once.
func migrations(tr *tree) []problem {
	const root = "internal/store/migrations/"
	var ps []problem
	sets := map[string][]string{}
	shape := regexp.MustCompile(`^(\d{5})_[a-z0-9_]+\.sql$`)
	for _, f := range tr.files {
		rest, ok := strings.CutPrefix(f.path, root)
		if !ok || !strings.HasSuffix(rest, ".sql") {
			continue
		}
		folder, name := path.Split(rest)
		m := shape.FindStringSubmatch(name)
		if m == nil {
			ps = append(ps, problem{f.path, 1, "a migration is named " + name, "name it 00000_what_it_makes.sql"})
			continue
		}
		if slices.ContainsFunc(sets[folder], func(n string) bool { return n[:5] == m[1] }) {
			ps = append(ps, problem{f.path, 1, "migration number " + m[1] + " is used twice", "take the next free number, in both folders"})
		}
		sets[folder] = append(sets[folder], name)
	}
	for _, pair := range [][2]string{{"sqlite/", "postgres/"}, {"postgres/", "sqlite/"}} {
		for _, name := range sets[pair[0]] {
			if !slices.Contains(sets[pair[1]], name) {
				ps = append(ps, problem{root + pair[0] + name, 1, "there is no " + pair[1] + name,
					"both databases are migrated in the same steps; write its twin"})
			}
		}
	}
	return ps
}

// place matches what belongs to one machine or one way of working, not to the project. It
// is put together from pieces so that it does not find itself.
var place = regexp.MustCompile(`(^|[^A-Za-z0-9_./-])(/(wo` + `rk|fa` + `rm|ro` + `ot)/|/ho` + `me/[a-z]+/)` +
	`|https?://[a-z0-9.-]*(pro` + `xy|regis` + `try)[a-z0-9.-]*` +
	`|(?i:\bissue #?[0-9]{1,3}\b)|(?i:co-auth` + `ored-by)`)

// workplace finds paths, hosts and words that mean something only where they were written.
func workplace(tr *tree) []problem {
	var ps []problem
	for _, f := range tr.files {
		if base := path.Base(f.path); base == "go.sum" || strings.HasPrefix(f.path, "internal/house/testdata/") {
			continue
		}
		if !place.Match(f.text) {
			continue
		}
		for i, line := range bytes.Split(f.text, []byte("\n")) {
			if m := place.Find(line); m != nil {
				ps = append(ps, problem{f.path, i + 1, "speaks of one machine or one workplace: " + strings.TrimSpace(string(m)),
					"say it so that it holds in every clone"})
			}
		}
	}
	return ps
}

// ground wants the files that every checkout stands on.
func ground(tr *tree) []problem {
	var ps []problem
	for _, name := range []string{"LICENSE", "README.md", "CONTRIBUTING.md", "Makefile", "go.mod", "go.sum", ".ci/run", "docs/ARCHITECTURE.md", "docs/divergences.md"} {
		if f, ok := tr.find(name); !ok || len(bytes.TrimSpace(f.text)) == 0 {
			ps = append(ps, problem{name, 1, "is missing or empty", "put it back"})
		}
	}
	if f, ok := tr.find("LICENSE"); ok && !bytes.Contains(f.text, []byte("Apache License")) {
		ps = append(ps, problem{"LICENSE", 1, "is not the Apache License", "put it back"})
	}
	return ps
}

// records wants every decision linked from the architecture page, each number once.
func records(tr *tree) []problem {
	const page = "docs/ARCHITECTURE.md"
	var ps []problem
	arch, _ := tr.find(page)
	numbers := map[string]string{}
	shape := regexp.MustCompile(`^(\d{4})-[a-z0-9-]+\.md$`)
	for _, f := range tr.files {
		name, ok := strings.CutPrefix(f.path, "docs/adr/")
		if !ok {
			continue
		}
		m := shape.FindStringSubmatch(name)
		if m == nil {
			ps = append(ps, problem{f.path, 1, "a decision is named " + name, "name it 0000-what-was-decided.md"})
			continue
		}
		if other := numbers[m[1]]; other != "" {
			ps = append(ps, problem{f.path, 1, "has the number of " + other, "take the next free number"})
		}
		numbers[m[1]] = name
		if !bytes.Contains(arch.text, []byte("(adr/"+name+")")) {
			ps = append(ps, problem{page, 1, "does not link adr/" + name, "add the decision to its list"})
		}
	}
	return ps
}

var (
	fence = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	link  = regexp.MustCompile(`\]\(([^)\s#]+)(#[^)\s]*)?\)`)
)

// links wants what a page points at inside the repository to be there.
func links(tr *tree) []problem {
	var ps []problem
	for _, f := range tr.files {
		if !strings.HasSuffix(f.path, ".md") || strings.Contains("/"+f.path, "/testdata/") {
			continue
		}
		// Blank the examples, keeping their lines.
		text := fence.ReplaceAllFunc(f.text, func(b []byte) []byte { return bytes.Repeat([]byte("\n"), bytes.Count(b, []byte("\n"))) })
		for i, line := range bytes.Split(text, []byte("\n")) {
			for _, m := range link.FindAllSubmatch(line, -1) {
				target := string(m[1])
				if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				if p := path.Join(path.Dir(f.path), target); !tr.exists(p) {
					ps = append(ps, problem{f.path, i + 1, "links to " + target + ", which is not there", "mend the link"})
				}
			}
		}
	}
	return ps
}

var cited = regexp.MustCompile(`\b([SWNPC])-(\d+)(?:(?:\.\.|…|–)(?:[SWNPC]-)?(\d+))?`)

// questions is how many there are, Q-1 to Q-34, that AWS leaves open.
const questions = 34

var question = regexp.MustCompile(`\bQ-(\d+)\b`)

// divergences wants an answer to every open question, and a test behind every known difference from AWS: the rule that ends a
// row of the page must be cited by a test or by the data of one.
func divergences(tr *tree) []problem {
	const page = "docs/divergences.md"
	var ps []problem
	f, _ := tr.find(page)
	kept := map[string]bool{}
	for _, f := range tr.files {
		if p := "/" + f.path; strings.HasPrefix(p, "/internal/house/") || !strings.HasSuffix(p, "_test.go") && !strings.Contains(p, "/testdata/") && !strings.HasPrefix(p, "/e2e/") {
			continue
		}
		for _, m := range cited.FindAllSubmatch(f.text, -1) {
			from, _ := strconv.Atoi(string(m[2]))
			to, err := strconv.Atoi(string(m[3]))
			if err != nil {
				to = from
			}
			for n := from; n <= min(to, from+100); n++ {
				kept[fmt.Sprintf("%s-%d", m[1], n)] = true
			}
		}
	}
	answered := map[string]bool{}
	for _, m := range question.FindAllSubmatch(f.text, -1) {
		answered[string(m[1])] = true
	}
	for n := 1; n <= questions; n++ {
		if !answered[strconv.Itoa(n)] {
			ps = append(ps, problem{page, 1, fmt.Sprintf("the open question Q-%d is not answered", n), "say what penstock does, in a row that names the question"})
		}
	}
	for i, line := range strings.Split(string(f.text), "\n") {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) < 2 || strings.TrimSpace(cells[0]) == "difference" {
			continue
		}
		rule := strings.TrimSpace(cells[len(cells)-1])
		switch {
		case len(cells) != 5:
			ps = append(ps, problem{page, i + 1, fmt.Sprintf("a row of %d columns", len(cells)), "difference, AWS, penstock, why, test"})
		case !cited.MatchString(rule):
			ps = append(ps, problem{page, i + 1, "a row that ends in no rule", "name the rule that its test cites, such as S-130"})
		case !kept[rule]:
			ps = append(ps, problem{page, i + 1, "no test cites " + rule, "write the test that holds penstock to this row, citing the rule"})
		}
	}
	return ps
}
