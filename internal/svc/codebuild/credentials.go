package codebuild

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// credentialServer hands builds the credentials of their role, as the container credential
// endpoint of AWS does: on loopback, to those who know the build's token. (B)
type credentialServer struct {
	listener net.Listener
	server   *http.Server

	mu     sync.Mutex
	builds map[string]guest // by token
}

// guest is a build that may ask.
type guest struct {
	provider aws.CredentialsProvider
	role     string
	conceal  func(...string)
}

func newCredentialServer() *credentialServer {
	return &credentialServer{builds: map[string]guest{}}
}

// start listens when the first build needs it; the caller holds mu.
func (s *credentialServer) start() error {
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listener = l
	s.server = &http.Server{
		Handler: http.HandlerFunc(s.serve), ReadTimeout: 10 * time.Second, WriteTimeout: 40 * time.Second,
		IdleTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10,
	}
	go s.server.Serve(l)
	return nil
}

func (s *credentialServer) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server != nil {
		s.server.Close()
	}
}

// admit gives a build the address and the token of its credentials until release. conceal is
// told the token and every secret before the build has it.
func (s *credentialServer) admit(p aws.CredentialsProvider, role string, conceal func(...string)) (uri, token string, release func(), err error) {
	token = rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return "", "", nil, err
	}
	conceal(token)
	s.builds[token] = guest{p, role, conceal}
	return "http://" + s.listener.Addr().String() + "/v2/credentials", token, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.builds, token)
	}, nil
}

func (s *credentialServer) serve(w http.ResponseWriter, req *http.Request) {
	given := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	var g guest
	s.mu.Lock()
	for token, build := range s.builds {
		if subtle.ConstantTimeCompare([]byte(token), []byte(given)) == 1 {
			g = build
		}
	}
	s.mu.Unlock()
	if g.provider == nil || req.Method != http.MethodGet {
		http.Error(w, `{"code":"AccessDenied","message":"not a build of this server"}`, http.StatusForbidden)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), 30*time.Second)
	defer cancel()
	c, err := g.provider.Retrieve(ctx)
	if err != nil {
		http.Error(w, `{"code":"InternalError","message":"no credentials for the role of the build"}`, http.StatusInternalServerError)
		return
	}
	g.conceal(c.SecretAccessKey, c.SessionToken)
	expires := c.Expires
	if !c.CanExpire {
		expires = time.Now().Add(time.Hour)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{
		"AccessKeyId": c.AccessKeyID, "SecretAccessKey": c.SecretAccessKey, "Token": c.SessionToken,
		"Expiration": expires.UTC().Format(time.RFC3339), "RoleArn": g.role,
	})
}
