package app

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Every field of Config is a setting, or is on the list of those that only code sets: a new
// one is a decision.
func TestSettingsAreComplete(t *testing.T) {
	t.Parallel()
	inCode := []string{"Log", "BuildPath", "ShareTemp", "EndpointCredentials"}
	v := reflect.TypeFor[Config]()
	names := map[string]bool{}
	for i := range v.NumField() {
		f := v.Field(i)
		name := f.Tag.Get("setting")
		switch {
		case name == "" && !slices.Contains(inCode, f.Name):
			t.Errorf("%s has no setting tag", f.Name)
		case name == "":
		case f.Type.Kind() != reflect.String || f.Tag.Get("usage") == "" || names[name]:
			t.Errorf("%s: a setting is a string with a usage and a name of its own", f.Name)
		}
		names[name] = true
	}
	for _, s := range Settings() {
		c := Default()
		c.set(s.Name, "something")
		if reflect.DeepEqual(c, Default()) {
			t.Errorf("--%s sets nothing", s.Name)
		}
	}
}

// A flag goes before the environment, that before the file, and that before the default, for
// each of the settings.
func TestLoad(t *testing.T) {
	t.Parallel()
	values := map[string][3]string{
		"data": {"/f", "/e", "/x"}, "listen": {"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, "region": {"eu-west-1", "eu-west-2", "eu-west-3"},
		"account": {"111111111111", "222222222222", "333333333333"}, "database": {"sqlite:/f", "sqlite:/e", "sqlite:/x"},
		"public-url": {"https://f.example", "https://e.example", "https://x.example"}, "tls-cert": {"f", "e", "x"}, "tls-key": {"f", "e", "x"},
		"allow-private-targets": {"true", "false", "true"}, "log-format": {"json", "text", "json"}, "log-level": {"debug", "warn", "error"}, "webhook-secrets": {"echo", "mask", "echo"},
		"poll-interval": {"2s", "1m", "1h"}, "connection-hosts": {"10.0.0.0/8", "h", "h,i"}, "connection-files": {"/f", "/e", "/x"},
		"endpoint": {"s3=http://f", "s3=http://e", "s3=http://x"}, "artifact-retention": {"forever", "history", "forever"},
		"master-key": {"/f", "/e", "/x"}, "smtp": {"smtp://f", "smtp://e", "smtp://x"}, "smtp-from": {"a@f.org", "a@e.org", "a@x.org"},
		"github-url": {"https://f.example", "https://e.example", "https://x.example"},
	}
	file := filepath.Join(t.TempDir(), "penstock.yaml")
	var text strings.Builder
	flags, env := map[string]string{}, map[string]string{}
	for _, s := range Settings() {
		v, ok := values[s.Name]
		if !ok {
			t.Fatalf("the test has no values for --%s", s.Name)
		}
		text.WriteString(s.Name + ": \"" + v[0] + "\"\n")
		env[s.Env()], flags[s.Name] = v[1], v[2]
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	none := map[string]string{}
	for i, in := range []struct {
		flags, env map[string]string
	}{{none, none}, {none, env}, {flags, env}} {
		c, err := Load(in.flags, func(name string) string { return in.env[name] }, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range Settings() {
			want := Default()
			want.set(s.Name, values[s.Name][i])
			field := fieldOf(s.Name)
			if got, want := reflect.ValueOf(c).FieldByName(field).String(), reflect.ValueOf(want).FieldByName(field).String(); got != want {
				t.Errorf("step %d: --%s is %q, want %q", i, s.Name, got, want)
			}
		}
	}
}

func fieldOf(name string) string {
	v := reflect.TypeFor[Config]()
	for i := range v.NumField() {
		if v.Field(i).Tag.Get("setting") == name {
			return v.Field(i).Name
		}
	}
	return ""
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct{ text, want string }{
		"unknown key": {"listen: x\nlisen: y\n", `:2: there is no setting "lisen"`},
		"twice":       {"region: a\nregion: b\n", "region"},
		"no text":     {"region: [a]\n", `:1: the setting "region" is a text`},
		"no map":      {"- region\n", "map of settings"},
		"no yaml":     {"{", "yaml"},
		"value":       {"account: 12\n", "12 digits"},
		"one of two":  {"tls-key: k\n", "together"},
		"public URL":  {"public-url: https://x/path\n", "--public-url"},
		"listen":      {"listen: nowhere\n", "--listen"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(map[string]string{"data": dir}, func(string) string { return "" }, file)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
