package house

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A layer says what the packages of a folder may import.
type layer struct {
	// dir is the folder; a last element * stands for any one name.
	dir string
	// inside lists packages of this module, below internal/; a last element * stands for
	// any one name, and $ for the name that matched the * of dir. The word "everything"
	// allows all.
	inside string
	// outside lists groups of gated, and so what is allowed beside the plain standard library.
	outside string
}

// layers is the table of allowed imports of non-test files. A package is ruled by the
// first row that matches; one without a row is refused, so that a new package is a
// decision. Tests may import more.
var layers = []layer{
	// pure core
	{"internal/fault", "", ""},
	// the named points at which a test build kills itself: nothing in any other build
	{"internal/mishap", "", ""},
	// the names of resources, which whoever speaks of one makes and reads
	{"internal/arn", "", ""},
	{"internal/sigv4", "fault", ""},
	{"internal/policy", "fault", ""},
	// encryption at rest
	{"internal/seal", "", ""},
	{"internal/pipeline", "arn fault", "yaml"},
	{"internal/buildspec", "fault", "yaml"},
	// schedules of event rules and of deployment windows, which a room and a provider share
	{"internal/cron", "fault", ""},
	// event patterns and filter policies, which two rooms share
	{"internal/pattern", "fault", ""},
	// files that hold definitions: text with places, and what it means
	{"internal/template", "fault", "yaml"},
	{"internal/definition", "template pipeline fault", "yaml"},
	// files that say what goes on a host, which a room checks and an agent follows
	{"internal/appspec", "template", ""},
	{"internal/engine", "arn pipeline fault", ""},
	// chains and seals of the audit log, which a room makes and the command line checks
	{"internal/audit", "", ""},

	// memory
	{"internal/store", "engine pipeline seal fault mishap", "sql sync sys"},
	{"internal/store/storetest", "store seal fault", "sql exec sys"},
	{"internal/blob", "fault mishap", "sys"},
	{"internal/blob/blobtest", "blob fault", ""},
	{"internal/blob/*", "blob fault", "sdk sys"},
	{"internal/artifact", "blob pipeline fault", ""},

	// motion
	{"internal/conductor", "store engine pipeline fault mishap", "sync"},
	// deliveries to others, which rooms share: claims, order and retries of store's rows
	{"internal/courier", "store fault mishap", ""},
	// addresses that users give: what looks at them before they are dialled
	{"internal/egress", "", ""},
	// places that accounts share, which rooms have for what takes long
	{"internal/turn", "", ""},
	// logs of what runs, which the rooms of builds and functions share
	{"internal/logstream", "", "sdk"},
	{"internal/retention", "store fault", ""},
	{"internal/worker", "conductor engine provider store artifact pipeline fault mishap", "sync sdk"},

	// hands
	{"internal/runner", "fault", ""},
	{"internal/runner/runnertest", "runner fault", ""},
	{"internal/runner/*", "runner fault", "exec sys"},
	// what a host runs that CodeDeploy deploys to: a client of the server, on another machine
	{"internal/hostagent", "arn appspec artifact runner/script", "sdk sys"},
	{"internal/provider", "pipeline artifact fault", "sdk"},
	{"internal/provider/all", "provider provider/*", ""},
	{"internal/provider/providertest", "provider pipeline artifact fault", "sdk"},
	{"internal/provider/deploymentwindow", "provider pipeline cron fault", ""},
	{"internal/provider/*", "arn provider pipeline artifact runner buildspec fault", "sdk"},

	// door
	{"internal/api", "sigv4 fault", ""},
	{"internal/api/gen", "fault", ""},
	{"internal/api/*", "api sigv4 fault", ""},
	{"internal/auth", "arn sigv4 policy store fault", ""},
	{"internal/awswire", "auth api api/* fault", "sync"},

	// rooms and faces: a room never imports another room
	{"internal/svc/codecommit/git", "fault", "exec sys"},
	{"internal/svc/codecommit", "arn svc/codecommit/git api api/$ courier conductor store pipeline artifact blob runner buildspec provider auth fault mishap", "sdk exec sys"},
	{"internal/svc/codeconnections/fetch", "egress turn fault", "exec"},
	{"internal/svc/codeconnections", "arn svc/codeconnections/fetch api api/$ conductor store pipeline provider turn auth fault", "sdk"},
	{"internal/svc/codedeploy", "arn api api/$ api/codedeploycommands store auth fault", ""},
	{"internal/svc/codepipeline", "api api/$ conductor engine store pipeline turn auth fault", "sdk"},
	{"internal/svc/codebuild", "arn api api/$ store pipeline artifact runner buildspec provider logstream auth fault mishap", "sdk"},
	{"internal/svc/lambda", "arn api api/$ courier policy store artifact blob runner logstream auth fault", "sdk"},
	{"internal/svc/cloudtrail", "api api/$ audit store auth fault", ""},
	{"internal/svc/cloudwatch", "arn api api/$ courier store auth fault", "sdk"},
	{"internal/svc/events", "arn api api/$ courier cron egress pattern store auth fault", "sdk"},
	{"internal/svc/notifications", "arn api api/codestarnotifications courier store pipeline auth fault", "sdk"},
	{"internal/svc/tagging", "arn api api/resourcegroupstaggingapi store auth fault", ""},
	{"internal/svc/sns", "arn api api/$ courier egress pattern policy store auth fault", "sdk"},
	{"internal/svc/*", "arn api api/$ conductor store pipeline artifact blob runner buildspec provider auth fault mishap", "sdk"},
	{"internal/app", "everything", "sdk yaml sync sys"},
	{"internal/watch", "fault", "sdk sync term"},
	{"internal/demo", "app watch fault", "sdk exec"},
	{"internal/house", "", ""},
	{"cmd/penstock", "app audit definition demo hostagent watch fault", "sdk cobra term yaml exec sys"},
	{"e2e", "", ""},
	{"bench", "app conductor engine worker provider store store/storetest seal pipeline fault", "sdk exec sync"},
}

