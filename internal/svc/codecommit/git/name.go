package git

import (
	"strings"
	"unicode/utf8"
)

// ValidRef says whether name is a full ref name that may be made here: the rules of git
// check-ref-format, and beyond them no component that begins with a dash, which would read
// as an option wherever the short name is handed to a command, at most 512 bytes, valid
// UTF-8, below refs/.
func ValidRef(name string) bool {
	if branch, ok := strings.CutPrefix(name, "refs/heads/"); ok {
		return ValidBranch(branch)
	}
	rest, ok := strings.CutPrefix(name, "refs/")
	return ok && len(name) <= 512 && strings.Contains(rest, "/") && validComponents(rest)
}

// ValidBranch says whether name is a branch name, such as main or feature/x.
func ValidBranch(name string) bool {
	return len(name) <= 256 && name != "HEAD" && validComponents(name)
}

func validComponents(name string) bool {
	if name == "" || name == "@" || strings.Contains(name, "@{") || strings.Contains(name, "..") ||
		strings.HasSuffix(name, ".") || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || strings.ContainsRune(" ~^:?*[\\", r) {
			return false
		}
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || part[0] == '.' || part[0] == '-' || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

// ValidID says whether s is a full object id.
func ValidID(s string) bool {
	if len(s) != 40 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// CleanPath gives the path of a file or folder within a tree, without slashes at its ends,
// or false if it is not one. "" is the root.
func CleanPath(path string) (string, bool) {
	path = strings.Trim(path, "/")
	if path == "" {
		return "", true
	}
	if len(path) > 4096 || strings.ContainsRune(path, 0) {
		return "", false
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." || strings.EqualFold(part, ".git") {
			return "", false
		}
	}
	return path, true
}

// zero is how git writes the id of nothing.
const zero = "0000000000000000000000000000000000000000"

// absent gives "" for the id of nothing.
func absent(id string) string {
	if id == zero {
		return ""
	}
	return id
}

// present gives the id of nothing for "".
func present(id string) string {
	if id == "" {
		return zero
	}
	return id
}
