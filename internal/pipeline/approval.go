package pipeline

import (
	"regexp"
	"strconv"
	"strings"

	"penstock/internal/fault"
)

// Keys of the Manual approval action that AWS does not have. They say who may approve; a
// rejection counts whoever gives it.
const (
	// RequiredApprovals is how many people must approve, 1 if it is not set.
	RequiredApprovals = "RequiredApprovals"
	// Approvers are patterns of the ARNs of those who may, separated by spaces.
	Approvers = "Approvers"
	// ForbidStarter and ForbidAuthor shut out who started the execution and who brought a
	// revision of it.
	ForbidStarter = "ForbidStarter"
	ForbidAuthor  = "ForbidAuthor"
)

// mostApprovals bounds RequiredApprovals.
const mostApprovals = 10

// Person gives who is behind the ARN of a caller. All sessions of a role count as one: who may
// assume a role chooses the name of the session, and could be two people otherwise.
func Person(arn string) string {
	if head, session, ok := strings.Cut(arn, ":assumed-role/"); ok {
		role, _, _ := strings.Cut(session, "/")
		return head + ":assumed-role/" + role
	}
	return arn
}

// MatchARN says whether an ARN fits a pattern, in which * stands for any text and ? for any
// character.
func MatchARN(pattern, arn string) bool {
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(strings.ReplaceAll(q, `\*`, `.*`), `\?`, `.`)
	re, err := regexp.Compile(`^(?s:` + q + `)$`)
	return err == nil && re.MatchString(arn)
}

// approvers checks who may answer a manual approval. These keys take no variables: who may
// start an execution could choose his judges.
func approvers(_ *validator, c configuration, a subject) error {
	for _, key := range []string{RequiredApprovals, Approvers, ForbidStarter, ForbidAuthor} {
		if value := a.Configuration[key]; reference.MatchString(value) {
			return invalidApproval(key, value, a, "written out, without variables")
		}
	}
	need := 1
	if value := a.Configuration[RequiredApprovals]; value != "" {
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > mostApprovals {
			return invalidApproval(RequiredApprovals, value, a, "a whole number from 1 to "+strconv.Itoa(mostApprovals))
		}
		need = n
	}
	value, given := a.Configuration[Approvers]
	list := strings.Fields(value)
	people, open := map[string]bool{}, false
	for _, pattern := range list {
		if !strings.HasPrefix(pattern, "arn:") {
			return invalidApproval(Approvers, value, a, "ARNs or patterns of ARNs, such as arn:aws:iam::123456789012:user/*, separated by spaces")
		}
		people[Person(pattern)] = true
		open = open || strings.ContainsAny(pattern, "*?")
	}
	if given && len(list) == 0 {
		return invalidApproval(Approvers, value, a, "one ARN at least")
	}
	if given && !open && len(people) < need {
		return invalidApproval(Approvers, value, a, "at least as many people as RequiredApprovals, "+strconv.Itoa(need)+"; all sessions of a role count as one")
	}
	return nil
}

func invalidApproval(key, value string, a subject, want string) error {
	return fault.New(invalidAction, "The value '%s' of configuration '%s' for action '%s' is not valid. It must be %s", excerpt(value), key, a.Name, want)
}
