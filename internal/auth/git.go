package auth

import (
	"context"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"

	"penstock/internal/sigv4"
)

// gitSkew is how long a password of the credential helper is good: as long as AWS says.
const gitSkew = 15 * time.Minute

// awsRegions are tried for a helper's password, which does not say for which Region it was
// made.
var awsRegions = strings.Fields(`us-east-1 us-east-2 us-west-1 us-west-2 eu-west-1 eu-west-2 eu-west-3 eu-central-1
	eu-central-2 eu-north-1 eu-south-1 eu-south-2 ap-east-1 ap-south-1 ap-south-2 ap-northeast-1 ap-northeast-2
	ap-northeast-3 ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-4 ap-southeast-5 ca-central-1 ca-west-1
	sa-east-1 me-south-1 me-central-1 af-south-1 il-central-1 mx-central-1 cn-north-1 cn-northwest-1 us-gov-east-1
	us-gov-west-1`)

// BasicGit authenticates a git client by HTTP Basic (N-9) and gives a context that carries
// the caller. The user is the access key id, for sessions followed by % and the token; the
// password is the secret access key or what the CodeCommit credential helper made for this
// host and repository. The helper's signature is tried for the given Regions (where the
// repository exists), the server's and AWS's; the caller's Region is the one that fitted,
// for a plain secret the first given or the server's.
//
// The refusal is a fault; the client should be asked again with status 401.
func (a *Auth) BasicGit(r *http.Request, repo string, regions ...string) (context.Context, error) {
	const service = "codecommit"
	user, password, ok := r.BasicAuth()
	if !ok || user == "" {
		return nil, refuse(service, &sigv4.Failure{Kind: sigv4.NoCredentials})
	}
	id, token, _ := strings.Cut(user, "%")
	g, secret, err := a.grantFor(r.Context(), id, token, service)
	if err != nil {
		return nil, err
	}
	regions = append(slices.Clone(regions), a.cfg.Region)
	signed, ok := sigv4.ParseGitPassword(password)
	switch {
	case ok:
		fitting, err := a.fittingRegion(signed, string(secret), r.Host, repo, regions)
		if err != nil {
			return nil, refuse(service, err)
		}
		g.caller.Region = fitting
	case subtle.ConstantTimeCompare([]byte(password), []byte(secret)) == 1:
		g.caller.Region = regions[0]
	default:
		return nil, refuse(service, &sigv4.Failure{Kind: sigv4.BadSignature})
	}
	a.describe(g, r)
	return with(r.Context(), g), nil
}

// fittingRegion finds the Region for which a helper's password was made.
func (a *Auth) fittingRegion(p sigv4.GitPassword, secret, host, repo string, regions []string) (string, error) {
	var last error
	seen := make(map[string]bool)
	for _, region := range append(regions, awsRegions...) {
		if seen[region] {
			continue
		}
		seen[region] = true
		// The helper signs the path as the user wrote it in the remote's address.
		for _, tail := range []string{"", ".git", "/"} {
			if last = p.Verify(secret, region, host, "/v1/repos/"+repo+tail, a.now(), gitSkew); last == nil {
				return region, nil
			}
			if f, ok := last.(*sigv4.Failure); ok && f.Kind != sigv4.BadSignature {
				return "", last
			}
		}
	}
	return "", last
}
