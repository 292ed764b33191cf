package hostagent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const (
	// service is the name in the scope of signatures.
	service = "codedeploy-commands"
	// target is what the names of operations begin with.
	target = "CodeDeployCommandService_v20141006."
	// maxAnswer bounds an answer.
	maxAnswer = 1 << 20
	// tries is how often a call is made that nobody repeats later.
	tries = 5
	// keepTrying is how long the end of a command is reported that the server does not take.
	keepTrying = time.Hour
)

// client speaks the protocol of the command service, JSON 1.1 signed by version 4 (D.1). No
// SDK has it.
type client struct {
	cfg    aws.Config
	signer *v4.Signer
}

func newClient(cfg aws.Config) *client { return &client{cfg, v4.NewSigner()} }

// refusal is an answer of the server other than success.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("the server answered %d %s: %s", r.status, r.code, r.message)
}

// final says whether the same call would be refused again.
func (r *refusal) final() bool {
	return r.status >= 400 && r.status < 500 && r.status != http.StatusRequestTimeout && r.status != http.StatusTooManyRequests &&
		!strings.Contains(r.code, "Throttling")
}

// call makes one call.
func (c *client) call(ctx context.Context, operation string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime+10*time.Second)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(*c.cfg.BaseEndpoint, "/")+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", target+operation)
	who, err := c.cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	if err := c.signer.SignHTTP(ctx, who, req, hex.EncodeToString(sum[:]), service, c.cfg.Region, time.Now()); err != nil {
		return err
	}
	res, err := c.cfg.HTTPClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(answer) > maxAnswer:
		return fmt.Errorf("the answer to %s has more than %d bytes", operation, maxAnswer)
	case res.StatusCode != http.StatusOK:
		var text struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		_ = json.Unmarshal(answer, &text) // an answer of somebody between is no JSON
		return &refusal{res.StatusCode, text.Type, clip(text.Message)}
	case len(answer) == 0:
		return nil
	}
	return json.Unmarshal(answer, out)
}

// again makes a call until it succeeds, is refused for good, or enough says that it is enough.
func (a *agent) again(operation string, in, out any, enough func(failures int) bool) error {
	for failures := 1; ; failures++ {
		err := a.client.call(context.WithoutCancel(a.stopping), operation, in, out)
		var r *refusal
		if err == nil || errors.As(err, &r) && r.final() || enough(failures) {
			return err
		}
		pause := backoff(failures, rand.Float64())
		a.cfg.Log.Warn("a call failed", "operation", operation, "error", err, "again in", pause.Round(time.Millisecond))
		wait(a.stopping, pause)
	}
}

// envelope carries text in the protocol.
type envelope struct{ Format, Payload string }

// command is a command of a deployment to this host.
type command struct {
	HostCommandIdentifier, HostIdentifier, DeploymentExecutionId, CommandName string
}

// next asks for a command; nil is none.
func (a *agent) next() (*command, error) {
	var out struct{ HostCommand *command }
	if err := a.client.call(a.stopping, "PollHostCommand", map[string]string{"HostIdentifier": a.cfg.Host}, &out); err != nil || out.HostCommand == nil {
		return nil, err
	}
	switch c := out.HostCommand; {
	case !strings.Contains(a.cfg.Host, c.HostIdentifier):
		return nil, sentence("Host Identifier mismatch: %s != %s", a.cfg.Host, clip(c.HostIdentifier))
	case c.CommandName == "":
		return nil, sentence("Command Name missing")
	case c.HostCommandIdentifier == "":
		return nil, sentence("Host Command Identifier missing")
	}
	return out.HostCommand, nil
}

// specification asks what the command's deployment is.
func (a *agent) specification(c command) (*deployment, error) {
	var out struct {
		DeploymentSystem        string
		DeploymentSpecification *struct{ GenericEnvelope *envelope }
	}
	in := map[string]string{"DeploymentExecutionId": c.DeploymentExecutionId, "HostIdentifier": a.cfg.Host}
	if err := a.again("GetDeploymentSpecification", in, &out, func(failures int) bool { return failures >= tries }); err != nil {
		return nil, err
	}
	switch {
	case out.DeploymentSystem != "CodeDeploy":
		return nil, sentence("Deployment System mismatch: CodeDeploy != %s", clip(out.DeploymentSystem))
	case out.DeploymentSpecification == nil || out.DeploymentSpecification.GenericEnvelope == nil:
		return nil, sentence("Deployment Specification missing")
	}
	return openEnvelope(*out.DeploymentSpecification.GenericEnvelope)
}

// acknowledge says that the command is here, and gives its status on the server.
func (a *agent) acknowledge(c command, noop bool) (status string, err error) {
	payload, err := json.Marshal(map[string]bool{"IsCommandNoop": noop})
	if err != nil {
		return "", err
	}
	in := struct {
		HostCommandIdentifier string
		Diagnostics           envelope
	}{c.HostCommandIdentifier, envelope{"JSON", string(payload)}}
	var out struct{ CommandStatus string }
	err = a.again("PutHostCommandAcknowledgement", in, &out, func(failures int) bool { return failures >= tries })
	return out.CommandStatus, err
}

// complete reports the end of a command. It goes on for long while the server is away, and
// gives up soon when the agent is to stop: the next one reports it.
func (a *agent) complete(r report) error {
	in := struct {
		HostCommandIdentifier, CommandStatus string
		Diagnostics                          envelope
	}{r.HostCommandIdentifier, r.CommandStatus, envelope{"JSON", r.Payload}}
	began := time.Now()
	return a.again("PutHostCommandComplete", in, &struct{}{}, func(failures int) bool {
		return a.stopping.Err() != nil || time.Since(began) > keepTrying
	})
}

// clip keeps a piece of somebody's text short.
func clip(s string) string {
	if len(s) > 300 {
		return strings.ToValidUTF8(s[:300], "") + "…"
	}
	return s
}
