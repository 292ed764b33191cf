package pattern_test

import (
	"strings"
	"testing"

	"penstock/internal/fault"
	"penstock/internal/pattern"
)

const event = `{
 "version": "0", "id": "6a7e8feb", "detail-type": "CodePipeline Pipeline Execution State Change", "source": "aws.codepipeline",
 "account": "123456789012", "time": "2024-12-30T00:53:03Z", "region": "us-west-2",
 "resources": ["arn:aws:codepipeline:us-west-2:123456789012:web", "arn:aws:codepipeline:us-west-2:123456789012:other"],
 "detail": {
  "pipeline": "web", "state": "FAILED", "version": 6.0, "attempt": 12, "empty": "", "none": null, "yes": true, "list": [], "ip": "10.1.2.3",
  "file": "src/Main.java", "people": [{"first": "Ann", "last": "Lee"}, {"first": "Bob", "last": "Ray"}], "nested": {"a": {"b": ["x", ["y"]]}}
 }
}`

// N-14, W-38: every kind of match expression, alone and together.
func TestMatch(t *testing.T) {
	t.Parallel()
	decoded, err := pattern.Decode([]byte(event))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{"source":["aws.codepipeline"]}`: true,
		`{"source":["aws.codecommit","aws.codepipeline"],"detail-type":["CodePipeline Pipeline Execution State Change"],"detail":{"state":["FAILED","CANCELED"],"pipeline":["web"]}}`: true,
		`{"source":["aws.codepipeline"],"detail":{"state":["SUCCEEDED"]}}`: false,
		`{"Source":["aws.codepipeline"]}`:                                  false,
		// S-355: ARNs are compared literally.
		`{"resources":["arn:aws:codepipeline:us-west-2:123456789012:other"]}`:       true,
		`{"resources":["arn:aws:codepipeline:us-west-2:123456789012/other"]}`:       false,
		`{"detail":{"version":[6.0]}}`:                                              true,
		`{"detail":{"version":[6]}}`:                                                false, // numbers are texts
		`{"detail":{"version":["6.0"]}}`:                                            false,
		`{"detail":{"empty":[""]}}`:                                                 true,
		`{"detail":{"none":[null]}}`:                                                true,
		`{"detail":{"empty":[null]}}`:                                               false,
		`{"detail":{"yes":[true]}}`:                                                 true,
		`{"detail":{"yes":["true"]}}`:                                               false,
		`{"detail":{"pipeline":[{"prefix":"we"}]}}`:                                 true,
		`{"detail":{"pipeline":[{"prefix":"WE"}]}}`:                                 false,
		`{"detail":{"pipeline":[{"prefix":{"equals-ignore-case":"WE"}}]}}`:          true,
		`{"detail":{"file":[{"suffix":".java"}]}}`:                                  true,
		`{"detail":{"file":[{"suffix":{"equals-ignore-case":"MAIN.JAVA"}}]}}`:       true,
		`{"detail":{"file":[{"suffix":".go"}]}}`:                                    false,
		`{"detail":{"state":[{"anything-but":"SUCCEEDED"}]}}`:                       true,
		`{"detail":{"state":[{"anything-but":["FAILED","STOPPED"]}]}}`:              false,
		`{"detail":{"attempt":[{"anything-but":[12]}]}}`:                            false,
		`{"detail":{"missing":[{"anything-but":"x"}]}}`:                             false,
		`{"detail":{"state":[{"anything-but":{"prefix":"FA"}}]}}`:                   false,
		`{"detail":{"state":[{"anything-but":{"suffix":["X","Y"]}}]}}`:              true,
		`{"detail":{"file":[{"anything-but":{"wildcard":"src/*"}}]}}`:               false,
		`{"detail":{"state":[{"anything-but":{"equals-ignore-case":["failed"]}}]}}`: false,
		`{"detail":{"attempt":[{"numeric":["=",12.0]}]}}`:                           true,
		`{"detail":{"attempt":[{"numeric":[">",0,"<=",12]}]}}`:                      true,
		`{"detail":{"attempt":[{"numeric":[">=",0,"<",12]}]}}`:                      false,
		`{"detail":{"pipeline":[{"numeric":["<",12]}]}}`:                            false,
		`{"detail":{"pipeline":[{"exists":true}]}}`:                                 true,
		`{"detail":{"pipeline":[{"exists":false}]}}`:                                false,
		`{"detail":{"other":[{"exists":false}]}}`:                                   true,
		`{"other":{"thing":[{"exists":false}]}}`:                                    true,
		`{"other":{"thing":[{"exists":true}]}}`:                                     false,
		`{"detail":{"list":[{"exists":true}]}}`:                                     false,
		`{"detail":{"nested":[{"exists":true}]}}`:                                   false, // leaves only
		`{"detail":{"people":{"age":[{"exists":false}]}}}`:                          true,
		`{"detail":{"people":{"first":[{"exists":false}]}}}`:                        false,
		`{"detail":{"ip":[{"cidr":"10.1.0.0/16"}]}}`:                                true,
		`{"detail":{"ip":[{"cidr":"10.2.0.0/16"}]}}`:                                false,
		`{"detail":{"ip":[{"cidr":"10.1.2.3"}]}}`:                                   true,
		`{"detail":{"state":[{"equals-ignore-case":"failed"}]}}`:                    true,
		`{"detail":{"file":[{"wildcard":"src/*.java"}]}}`:                           true,
		`{"detail":{"file":[{"wildcard":"*a*n*"}]}}`:                                true,
		`{"detail":{"file":[{"wildcard":"src"}]}}`:                                  false,
		`{"detail":{"file":[{"wildcard":"src/\\*"}]}}`:                              false,
		`{"detail":{"people":{"first":["Ann"],"last":["Lee"]}}}`:                    true,
		`{"detail":{"people":{"first":["Ann"],"last":["Ray"]}}}`:                    false, // of two elements
		`{"detail":{"nested":{"a":{"b":["y"]}}}}`:                                   true,
		`{"detail":{"$or":[{"state":["X"]},{"pipeline":["web"]}]}}`:                 true,
		`{"$or":[{"source":["x"]},{"detail":{"state":["X"]}}]}`:                     false,
		`{"$or":[{"source":["x"]},{"account":["123456789012"]}],"region":["eu"]}`:   false,
		`{"detail":{"other":[{"exists":false},"x"],"state":["FAILED"]}}`:            true,
	} {
		p, err := pattern.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := p.Match(decoded); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// N-14: what is no pattern is refused.
func TestRefused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		``, `[]`, `{`, `{}`, `{"a":"b"}`, `{"a":1}`, `{"a":[]}`, `{"a":{}}`, `{"a":[["b"]]}`, `{"a":["b"]} x`, `{"a":[{}]}`, `{"a":[{"prefix":"a","suffix":"b"}]}`,
		`{"a":[{"like":"b"}]}`, `{"a":[{"prefix":1}]}`, `{"a":[{"prefix":{"wildcard":"x"}}]}`, `{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`,
		`{"a":[{"wildcard":"a\\"}]}`, `{"a":[{"numeric":["=",1,"<",2]}]}`, `{"a":[{"numeric":[">",3,"<",2]}]}`, `{"a":[{"numeric":["!=",1]}]}`,
		`{"a":[{"numeric":["=","1"]}]}`, `{"a":[{"numeric":["=",6e9]}]}`, `{"a":[{"numeric":[]}]}`, `{"a":[{"cidr":"10.0.0.0/33"}]}`, `{"a":[{"cidr":5}]}`,
		`{"a":[{"exists":"yes"}]}`, `{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":{"numeric":["=",1]}}]}`, `{"a":[{"anything-but":[true]}]}`,
		`{"a":[{"anything-but":{"prefix":[]}}]}`, `{"$or":[{"a":["b"]}]}`, `{"$or":[{"a":["b"]},{"b":"c"}]}`,
		`{"a":[{"wildcard":"` + strings.Repeat("a*", 150) + `"}]}`, `{"a":["` + strings.Repeat("x", pattern.MaxSize) + `"]}`,
		strings.Repeat(`{"a":`, 200) + `["x"]` + strings.Repeat(`}`, 200),
	} {
		if _, err := pattern.Compile(bad); fault.Code(err) != "InvalidEventPatternException" {
			t.Errorf("%.80s: %v", bad, err)
		}
	}
}

// Hostile wildcards and long lists take no longer than their size says. N-14
func TestLinear(t *testing.T) {
	t.Parallel()
	p, err := pattern.Compile(`{"a":[{"wildcard":"` + strings.Repeat("a*", 90) + `b"}],"b":["x"]}`)
	if err != nil {
		t.Fatal(err)
	}
	e := `{"a":["` + strings.Repeat("a", 200_000) + `"],"b":[` + strings.Repeat(`"y",`, 50_000) + `"x"]}`
	v, err := pattern.Decode([]byte(e))
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if p.Match(v) {
			t.Fatal("matches")
		}
	}
}
