package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	api "penstock/internal/api/codepipeline"
	"penstock/internal/awswire"
	"penstock/internal/fault"
	"penstock/internal/pipeline"
	"penstock/internal/provider/all"
	"penstock/internal/svc/codepipeline"
)

// Finding is what is wrong with a definition, in the server's words. Line is 0 where it is
// not known.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Validate reads a pipeline's definition, JSON or YAML, bare or under "pipeline", and says
// what a server would refuse of it; nil if nothing. It asks no server: whether roles and
// buckets exist is not looked at, and action types of owner Custom are taken as they are.
func Validate(file string, r io.Reader, account, region string) (*Finding, error) {
	text, err := io.ReadAll(io.LimitReader(r, awswire.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(text) > awswire.MaxBody {
		return &Finding{File: file, Code: "RequestEntityTooLargeException", Message: fmt.Sprintf("a definition has at most %d bytes", awswire.MaxBody)}, nil
	}
	declaration, found := readDefinition(file, text)
	if found != nil {
		return found, nil
	}
	err = check(declaration, account, region)
	var f *fault.Error
	if errors.As(err, &f) {
		return &Finding{File: file, Line: locate(text, f.Message), Code: f.Code, Message: f.Message}, nil
	}
	return nil, err
}

// check is what CreatePipeline does before it looks at what exists.
func check(declaration []byte, account, region string) error {
	in := new(api.CreatePipelineInput)
	body := append(append([]byte(`{"pipeline":`), declaration...), '}')
	if err := api.Shapes.Unmarshal(body, in); err != nil {
		return err
	}
	known := pipeline.NewCatalogue(actionTypes(all.Providers(nil))...)
	return codepipeline.Check(in.Pipeline, pipeline.Env{Account: account, Region: region, Catalogue: func(id pipeline.ActionTypeID) (pipeline.ActionType, bool) {
		if t, ok := known(id); ok || id.Owner != pipeline.OwnerCustom {
			return t, ok
		}
		any := pipeline.Bounds{Max: 10}
		return pipeline.ActionType{ID: id, Inputs: any, Outputs: any, AnyKey: true}, true
	}})
}

// readDefinition gives the declaration of a file as JSON.
func readDefinition(file string, text []byte) ([]byte, *Finding) {
	bad := func(line int, format string, args ...any) *Finding {
		return &Finding{File: file, Line: line, Code: "SerializationException", Message: fmt.Sprintf(format, args...)}
	}
	if isJSON(file, text) {
		var root map[string]json.RawMessage
		if err := json.Unmarshal(text, &root); err != nil {
			line := 0
			var syntax *json.SyntaxError
			if errors.As(err, &syntax) {
				line = 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
			}
			return nil, bad(line, "it is not a JSON object: %v", err)
		}
		if inner, ok := root["pipeline"]; ok {
			return inner, nil
		}
		return text, nil
	}
	var root any
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, bad(0, "%v", err)
	}
	m, ok := root.(map[string]any)
	if !ok {
		return nil, bad(1, "it is not a definition: a map of names to values, such as name, roleArn and stages")
	}
	if inner, ok := m["pipeline"]; ok {
		root = inner
	}
	out, err := json.Marshal(root)
	if err != nil {
		return nil, bad(0, "%v", err)
	}
	return out, nil
}

func isJSON(file string, text []byte) bool {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".json":
		return true
	case ".yaml", ".yml":
		return false
	}
	return bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
}