// gated names what only some packages may import: modules of others, and the parts of the
// standard library that reach further than they look. What a path begins with counts.
var gated = map[string][]string{
	"sql":   {"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx/v5"},
	"exec":  {"os/exec"},
	"sdk":   {"github.com/aws/aws-sdk-go-v2", "github.com/aws/smithy-go"},
	"yaml":  {"go.yaml.in/yaml/v4"},
	"cobra": {"github.com/spf13/cobra", "github.com/spf13/pflag"},
	"term":  {"golang.org/x/term"},
	"sys":   {"golang.org/x/sys"},
	"sync":  {"golang.org/x/sync"},
}

// forbidden imports, for everybody, with the reason.
var forbidden = map[string]string{
	"text/template":  "its use of reflection makes the linker keep every method of every type, ten megabytes of them; write the text by hand",
	"html/template":  "its use of reflection makes the linker keep every method of every type, ten megabytes of them; write the page by hand",
	"expvar":         "it adds itself to the default mux; metrics are written where they are served",
	"net/http/pprof": "it adds itself to the default mux; a profile is taken by a test or a benchmark",
	"plugin":         "a provider is a folder and a line in provider/all",
	"C":              "the binary is static and built without a C compiler",
}

// imports walks the import graph of the non-test files against layers.
func imports(tr *tree) []problem {
	var ps []problem
	unknown := map[string]bool{}
	for _, s := range tr.gos {
		if s.test {
			continue
		}
		l, star, ok := layerOf(s.dir)
		if !ok {
			if !unknown[s.dir] {
				unknown[s.dir] = true
				ps = append(ps, problem{s.path, 1, "package " + s.dir + " is not in the table of allowed imports",
					"add a row for it to internal/house/layers_test.go, as narrow as it can be"})
			}
			continue
		}
		for _, spec := range s.syntax.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			if mend := refused(l, star, imp); mend != "" {
				ps = append(ps, problem{s.path, tr.line(spec), fmt.Sprintf("%s may not import %q", s.dir, imp), mend})
			}
		}
		ps = append(ps, steps(tr, s)...)
	}
	return ps
}

// steps finds calls of engine.Step outside the conductor: others may import the engine for
// its nouns and events, and one place decides, saves and delivers. The benchmark lives
// histories nobody waits for and saves them in bulk.
func steps(tr *tree, s source) []problem {
	var ps []problem
	if s.gen || s.dir == "internal/conductor" || s.dir == "bench" {
		return nil
	}
	ast.Inspect(s.syntax, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Step" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "engine" {
				ps = append(ps, problem{s.path, tr.line(n), s.dir + " uses engine.Step", "apply the event through the conductor"})
			}
		}
		return true
	})
	return ps
}

// layerOf gives the row that rules a folder and the name its * stands for.
func layerOf(dir string) (layer, string, bool) {
	for _, l := range layers {
		if l.dir == dir {
			return l, "", true
		}
	}
	for _, l := range layers {
		if head, ok := strings.CutSuffix(l.dir, "/*"); ok && head == path.Dir(dir) {
			return l, path.Base(dir), true
		}
	}
	return layer{}, "", false
}

// refused says what to do instead where a package ruled by l may not import imp, and ""
// where it may.
func refused(l layer, star, imp string) string {
	if star == "" {
		star = path.Base(l.dir)
	}
	if reason, ok := forbidden[imp]; ok && l.dir != "internal/api/gen" {
		return reason
	}
	if in, ok := strings.CutPrefix(imp, module+"/"); ok {
		in = strings.TrimPrefix(in, "internal/")
		if l.inside == "everything" || slices.ContainsFunc(strings.Fields(l.inside), func(a string) bool {
			a = strings.ReplaceAll(a, "$", star)
			head, any := strings.CutSuffix(a, "/*")
			return a == in || any && head == path.Dir(in)
		}) {
			return ""
		}
		return "it may import " + orNothing(l.inside) + "; hand the thing in from above, or move it to the layer it belongs to"
	}
	std := !strings.Contains(strings.SplitN(imp, "/", 2)[0], ".")
	for group, prefixes := range gated {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return imp == p || strings.HasPrefix(imp, p+"/") }) {
			continue
		}
		if slices.Contains(strings.Fields(l.outside), group) {
			return ""
		}
		return "beside the standard library it may use " + orNothing(l.outside)
	}
	if !std {
		return "no package outside its tests uses this module yet; prefer the standard library, or add it to gated in internal/house/layers_test.go and tell why in docs/adr"
	}
	return ""
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
