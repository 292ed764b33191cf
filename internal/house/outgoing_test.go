package house

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// outgoing are the files that connect to somewhere, with who says where to. An address that a
// user gives is called by egress.Client, or judged by egress.Public.
var outgoing = map[string]string{
	"internal/egress/egress.go":                   "is the guard",
	"internal/svc/codeconnections/fetch/guard.go": "looks names up, for the guard, and has git connect to what it judged",
	"internal/app/app.go":                         "calls the server's own rooms, in process",
	"internal/app/call.go":                        "calls the server whose client it is",
	"internal/app/endpoint.go":                    "calls the operator's endpoints (--endpoint)",
	"internal/svc/codepipeline/githooks.go":       "calls the operator's GitHub (--github-url)",
	"internal/svc/sns/smtp.go":                    "calls the operator's mail server (--smtp)",
	"cmd/penstock/client.go":                      "calls the server whose client it is",
	"internal/hostagent/agent.go":                 "calls the server whose agent it is",
	"internal/store/postgres.go":                  "calls the operator's database",
}

// dialling names what connects, or looks up where to: per import path.
var dialling = map[string][]string{
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer", "Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr", "LookupCNAME",
		"LookupMX", "LookupNS", "LookupSRV", "LookupTXT", "ResolveIPAddr", "ResolveTCPAddr", "ResolveUDPAddr"},
	"net/http":          {"Get", "Head", "Post", "PostForm", "Client", "DefaultClient", "Transport", "DefaultTransport", "ProxyFromEnvironment", "ProxyURL"},
	"net/http/httputil": {"ReverseProxy", "NewSingleHostReverseProxy"},
	"net/rpc":           {"Dial", "DialHTTP"},
	"net/smtp":          {"Dial", "SendMail", "NewClient"},
	"crypto/tls":        {"Dial", "DialWithDialer", "Dialer", "Client"},
	"syscall":           {"Connect", "Socket"},
}

// guarded finds connections that are made past the guard of package egress.
func guarded(tr *tree) []problem {
	var ps []problem
	for _, s := range tr.gos {
		if s.test || s.gen || outgoing[s.path] != "" || !strings.HasPrefix(s.dir, "internal/") && !strings.HasPrefix(s.dir, "cmd/") {
			continue
		}
		// A pointer to a client, in a signature or a field, connects nowhere; what makes one does.
		pointed := map[ast.Node]bool{}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			if star, ok := n.(*ast.StarExpr); ok {
				pointed[star.X] = true
			}
			return true
		})
		alias := map[string]string{}
		for _, spec := range s.syntax.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			name := path.Base(imp)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			alias[name] = imp
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || pointed[n] {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && slices.Contains(dialling[alias[x.Name]], sel.Sel.Name) {
				ps = append(ps, problem{s.path, tr.line(n), fmt.Sprintf("%s.%s connects past the guard", x.Name, sel.Sel.Name),
					"take egress.Client for an address that a user gives; say in outgoing of internal/house/outgoing_test.go who else gives it"})
			}
			return true
		})
	}
	return ps
}
