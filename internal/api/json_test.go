package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"penstock/internal/api/codebuild"
	"penstock/internal/api/codepipeline"
	"penstock/internal/fault"
)

const minimal = `{"name":"p","roleArn":"arn:aws:iam::000000000000:role/r","stages":[%s]}`

func decodePipeline(text string) (*codepipeline.PipelineDeclaration, error) {
	p := new(codepipeline.PipelineDeclaration)
	return p, codepipeline.Shapes.Unmarshal([]byte(text), p)
}

func TestDecodeForms(t *testing.T) {
	t.Parallel()
	want := &codepipeline.PipelineDeclaration{
		Name: "p", RoleArn: "arn:aws:iam::000000000000:role/r",
		Stages: []codepipeline.StageDeclaration{{Name: "S", Actions: []codepipeline.ActionDeclaration{{
			Name: "A", RunOrder: new(int32(1)), Configuration: map[string]string{"k": "v <&> é\n😀"},
			ActionTypeId:   &codepipeline.ActionTypeId{Category: "Build", Owner: "AWS", Provider: "CodeBuild", Version: "1"},
			InputArtifacts: []codepipeline.InputArtifact{},
		}}}},
	}
	action := `{"name":"A","actionTypeId":{"category":"Build","owner":"AWS","provider":"CodeBuild","version":"1"},` +
		`"inputArtifacts":[],"runOrder":%s,"configuration":{"k":"v <&> \u00e9\n\ud83d\ude00"}%s}`
	for name, text := range map[string]string{
		"plain":                             f(action, "1", ""),
		"W-7 integer as 1.0":                f(action, "1.0", ""),
		"W-7 integer as 10e-1":              f(action, "10e-1", ""),
		"W-5 unknown members":               f(action, "1", `,"__type":"x","Namespace":[{"a":[1,null,true]}]`),
		"W-5 names are case-sensitive":      f(action, "1", `,"NAME":"B","RunOrder":"x"`),
		"W-6 null is absent":                f(action, "1", `,"region":null,"commands":null`),
		"W-6 null in a map is dropped":      strings.Replace(f(action, "1", ""), `{"k":`, `{"gone":null,"k":`, 1),
		"the last of repeated members":      f(action, "-5", `,"runOrder":1`),
		"white space":                       strings.ReplaceAll(f(action, "1", ""), ":", "\t:\r\n "),
		"a repeated list starts over again": f(action, "1", `,"inputArtifacts":[{"name":"x"}],"inputArtifacts":[]`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := f(minimal, `{"name":"S","actions":[`+text+`]}`)
			got, err := decodePipeline(text)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// W-4, W-6, W-7: wrong forms are a SerializationException, never a ValidationException.
func TestDecodeRefusals(t *testing.T) {
	t.Parallel()
	for text, message := range map[string]string{
		``:                                 "unexpected end",
		`[]`:                               "Start of list found where not expected",
		`"x"`:                              "Unexpected field type",
		`{"name":{}}`:                      "Start of structure or map found where not expected.",
		`{"name":[]}`:                      "Start of list found where not expected",
		`{"name":1}`:                       "NUMBER_VALUE can not be converted to a String",
		`{"name":true}`:                    "TRUE_VALUE can not be converted to a String",
		`{"version":"1"}`:                  "STRING_VALUE can not be converted to an Integer",
		`{"version":1.5}`:                  "NUMBER_VALUE can not be converted to an Integer",
		`{"version":2147483648}`:           "NUMBER_VALUE can not be converted to an Integer",
		`{"version":1e400}`:                "NUMBER_VALUE can not be converted to an Integer",
		`{"stages":[null]}`:                "null is not a value of a list",
		`{"stages":{}}`:                    "Start of structure or map found where not expected.",
		`{"artifactStores":[]}`:            "Start of list found where not expected",
		`{"name":"a\u0000"}`:               "U+0000",
		"{\"name\":\"\xff\"}":              "UTF-8",
		"{\"name\":\"a\\n\xff\"}":          "UTF-8",
		"{\"name\":\"a\nb\"}":              "not valid JSON",
		`{"name":"a"`:                      "unexpected end",
		`{"name":"a"} x`:                   `unexpected 'x' at offset 13`,
		`{"name":"a",}`:                    "not valid JSON",
		`{"name":01}`:                      "can not be converted",
		`{"x":01}`:                         "not valid JSON",
		`{"x":1.}`:                         "not valid JSON",
		`{"x":nul}`:                        "not valid JSON",
		`{'x':1}`:                          "not valid JSON",
		`{"name":"\ud83"}`:                 "not valid JSON",
		`{"name":"\x"}`:                    "not valid JSON",
		strings.Repeat(`{"x":`, 100):       "nests deeper than 64",
		`{"x":` + strings.Repeat(`[`, 1e6): "nests deeper than 64",
		`{"stages":[` + strings.Repeat(`{},`, 200_000) + `{}]}`: "list elements",
	} {
		_, err := decodePipeline(text)
		if fault.Code(err) != "SerializationException" || !strings.Contains(err.Error(), message) {
			t.Errorf("%.60s: got %v, want SerializationException with %q", text, err, message)
		}
	}
}

func TestTimestamps(t *testing.T) {
	t.Parallel()
	at := time.Date(2017, 6, 2, 4, 39, 38, 648_000_000, time.UTC)
	// W-7: numbers with a fraction and ISO 8601 texts are read.
	for _, text := range []string{`1496378378.648`, `"2017-06-02T04:39:38.648Z"`, `1.496378378648e9`, `"2017-06-02T06:39:38.648+02:00"`} {
		var r codepipeline.ActionRevision
		if err := codepipeline.Shapes.Unmarshal([]byte(`{"revisionId":"r","revisionChangeId":"c","created":`+text+`}`), &r); err != nil || !r.Created.Equal(at) {
			t.Errorf("%s: %v %v", text, r.Created, err)
		}
	}
	// Years 0 to 9999 in UTC: others cannot be written as ISO 8601, nor stored.
	for _, text := range []string{`"yesterday"`, `1e300`, `-1e300`, `true`, `[]`, `253402300800`, `-62167219201`, `253402300799.9999999`,
		`"9999-12-31T23:59:59-01:00"`, `"0000-01-01T00:00:00+01:00"`} {
		var r codepipeline.ActionRevision
		err := codepipeline.Shapes.Unmarshal([]byte(`{"created":`+text+`}`), &r)
		if fault.Code(err) != "SerializationException" {
			t.Errorf("%s: %v", text, err)
		}
	}
	// W-13: numbers with at most three decimals are written.
	for want, at := range map[string]time.Time{
		"1496378378.648": at, "1496378378.6": at.Add(-48 * time.Millisecond), "1496378378": at.Truncate(time.Second),
		"1496378378.001": at.Truncate(time.Second).Add(time.Millisecond + 999*time.Microsecond), "0": time.Unix(0, 0), "-1.5": time.Unix(-2, 5e8),
	} {
		got := string(codepipeline.Shapes.Marshal(nil, &codepipeline.PutApprovalResultOutput{ApprovedAt: &at}))
		if got != `{"approvedAt":`+want+`}` {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// W-14: no null, no absent member, empty lists and maps that are not nil; no HTML escapes.
func TestEncode(t *testing.T) {
	t.Parallel()
	got := string(codepipeline.Shapes.Marshal(nil, &codepipeline.GetPipelineOutput{Pipeline: &codepipeline.PipelineDeclaration{
		Name: "a<b>&\u2028\"\\\x01\xff", Version: new(int32(0)),
		Stages: []codepipeline.StageDeclaration{{Name: "S", Actions: []codepipeline.ActionDeclaration{{
			Name: "A", InputArtifacts: []codepipeline.InputArtifact{}, Configuration: map[string]string{},
		}, {Name: "B", Configuration: map[string]string{"z": "", "a": "1"}}}}},
	}}))
	want := `{"pipeline":{"name":"a<b>&` + "\u2028" + `\"\\\u0001` + "\uFFFD" + `","stages":[{"name":"S","actions":[` +
		`{"name":"A","configuration":{},"inputArtifacts":[]},{"name":"B","configuration":{"a":"1","z":""}}]}],"version":0}}`
	// roleArn is required, and "" is a value its length allows.
	want = strings.Replace(want, `","stages"`, `","roleArn":"","stages"`, 1)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if f := string(codepipeline.Shapes.Marshal(nil, &codepipeline.ListPipelinesOutput{Pipelines: []codepipeline.PipelineSummary{}})); f != `{"pipelines":[]}` {
		t.Error(f)
	}
}

// carried says what an output lost or invented of an input, as encoding/json reads both: all that
// the type knows is there, nothing else is, and each is what it was.
func carried(typ reflect.Type, in, out any) string {
	if in == nil && out == nil {
		return ""
	}
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch typ.Kind() {
	case reflect.Struct:
		from, ok1 := in.(map[string]any)
		to, ok2 := out.(map[string]any)
		if !ok1 || !ok2 {
			return fmt.Sprintf("%v as an object is %v", in, out)
		}
		known := 0
		for i := range typ.NumField() {
			name := []rune(typ.Field(i).Name)
			name[0] = unicode.ToLower(name[0])
			v, present := to[string(name)]
			if present {
				known++
			}
			if problem := carried(typ.Field(i).Type, from[string(name)], v); problem != "" {
				return string(name) + ": " + problem
			}
		}
		if known != len(to) {
			return fmt.Sprintf("%v has something new in %v", to, in)
		}
		return ""
	case reflect.Slice:
		from, ok1 := in.([]any)
		to, ok2 := out.([]any)
		if !ok1 || !ok2 || len(from) != len(to) {
			return fmt.Sprintf("%v as a list is %v", in, out)
		}
		for i := range from {
			if problem := carried(typ.Elem(), from[i], to[i]); problem != "" {
				return problem
			}
		}
		return ""
	case reflect.Map:
		from, ok1 := in.(map[string]any)
		to, ok2 := out.(map[string]any)
		if !ok1 || !ok2 {
			return fmt.Sprintf("%v as a map is %v", in, out)
		}
		maps.DeleteFunc(from, func(_ string, v any) bool { return v == nil }) // W-6
		for key, v := range from {
			if problem := carried(typ.Elem(), v, to[key]); problem != "" {
				return problem
			}
		}
		if len(from) != len(to) {
			return fmt.Sprintf("%v as a map is %v", in, out)
		}
		return ""
	case reflect.String:
		if in == nil && out == "" || in == "" && out == nil {
			return "" // an empty text is none
		}
	}
	if a, ok := in.(json.Number); ok {
		b, _ := out.(json.Number)
		from, err1 := a.Float64()
		to, err2 := b.Float64()
		if err1 != nil || err2 != nil || from != to {
			return fmt.Sprintf("%v as a %s is %v", in, typ, out)
		}
		return ""
	}
	if in != out {
		return fmt.Sprintf("%v as a %s is %v", in, typ, out)
	}
	return ""
}

// anyOf reads JSON as encoding/json does, numbers as they are written: they may be beyond any float.
func anyOf(t *testing.T, text []byte) (v any) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// FuzzDecode holds the decoder to encoding/json's idea of what is JSON, and to its own
// encoder: what was read and written reads the same again.
func FuzzDecode(z *testing.F) {
	for _, s := range []string{
		`{}`, `{"name":"p","stages":[{"name":"s","actions":[{"runOrder":1.0,"configuration":{"a":"b"}}]}]}`, `{"name":null}`,
		`{"version":1e2,"artifactStores":{"us-east-1":{"type":"S3","location":"b"}}}`, `{"x":[{"y":"\ud83d\ude00\ud83d"}]}`,
		`{"name":"a","name":"b"}`, ` { } `, `{"variables":[{"name":"v","defaultValue":"\u003c"}]}`, `[1,2`, `{"a":-0.1e+2}`, "\ufeff{}",
		`{"version":1e-400,"unknown":[1e1000,-0,{"a":1e999}]}`, `{"stages":[{"name":"s","actions":[{"configuration":{"a":"b","a":null,"\ud800":"1","\udc00":"2"}}]}]}`,
	} {
		z.Add([]byte(s))
	}
	z.Fuzz(func(t *testing.T, data []byte) {
		var p codepipeline.PipelineDeclaration
		err := codepipeline.Shapes.Unmarshal(data, &p)
		code := fault.Code(err)
		if err != nil && code != "SerializationException" && code != "ValidationException" {
			t.Fatalf("unexpected error %v", err)
		}
		if code == "SerializationException" {
			return
		}
		if !json.Valid(data) {
			t.Fatalf("accepted what is not JSON: %q", data)
		}
		text := codepipeline.Shapes.Marshal(nil, &p)
		if !json.Valid(text) {
			t.Fatalf("wrote what is not JSON: %q", text)
		}
		if problem := carried(reflect.TypeOf(p), anyOf(t, data), anyOf(t, text)); problem != "" {
			t.Fatalf("%s\nis read as %s: %s", data, text, problem)
		}
		var again codepipeline.PipelineDeclaration
		if err := codepipeline.Shapes.Unmarshal(text, &again); fault.Code(err) == "SerializationException" {
			t.Fatal(err)
		}
		if second := codepipeline.Shapes.Marshal(nil, &again); string(second) != string(text) {
			t.Fatalf("%s\nthen %s", text, second)
		}
	})
}

func TestFloatsAreFinite(t *testing.T) {
	t.Parallel()
	if got := string(codebuildPercent(math.NaN())); strings.Contains(got, "NaN") {
		t.Error(got)
	}
	if got := string(codebuildPercent(12.5)); !strings.Contains(got, "12.5") {
		t.Error(got)
	}
}

// W-15: names as the model spells them, capitals and all.
func TestOddNames(t *testing.T) {
	t.Parallel()
	got := string(codepipeline.Shapes.Marshal(nil, &codepipeline.ListWebhooksOutput{NextToken: "n", Webhooks: []codepipeline.ListWebhookItem{{
		Definition: &codepipeline.WebhookDefinition{AuthenticationConfiguration: &codepipeline.WebhookAuthConfiguration{SecretToken: "****"}},
	}}}))
	if !strings.Contains(got, `"NextToken":"n"`) || !strings.Contains(got, `"authenticationConfiguration":{"SecretToken":"****"}`) {
		t.Error(got)
	}
	got = string(codepipeline.Shapes.Marshal(nil, &codepipeline.ArtifactDetail{S3location: &codepipeline.S3Location{Bucket: "b", Key: "k"}}))
	if got != `{"s3location":{"bucket":"b","key":"k"}}` {
		t.Error(got)
	}
}

// A text that takes another away when it is empty is absent, empty or a text, on both ways.
func TestEmptyIsNotAbsent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]*string{`{"name":"pp"}`: nil, `{"name":"pp","description":null}`: nil, `{"name":"pp","description":""}`: new(""), `{"name":"pp","description":"d"}`: new("d")} {
		in := new(codebuild.UpdateProjectInput)
		if err := codebuild.Shapes.Unmarshal([]byte(text), in); err != nil || !cmp.Equal(in.Description, want) {
			t.Errorf("%s: %v %v", text, in.Description, err)
		}
		if got := string(codebuild.Shapes.Marshal(nil, in)); got != strings.Replace(text, `,"description":null`, "", 1) {
			t.Errorf("%s is written %s", text, got)
		}
	}
	long := `{"name":"pp","description":"` + strings.Repeat("d", 256) + `"}`
	if err := codebuild.Shapes.Unmarshal([]byte(long), new(codebuild.UpdateProjectInput)); fault.Code(err) != "ValidationException" {
		t.Error(err)
	}
}
