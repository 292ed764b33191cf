package app

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Setting is one choice of a Config under its name: --name, PENSTOCK_NAME, and the key in
// the configuration file.
type Setting struct {
	Name, Usage, Default string
	// List says that there may be several, which are separated by spaces: the flag is given
	// several times, and in the file they are a list or one text.
	List bool
}

// Env is the name of the environment variable.
func (s Setting) Env() string {
	return "PENSTOCK_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// Settings are all there are, in the order of help.
func Settings() []Setting {
	var list []Setting
	d := Default()
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if name := f.Tag.Get("setting"); name != "" {
			list = append(list, Setting{Name: name, Usage: f.Tag.Get("usage"), Default: v.Field(i).String(), List: f.Tag.Get("list") == "true"})
		}
	}
	return list
}

// set changes the setting of a name.
func (c *Config) set(name, value string) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if v.Type().Field(i).Tag.Get("setting") == name {
			v.Field(i).SetString(value)
		}
	}
}

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Load makes a Config: what flags says goes before the environment, that before the file,
// and that before the defaults. flags has only the settings that were given. An empty file
// name is no file. Unknown keys in the file are refused, an empty variable is none.
func Load(flags map[string]string, getenv func(string) string, file string) (Config, error) {
	c := Default()
	inFile := map[string]string{}
	if file != "" {
		var err error
		if inFile, err = readSettings(file); err != nil {
			return c, err
		}
	}
	for _, s := range Settings() {
		if v, ok := inFile[s.Name]; ok {
			c.set(s.Name, v)
		}
		if v := getenv(s.Env()); v != "" {
			c.set(s.Name, v)
		}
		if v, ok := flags[s.Name]; ok {
			c.set(s.Name, v)
		}
	}
	return c, c.check()
}

// readSettings reads a configuration file: a YAML map of setting names to scalars.
func readSettings(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s: a configuration file has at most %d bytes", file, maxFile)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	found := map[string]string{}
	if len(doc.Content) == 0 {
		return found, nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New(file + ": it is a map of settings, such as \"listen: 127.0.0.1:7788\"")
	}
	names, lists := []string{}, map[string]bool{}
	for _, s := range Settings() {
		names = append(names, s.Name)
		lists[s.Name] = s.List
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch _, twice := found[key.Value]; {
		case !slices.Contains(names, key.Value):
			return nil, fmt.Errorf("%s:%d: there is no setting %q; there are %s", file, key.Line, key.Value, strings.Join(names, ", "))
		case twice:
			return nil, fmt.Errorf("%s:%d: the setting %q is there twice", file, key.Line, key.Value)
		case lists[key.Value] && value.Kind == yaml.SequenceNode:
			for _, item := range value.Content {
				if item.Kind != yaml.ScalarNode {
					return nil, fmt.Errorf("%s:%d: the setting %q is a list of texts", file, item.Line, key.Value)
				}
				found[key.Value] += item.Value + " "
			}
			continue
		case value.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("%s:%d: the setting %q is a text", file, value.Line, key.Value)
		}
		found[key.Value] = value.Value
		if value.Tag == "!!null" {
			found[key.Value] = ""
		}
	}
	return found, nil
}
