package template_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"penstock/internal/template"
)

var inputs = template.Inputs{
	Region: "eu-west-1", Account: "111122223333", Partition: "aws", StackName: "stack", Parameters: map[string]string{"Given": "given"},
	Values: map[string]string{"Link": "arn:link", "Secret.Id": "id", "other-stack-out": "export", "{{resolve:ssm:/a=b}}": "dynamic"},
}

const head = `AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Given: {Type: String, Default: default}
  Default: {Type: Number, Default: 7}
  Missing: {Type: String}
  List: {Type: CommaDelimitedList, Default: "a, b,c"}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>", Default: /a/b}
  Choice: {Type: String, Default: x, AllowedValues: [y]}
Mappings:
  Sizes: {eu-west-1: {small: s, big: [b1, b2]}}
Conditions:
  Yes: !Equals [!Ref Given, given]
  No: !Not [!Condition Yes]
  Both: !And [!Condition Yes, !Condition No]
  Either: !Or [!Condition No, !Equals ["7", !Ref Default]]
Resources:
  MyRole: {Type: AWS::IAM::Role, Properties: {Path: /x/}}
  Named: {Type: AWS::IAM::Role, Properties: {RoleName: !Sub "${AWS::StackName}-role"}}
  Bucket: {Type: AWS::S3::Bucket}
  Absent: {Type: AWS::S3::Bucket, Condition: No}
  Repo: {Type: AWS::CodeCommit::Repository, Properties: {RepositoryName: app}}
  Project: {Type: AWS::CodeBuild::Project, Properties: {Name: build}}
  Topic: {Type: AWS::SNS::Topic}
  Alarm: {Type: AWS::CloudWatch::Alarm, Properties: {AlarmName: errors}}
  Link: {Type: AWS::CodeStarConnections::Connection}
  Loose: {Type: AWS::CodeStarConnections::Connection}
  Secret: {Type: AWS::SecretsManager::Secret}
  Setting: {Type: AWS::SSM::Parameter, Properties: {Name: /s, Value: !Ref Given}}
  Twin1: {Type: AWS::S3::Bucket, Properties: {BucketName: twin}}
  Twin2: {Type: AWS::S3::Bucket, Properties: {BucketName: twin}}
  T:
    Type: Test
    Properties:
      V: `

// C-25: functions, parameters, conditions, mappings and the names of resources.
func TestEvaluate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"text": `"text"`, "7": `7`, "yes": `"yes"`, "0x1F": `31`, "true": `true`, "2012-10-17": `"2012-10-17"`, "{a: [b, ~]}": `{"a":["b",null]}`,
		"!Ref Given": `"given"`, "!Ref Default": `"7"`, "!Ref List": `["a","b","c"]`,
		"!Ref AWS::Region": `"eu-west-1"`, "!Ref AWS::AccountId": `"111122223333"`, "!Ref AWS::Partition": `"aws"`, "!Ref AWS::URLSuffix": `"amazonaws.com"`, "!Ref AWS::StackName": `"stack"`,
		"[a, !Ref AWS::NoValue]": `["a"]`, "{a: !Ref AWS::NoValue}": `{}`,
		"!GetAtt MyRole.Arn": `"arn:aws:iam::111122223333:role/x/myrole"`, "!GetAtt Named.Arn": `"arn:aws:iam::111122223333:role/stack-role"`,
		"{Fn::GetAtt: [MyRole, Arn]}": `"arn:aws:iam::111122223333:role/x/myrole"`, "!Ref Bucket": `"bucket"`, "!GetAtt Bucket.Arn": `"arn:aws:s3:::bucket"`,
		"!GetAtt Repo.Name": `"app"`, "!Ref Project": `"build"`, "!Ref Topic": `"arn:aws:sns:eu-west-1:111122223333:topic"`, "!Ref Alarm": `"errors"`, "!GetAtt Alarm.Arn": `"arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors"`, "!GetAtt Topic.TopicName": `"topic"`,
		"!Ref Link": `"arn:link"`, "!GetAtt Secret.Id": `"id"`, "!GetAtt Setting.Value": `"given"`, "!ImportValue other-stack-out": `"export"`,
		`!Sub "${AWS::Region}-${Bucket.Arn}-${!Kept}-${Default}"`: `"eu-west-1-arn:aws:s3:::bucket-${Kept}-7"`, `!Sub ["${a}${Given}", {a: !Ref Bucket}]`: `"bucketgiven"`,
		`!Join ["-", [a, !Ref Default, 1]]`: `"a-7-1"`, `!Join [",", !Ref List]`: `"a,b,c"`, `!Split ["-", a-b]`: `["a","b"]`, `!Select [1, !Split ["-", a-b]]`: `"b"`, `!Select ["0", !Ref List]`: `"a"`,
		`!FindInMap [Sizes, !Ref AWS::Region, small]`: `"s"`, `!Select [1, !FindInMap [Sizes, eu-west-1, big]]`: `"b2"`, `!Base64 a`: `"YQ=="`, `{"Fn::ToJsonString": {a: !Ref Default}}`: `"{\"a\":\"7\"}"`,
		"!If [Yes, a, b]": `"a"`, "!If [No, a, b]": `"b"`, "!If [Both, a, b]": `"b"`, "!If [Either, a, b]": `"a"`, "{{resolve:x": "", `"a{{resolve:ssm:/a=b}}c"`: `"adynamicc"`,
		"&x {a: b}\n      W: {<<: *x, c: d}": `{"a":"b"}`,
	} {
		if want == "" {
			continue
		}
		n, errors := evaluate(t, head+in+"\n")
		if got := fmt.Sprint(string(marshal(t, n))); got != want || len(errors) > 0 {
			t.Errorf("%s: %s, want %s; %v", in, got, want, errors)
		}
	}
}

