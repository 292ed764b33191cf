// Command gen writes the server-side packages of the AWS services from the model files
// in internal/api/models.
//
// The normal run reads only the model files, needs no network, and gives the same bytes
// every time:
//
//	go generate ./internal/api
//
// The model files themselves hold facts of the published API models (operations, shapes,
// limits, error statuses; no documentation text) and are renewed from a service-2.json,
// plain or compressed, with
//
//	go run ./internal/api/gen -models internal/api/models -extract PATH -origin "botocore 1.43.11"
//
// What penstock does differently from the published model stands in
// models/overrides.json with the reason, and survives an extraction.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	models := flag.String("models", "models", "folder of the model files")
	out := flag.String("out", ".", "folder that gets one package folder per service")
	extract := flag.String("extract", "", "renew a model file from this service-2.json[.gz] and stop")
	origin := flag.String("origin", "", "with -extract: where the file comes from")
	flag.Parse()

	if *extract != "" {
		if err := extractModel(*extract, *origin, *models); err != nil {
			log.Fatal(err)
		}
		return
	}
	if err := generate(*models, *out); err != nil {
		log.Fatal(err)
	}
}

// generate writes one package per model file, leaving files alone that are already right.
func generate(models, out string) error {
	files, err := filepath.Glob(filepath.Join(models, "*.json"))
	if err != nil {
		return err
	}
	overrides, err := readOverrides(filepath.Join(models, overridesFile))
	if err != nil {
		return err
	}
	for _, file := range files {
		if filepath.Base(file) == overridesFile {
			continue
		}
		m, err := readModel(file)
		if err != nil {
			return err
		}
		if err := m.apply(overrides[m.Service]); err != nil {
			return fmt.Errorf("%s: %w", m.Service, err)
		}
		src, err := emit(m)
		if err != nil {
			return fmt.Errorf("%s: %w", m.Service, err)
		}
		dir := filepath.Join(out, m.Service)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if err := writeChanged(filepath.Join(dir, m.Service+"_gen.go"), src); err != nil {
			return err
		}
	}
	return nil
}

func writeChanged(path string, data []byte) error {
	old, err := os.ReadFile(path)
	if err == nil && bytes.Equal(old, data) {
		return nil
	}
	return os.WriteFile(path, data, 0o666)
}
