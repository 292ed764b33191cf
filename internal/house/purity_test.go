package house

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
)

// pure lists the packages that decide and never do: the same arguments give the same
// answer, on every machine, at every time.
var pure = []string{
	"internal/fault", "internal/arn", "internal/engine", "internal/pipeline", "internal/policy", "internal/sigv4", "internal/buildspec", "internal/cron", "internal/pattern",
	"internal/template", "internal/definition", "internal/appspec",
}

// single lists those among them that start no goroutine either.
var single = []string{"internal/engine", "internal/pipeline"}

// impure names what reads the world: per import path the identifiers, or none for all of them.
var impure = map[string][]string{
	"time": {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker", "Local", "LoadLocation"},
	"net": {"Dial", "DialTimeout", "DialTCP", "DialUDP", "DialUnix", "DialIP", "Dialer", "Listen", "ListenTCP", "ListenUDP",
		"ListenUnix", "ListenPacket", "ListenConfig", "Resolver", "DefaultResolver", "LookupHost", "LookupIP", "LookupAddr",
		"LookupCNAME", "LookupMX", "LookupNS", "LookupPort", "LookupSRV", "LookupTXT", "ResolveIPAddr", "ResolveTCPAddr",
		"ResolveUDPAddr", "ResolveUnixAddr", "Interfaces", "InterfaceAddrs", "InterfaceByName", "Pipe"},
	"net/http": {"Get", "Head", "Post", "PostForm", "Client", "DefaultClient", "Transport", "DefaultTransport", "Server",
		"Serve", "ServeTLS", "ListenAndServe", "ListenAndServeTLS", "Handle", "HandleFunc", "DefaultServeMux"},
	"os": nil, "os/exec": nil, "os/signal": nil, "os/user": nil, "syscall": nil, "unsafe": nil,
	"io/ioutil": nil, "log": nil, "log/slog": nil, "log/syslog": nil,
	"math/rand": nil, "math/rand/v2": nil, "crypto/rand": nil, "hash/maphash": nil,
	"runtime": nil, "runtime/debug": nil,
}

// purity finds what a pure package takes from the world instead of from its caller.
func purity(tr *tree) []problem {
	var ps []problem
	for _, s := range tr.gos {
		if s.test || s.gen || !slices.Contains(pure, s.dir) {
			continue
		}
		alias := map[string]string{} // name in the file → import path
		for _, spec := range s.syntax.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			names, listed := impure[imp]
			if !listed {
				continue
			}
			name := path.Base(imp)
			if spec.Name != nil {
				name = spec.Name.Name
			}
			if names == nil || name == "." || name == "_" {
				ps = append(ps, problem{s.path, tr.line(spec), fmt.Sprintf("pure package %s imports %q", s.dir, imp), mendPurity})
				continue
			}
			alias[name] = imp
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				if slices.Contains(single, s.dir) {
					ps = append(ps, problem{s.path, tr.line(n), "pure package " + s.dir + " starts a goroutine",
						"decide in the calling goroutine; the callers own concurrency"})
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impure[alias[x.Name]], n.Sel.Name) {
					ps = append(ps, problem{s.path, tr.line(n), fmt.Sprintf("pure package %s uses %s.%s", s.dir, x.Name, n.Sel.Name), mendPurity})
				}
			}
			return true
		})
	}
	return ps
}

const mendPurity = "take the time, the chance or the bytes as an argument, and give effects back as data"