func marshal(t *testing.T, n *template.Node) []byte {
	t.Helper()
	if n == nil {
		return nil
	}
	text, err := n.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func evaluate(t *testing.T, text string) (*template.Node, []*template.Error) {
	t.Helper()
	docs, err := template.Read("t.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	tm := template.New(docs[0], inputs)
	r := tm.Resources("Test")
	return r[0].Properties.Get("V"), tm.Errors()
}

// C-25: what cannot be resolved is told with its path, its place and the mend.
func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	line := strings.Count(head, "\n") + 1
	for in, want := range map[string]string{
		"!Ref Missing":                    "the parameter Missing has no value and no default; give it with --parameter 'Missing=…'",
		"!Ref Stored":                     "--parameter 'Stored=…'",
		"!Ref Choice":                     `the parameter Choice is "x"; its AllowedValues are y`,
		"!Ref Nobody":                     `no parameter and no resource "Nobody"`,
		"!Ref Loose":                      "what Ref gives for Loose of type AWS::CodeStarConnections::Connection is known only to whoever made it; give it with --value 'Loose=…'",
		"!GetAtt Loose.X":                 "--value 'Loose.X=…'",
		"!GetAtt Nobody.X":                `no resource "Nobody"`,
		"!GetAtt [a]":                     "Fn::GetAtt takes",
		"!Ref Absent":                     "the condition of Absent does not hold",
		"!ImportValue nothing":            "--value 'nothing=…'",
		`"{{resolve:ssm:/x}}"`:            "--value '{{resolve:ssm:/x}}=…'",
		"!If [Nothing, a, b]":             `no condition "Nothing"`,
		"!Select [9, !Ref List]":          "no element 9 in a list of 3",
		"!Select [x, !Ref List]":          "no element x",
		"!Join [a]":                       "takes a list of 2",
		"!Join [',', [[a]]]":              "joins texts",
		"!Sub '${'":                       "never closed",
		"!Sub '${List}'":                  "is no text",
		"!Sub [a]":                        "Fn::Sub takes",
		"!FindInMap [Sizes, x, y]":        "Mappings has no Sizes.x",
		"!Transform {Name: AWS::Include}": "Fn::Transform is not evaluated here",
		"!GetAZs ''":                      "Fn::GetAZs is not evaluated here",
		"[!Ref Twin1, !Ref Twin2]":        `Twin1 and Twin2 would both be the AWS::S3::Bucket "twin"`,
	} {
		_, errors := evaluate(t, head+in+"\n")
		if len(errors) == 0 || !strings.Contains(errors[0].Message, want) || !strings.HasPrefix(errors[0].Message, "Resources.T.Properties.V") && !strings.HasPrefix(errors[0].Message, "Conditions.") ||
			errors[0].Line != line || errors[0].Column < 10 {
			t.Errorf("%s: %v, want line %d: %s", in, errors, line, want)
		}
	}
}

// The places of JSON are those of the text, whatever the strings hold.
func TestPlaces(t *testing.T) {
	t.Parallel()
	docs, err := template.Read("f.json", []byte("\ufeff{\"é\": [1,\n  {\"a\": \"\\ud83d\\ude00\", \"b\":true}],\n\t\"c\" : null}\n{\"d\":0}"))
	if err != nil || len(docs) != 2 {
		t.Fatal(docs, err)
	}
	for path, want := range map[string]string{"é": "1:2", "é.1": "1:8", "é.2": "2:3", "é.2.a": "2:9", "é.2.b": "2:29", "c": "3:2", "é.2.nothing": "2:3", "nothing": "1:1", "é.9": "1:2"} {
		at, _ := docs[0].Find(path)
		if got := fmt.Sprintf("%d:%d", at.Line, at.Column); got != want {
			t.Errorf("%s is at %s, not at %s", path, got, want)
		}
	}
	if docs[1].Line != 4 || string(marshal(t, docs[0])) != `{"é":[1,{"a":"😀","b":true}],"c":null}` {
		t.Errorf("%d %s", docs[1].Line, marshal(t, docs[0]))
	}
}

// What is read of YAML is read again as JSON, at the limits too, and an alias of a long text or a
// map that is looked up many times take no more memory than they allow.
func TestLimits(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", template.MaxDepth)
	var many strings.Builder
	for i := range template.MaxNodes/2 + 1 {
		fmt.Fprintf(&many, "%x: 1,", i)
	}
	for text, want := range map[string]string{
		deep + "[]" + strings.Repeat("]", template.MaxDepth):                              "",
		deep + "[1]" + strings.Repeat("]", template.MaxDepth):                             "nested more than",
		deep[1:] + "!GetAtt a.b" + strings.Repeat("]", template.MaxDepth-1):               "nested more than",
		deep[2:] + "!GetAtt a.b" + strings.Repeat("]", template.MaxDepth-2):               "",
		"{" + many.String() + "}":                                                         "",
		"[" + strings.Repeat("1,", template.MaxNodes) + "]":                               "values",
		"[&a " + strings.Repeat("a", 1<<16) + strings.Repeat(", *a", 1<<10) + "]":         "bytes",
		"[&a {" + strings.Repeat("a", 1000) + ": 1}" + strings.Repeat(", *a", 9999) + "]": "bytes",
	} {
		docs, err := template.Read("f.yaml", []byte(text))
		if want != "" || err != nil {
			if err == nil || want == "" || !strings.Contains(err.Error(), want) {
				t.Errorf("%.20s: %v, want %q", text, err, want)
			}
			continue
		}
		if _, err := template.Read("f.json", marshal(t, docs[0])); err != nil {
			t.Errorf("%.20s: %v", text, err)
		}
	}
	in := strings.Replace(head, "big: [", "big: ["+strings.Repeat("x, ", 5000), 1) + "[" + strings.Repeat(`!FindInMap [Sizes, eu-west-1, big], `, 1000) + "]\n"
	if n, errors := evaluate(t, in); len(errors) != 1 || !strings.Contains(errors[0].Message, "give too much") || len(marshal(t, n)) > 32<<20 {
		t.Error(errors)
	}
	in = strings.Replace(head, "Path: /x/", "Path: !Sub '${MyRole.Arn}${MyRole.Arn}'", 1) + "!GetAtt MyRole.Arn\n"
	if _, errors := evaluate(t, in); len(errors) == 0 || !strings.Contains(errors[0].Message, "the value of MyRole.Path depends on itself") {
		t.Error(errors)
	}
	in = head + "!GetAtt S0.Value\n"
	for i := range 40 {
		in += fmt.Sprintf("  S%d: {Type: AWS::SSM::Parameter, Properties: {Value: !Sub '${S%d.Value}${S%d.Value}'}}\n", i, i+1, i+1)
	}
	in += "  S40: {Type: AWS::SSM::Parameter, Properties: {Value: ''}}\n"
	if n, errors := evaluate(t, in); len(errors) != 0 || string(marshal(t, n)) != `""` {
		t.Error(errors)
	}
}

// size counts the values of a node.
func size(n *template.Node) int {
	values := 1
	for _, v := range n.Items {
		values += size(v)
	}
	return values
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{head + "!Ref Given", `{"a":[1,{"b":null}]}`, "a: &a [*a]", "--- a\n--- b", "<<: {a: b}", "!Sub x: y", "? [a]\n: b", "!!binary aGk=",
		"- !!bool maybe\n- !!bool 'TRUE '\n- !!int '[1, 2]'\n- !!float ' 1'\n- !!int {a: !!null b}", "[017, 0o17, 1_0, +.5, 1., -0, .inf, .NaN, 1e400, +1e400, !!float 0x1p-2]",
		strings.Replace(head, "Path: /x/", "Path: !GetAtt MyRole.Arn", 1) + "!GetAtt MyRole.Arn", "a: &a {b: c, d: &d [e]}\nf: {<<: [*a, {b: g}], d: *d}\n? *d\n: h", "{\"a\":1,\"\\ud800\":2,\"\\ufffd\":1e1000,\"a\":-0}"} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, yaml bool) {
		if len(text) > 100_000 { // it would take too long
			return
		}
		file := "f.json"
		if yaml {
			file = "f.yaml"
		}
		docs, err := template.Read(file, []byte(text))
		if err != nil {
			return
		}
		for _, d := range docs {
			if size(d) > 20_000 { // what aliases repeat would take too long
				continue
			}
			if template.Is(d) {
				tm := template.New(d, inputs)
				for _, r := range tm.Resources("Test") {
					if size(r.Properties) > 20_000 {
						continue
					}
					if text := marshal(t, r.Properties); !json.Valid(text) {
						t.Fatalf("%q is not JSON", text)
					}
				}
				_ = tm.Errors()
			}
			text := marshal(t, d)
			if len(text) > template.MaxText { // escapes make a text longer
				continue
			}
			again, err := template.Read("f.json", text)
			if err != nil || len(again) != 1 || string(marshal(t, again[0])) != string(text) {
				t.Fatalf("%q is not read again: %v", text, err)
			}
		}
	})
}

