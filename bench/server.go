package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"penstock/internal/app"
)

const (
	// bucket holds the artifacts of all measured pipelines.
	bucket = "bench-artifacts"
	// trust lets the services that run pipelines and builds assume a role.
	trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["codepipeline.amazonaws.com","codebuild.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	all   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

// server is a running penstock.
type server struct {
	process *exec.Cmd
	// ready is how long it took from its start until it said that it answers.
	ready time.Duration
	app   *app.App
	cfg   aws.Config
}

// serve starts a server on a data folder below dir, and on a database if one is named.
func (b *bench) serve(name string, database ...string) (*server, error) {
	data := filepath.Join(b.dir, name)
	s := &server{}
	if b.inProcess {
		cfg := app.Default()
		cfg.Database = strings.Join(database, "")
		cfg.Data, cfg.Listen, cfg.Log = data, "127.0.0.1:0", slog.New(slog.DiscardHandler)
		a, err := app.Start(b.ctx, cfg)
		if err != nil {
			return nil, err
		}
		s.app, s.cfg = a, config(a.Credentials())
		return s, nil
	}
	begun := time.Now()
	s.process = exec.CommandContext(b.ctx, b.bin, "serve", "--data", data, "--listen", "127.0.0.1:0")
	for _, url := range database {
		s.process.Args = append(s.process.Args, "--database", url)
	}
	s.process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir}
	stdout, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	s.ready = time.Since(begun)
	if err != nil || !strings.HasPrefix(line, "penstock: ready on ") {
		return nil, errors.Join(fmt.Errorf("the server said %q", line), err, s.stop())
	}
	go io.Copy(io.Discard, stdout)
	c, err := app.ReadCredentials(data)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.cfg = config(c)
	return s, nil
}

func config(c app.Credentials) aws.Config {
	return aws.Config{Region: c.Region, BaseEndpoint: aws.String(c.URL), HTTPClient: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
		Credentials: credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, "")}
}

func (s *server) stop() error {
	if s.app != nil {
		return s.app.Close()
	}
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return s.process.Wait()
}

// furnish makes the bucket and the role of the pipelines, and gives the role's ARN.
func (s *server) furnish(ctx context.Context) (role string, err error) {
	bare := s3.NewFromConfig(s.cfg, func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := bare.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return "", err
	}
	c := iam.NewFromConfig(s.cfg)
	made, err := c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("bench"), AssumeRolePolicyDocument: aws.String(trust)})
	if err != nil {
		return "", err
	}
	_, err = c.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String("bench"), PolicyName: aws.String("all"), PolicyDocument: aws.String(all)})
	return aws.ToString(made.Role.Arn), err
}
