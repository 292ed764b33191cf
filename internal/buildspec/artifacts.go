package buildspec

import (
	"path"
	"slices"
	"strings"
)

// Picked is one file of an artifact.
type Picked struct {
	// Source is the file's path relative to the source root, with slashes.
	Source string
	// Name is its path inside the artifact.
	Name string
}

// Select picks the files of an artifact out of a build's files, given as clean relative
// slash paths of everything that is not a directory. The result is sorted by Name and
// holds each name once: where discard-paths makes two equal, the last in path order wins.
// An empty result is the caller's "no matching artifact paths found". (A.4)
func (s ArtifactSet) Select(files []string) []Picked {
	sorted := slices.Sorted(slices.Values(files))
	base := globPath(s.BaseDirectory)
	include, exclude := compile(s.Files), compile(s.ExcludePaths)
	byName := map[string]string{}
	for _, f := range sorted {
		rel, ok := under(base, f)
		if !ok || !matchAny(include, rel) || matchAny(exclude, rel) {
			continue
		}
		name := strings.Join(rel, "/")
		if s.DiscardPaths {
			name = rel[len(rel)-1]
		}
		byName[name] = f
	}
	out := make([]Picked, 0, len(byName))
	for name, src := range byName {
		out = append(out, Picked{Source: src, Name: name})
	}
	slices.SortFunc(out, func(a, b Picked) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// under gives the segments of a file below the base directory's pattern.
func under(base []string, file string) ([]string, bool) {
	segs := strings.Split(file, "/")
	if len(segs) <= len(base) {
		return nil, false
	}
	for i, b := range base {
		if !matchSegment(b, segs[i]) {
			return nil, false
		}
	}
	return segs[len(base):], true
}

func compile(globs []string) [][]string {
	out := make([][]string, 0, len(globs))
	for _, g := range globs {
		p := globPath(g)
		// A trailing "**" and the forms "**/" and "**/*" all mean every file.
		if len(p) > 0 && p[len(p)-1] == "**" {
			p = append(p, "*")
		}
		out = append(out, p)
	}
	return out
}

// globPath splits a glob at slashes and drops what means "here".
func globPath(g string) []string {
	var out []string
	for seg := range strings.SplitSeq(g, "/") {
		if seg != "" && seg != "." {
			out = append(out, seg)
		}
	}
	return out
}

func matchAny(globs [][]string, segs []string) bool {
	return slices.ContainsFunc(globs, func(g []string) bool { return matchSegments(g, segs) })
}

// matchSegments matches by dynamic programming, so that many "**" cost the product of the
// lengths and never more.
func matchSegments(glob, segs []string) bool {
	// reach[j]: the glob so far matches the first j segments.
	reach := make([]bool, len(segs)+1)
	reach[0] = true
	for _, g := range glob {
		next := make([]bool, len(segs)+1)
		if g == "**" {
			open := false
			for j := range next {
				open = open || reach[j]
				next[j] = open
			}
		} else {
			for j, seg := range segs {
				next[j+1] = reach[j] && matchSegment(g, seg)
			}
		}
		reach = next
	}
	return reach[len(segs)]
}

func matchSegment(glob, seg string) bool {
	if glob == seg {
		return true
	}
	ok, err := path.Match(glob, seg)
	return err == nil && ok
}