// C-25: a value for a parameter that the template does not have is a slip, and named with those that it has.
func TestUnknownParameters(t *testing.T) {
	t.Parallel()
	docs, err := template.Read("t.yaml", []byte("Parameters: {Env: {Type: String}, Branch: {Type: String}}\nResources: {X: {Type: Test}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	errors := template.New(docs[0], template.Inputs{Parameters: map[string]string{"Evn": "a", "Branhc": "b", "Env": "c"}}).Errors()
	if len(errors) != 2 || errors[0].Message != "the template has no parameter Branhc; it has Env, Branch" || errors[1].Message != "the template has no parameter Evn; it has Env, Branch" {
		t.Errorf("%v", errors)
	}
}

// C-25: what is wrong with a name is told once, however often the name is asked for.
func TestNameRefused(t *testing.T) {
	t.Parallel()
	docs, err := template.Read("t.yaml", []byte("Parameters: {Env: {Type: String}}\nResources: {X: {Type: AWS::CodePipeline::Pipeline, Properties: {Name: !Ref Env}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	tm := template.New(docs[0], template.Inputs{})
	tm.Name(tm.Resources("AWS::CodePipeline::Pipeline")[0])
	if errors := tm.Errors(); len(errors) != 1 || !strings.HasPrefix(errors[0].Message, "Resources.X.Properties.Name: the parameter Env has no value") {
		t.Errorf("%v", errors)
	}
}
