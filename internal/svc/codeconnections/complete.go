package codeconnections

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"regexp"
	"strings"

	api "penstock/internal/api/codeconnections"
	"penstock/internal/fault"
	"penstock/internal/store"
	"penstock/internal/svc/codeconnections/fetch"
)

// repositoryPart stands for the full repository name in the URL of a connection.
const repositoryPart = "{repository}"

// clouds are where the repositories of hosted providers are.
var clouds = map[string]string{
	"GitHub":    "https://github.com/" + repositoryPart + ".git",
	"GitLab":    "https://gitlab.com/" + repositoryPart + ".git",
	"Bitbucket": "https://bitbucket.org/" + repositoryPart + ".git",
}

// CompleteConnection is the handshake that AWS has in its console: it says where the
// repositories of a connection are and how to log in, and makes the connection AVAILABLE. A
// second call replaces what the first said; a webhook secret that is not given stays, and
// is made up the first time.
func (f *face) CompleteConnection(ctx context.Context, in *api.CompleteConnectionInput) (*api.CompleteConnectionOutput, error) {
	c, err := allow(ctx, "UpdateConnection", in.ConnectionArn)
	if err != nil {
		return nil, err
	}
	var done store.Connection
	err = f.DB.Update(ctx, func(tx *store.Tx) (err error) {
		if done, err = connection(ctx, tx, c, in.ConnectionArn); err != nil {
			return err
		}
		template := cmp.Or(in.GitUrl, clouds[done.ProviderType])
		if done.HostARN != "" {
			h, err := host(ctx, tx, c, done.HostARN)
			if err != nil {
				return err
			}
			template = cmp.Or(template, strings.TrimRight(h.Endpoint, "/")+"/"+repositoryPart+".git")
			h.Status = available
			if err := tx.PutHost(ctx, h); err != nil {
				return err
			}
		}
		if template == "" {
			return fault.New("ValidationException", "The GitUrl of a connection to %s must be given, with %s for the full name of the repository", done.ProviderType, repositoryPart)
		}
		if err := addressForm(template); err != nil {
			return err
		}
		done.Status, done.GitURL, done.Username, done.Token = available, template, in.Username, store.Secret(in.Token)
		done.HookSecret = cmp.Or(store.Secret(in.WebhookSecret), done.HookSecret, store.Secret(rand.Text()+rand.Text()))
		return tx.PutConnection(ctx, done)
	})
	if err != nil {
		return nil, err
	}
	return &api.CompleteConnectionOutput{ConnectionStatus: done.Status, GitUrl: done.GitURL, WebhookUrl: f.hookURL(done),
		WebhookSecret: string(done.HookSecret)}, nil
}

// addressForm refuses addresses that no repository can be fetched from, before a release does (N-13).
func addressForm(template string) error {
	why := fetch.Form(strings.ReplaceAll(template, repositoryPart, "owner/name"))
	if why == nil && !strings.Contains(template, repositoryPart) {
		why = errors.New("it has no " + repositoryPart)
	}
	if why == nil {
		return nil
	}
	// The URL itself is not repeated: there may be a password in it.
	return fault.New("ValidationException", "The GitUrl cannot be used: %s. It is like https://git.example.org/%s.git or file:///folder/%s.git, where %s stands for the full name of a repository",
		strings.TrimPrefix(why.Error(), fetch.ErrRefused.Error()+": "), repositoryPart, repositoryPart, repositoryPart)
}

var repositoryForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.~-]*(/[A-Za-z0-9_][A-Za-z0-9_.~-]*){0,20}$`)

// remote is where a repository of a connection is.
func remote(c store.Connection, repository string) (fetch.Remote, error) {
	if c.Status != available {
		return fetch.Remote{}, fault.New("ResourceUnavailableException",
			"The connection %s is %s. Complete it first: penstock connection complete %s", c.ARN, c.Status, c.ARN)
	}
	if !repositoryForm.MatchString(repository) || strings.Contains(repository, "..") {
		return fetch.Remote{}, fault.New("ValidationException", "The FullRepositoryId '%s' is not like owner/name", repository)
	}
	return fetch.Remote{URL: strings.ReplaceAll(c.GitURL, repositoryPart, repository), Username: c.Username, Token: string(c.Token), Account: c.Account}, nil
}
