package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The committed packages are what the generator makes of the committed models, and a
// second run changes nothing.
func TestGeneratedIsCurrent(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	for range 2 {
		if err := generate("../models", out); err != nil {
			t.Fatal(err)
		}
	}
	made, err := filepath.Glob(filepath.Join(out, "*", "*_gen.go"))
	if err != nil || len(made) != 18 {
		t.Fatalf("made %v, %v", made, err)
	}
	for _, path := range made {
		rel, err := filepath.Rel(out, path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join("..", rel)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the generator makes: run go generate ./internal/api (%v)", rel, err)
		}
	}
}

// The models hold facts only, and write themselves again as they are.
func TestModelsAreCanonical(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("../models/*.json")
	for _, path := range files {
		if filepath.Base(path) == overridesFile {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := readModel(path)
		if err != nil {
			t.Fatal(err)
		}
		again, err := m.write()
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s does not write itself again (%v)", path, err)
		}
		if m.Origin == "" || bytes.Contains(data, []byte("documentation")) || bytes.Contains(data, []byte("<p>")) {
			t.Errorf("%s has no origin, or has documentation", path)
		}
	}
}

func TestExtract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from := filepath.Join(dir, "toy", "2020-01-01")
	if err := os.MkdirAll(from, 0o777); err != nil {
		t.Fatal(err)
	}
	model := func(extra string) string {
		return `{"metadata":{"apiVersion":"2020-01-01","protocol":"json","jsonVersion":"1.1","targetPrefix":"Toy","endpointPrefix":"toys","serviceId":"Toy"},
			"operations":{"Play":{"input":{"shape":"PlayRequest"},"errors":[{"shape":"Gone"}],"documentation":"<p>"}},
			"shapes":{"PlayRequest":{"type":"structure","required":["b"],"members":{"b":{"shape":"S","documentation":"x"` + extra + `},"a":{"shape":"S"}}},
			"S":{"type":"string","min":1,"pattern":"a+"},"Gone":{"type":"structure","members":{},"exception":true,"error":{"code":"X","httpStatusCode":404}}}}`
	}
	path := filepath.Join(from, "service-2.json")
	if err := os.WriteFile(path, []byte(model("")), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := extractModel(path, "here", dir); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dir, "toy.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := `{
 "origin": "here",
 "service": "toy",
 "serviceId": "Toy",
 "apiVersion": "2020-01-01",
 "protocol": "json",
 "jsonVersion": "1.1",
 "targetPrefix": "Toy",
 "signingName": "toys",
 "operations": [
  {"name":"Play","input":"PlayRequest","errors":["Gone"]}
 ],
 "shapes": {
  "Gone": {"type":"structure","exception":true,"code":"X","status":404},
  "PlayRequest": {"type":"structure","members":[{"name":"b","shape":"S"},{"name":"a","shape":"S"}],"required":["b"]},
  "S": {"type":"string","min":1,"pattern":"a+"}
 }
}
`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
	// A trait that the runtime would misread stops the extraction.
	if err := os.WriteFile(path, []byte(model(`,"locationName":"c"`)), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := extractModel(path, "here", dir); err == nil {
		t.Error("a serialisation trait was lost")
	}
}

func TestTranslate(t *testing.T) {
	t.Parallel()
	for pattern, c := range map[string]struct{ yes, no string }{
		`[\u0020-\u00FF]+`:       {"aé", "\u0100"},
		`\u002F[\u0021-\u007F]*`: {"/x", "x"},
		`[\\u]+`:                 {`\u`, "a"},
		`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`: {"a-b-c", "a--b"},
		`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`:              {"1a2", "12"},
		`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`: {"systems.x", "system.x"},
		`[0-9A-Za-z\.\-_]*(?<!\.)`:                  {"a.b", "a.b."},
	} {
		re, err := translate(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		full := regexp.MustCompile("^(?:" + re + ")$")
		if !full.MatchString(c.yes) || full.MatchString(c.no) {
			t.Errorf("%s became %s", pattern, re)
		}
	}
	for _, pattern := range []string{`(?=a)b`, `\u00`, `[`} {
		if _, err := translate(pattern); err == nil {
			t.Errorf("%s: translated though RE2 cannot express it", pattern)
		}
	}
}

func TestOverridesNeedReasons(t *testing.T) {
	t.Parallel()
	m := &model{Shapes: map[string]*shape{"S": {Type: "string"}}}
	for _, o := range []*override{
		{ValidationCode: "X"}, {MaxBody: 1}, {Shapes: map[string]shapeOverride{"S": {}}}, {Shapes: map[string]shapeOverride{"T": {Why: "x"}}},
		{Shapes: map[string]shapeOverride{"S": {Clears: []string{"a"}, Why: "x"}}},
	} {
		if m.apply(o) == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	// W-24 stands in the overrides with its reason.
	all, err := readOverrides("../models/" + overridesFile)
	if err != nil {
		t.Fatal(err)
	}
	if o := all["codepipeline"].Shapes["ActionConfigurationValue"]; *o.Max != 50000 || !strings.Contains(o.Why, "W-24") {
		t.Errorf("%+v", o)
	}
}
