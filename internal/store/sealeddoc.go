package store

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"

	"penstock/internal/engine"
)

// Jobs and runs of actions hold configuration, in which secrets are (S-38). That part of their
// JSON is sealed, as a text in the place of the object.

// jobDoc is the JSON of a job.
type jobDoc struct {
	*engine.Job
	Configuration json.RawMessage `json:"configuration,omitempty"`
}

// runDoc is the JSON of a run.
type runDoc struct {
	*engine.ActionRun
	Resolved json.RawMessage `json:"resolved,omitempty"`
}

func (tx *Tx) writeJob(j *engine.Job) ([]byte, error) {
	part, err := tx.sealPart(j.Configuration, "job", string(j.ID))
	if err != nil {
		return nil, err
	}
	return json.Marshal(jobDoc{j, part})
}

func (tx *Tx) readJob(doc []byte, j *engine.Job) error {
	d := jobDoc{Job: j}
	err := json.Unmarshal(doc, &d)
	if err == nil {
		j.Configuration, err = tx.openPart(d.Configuration, "job", string(j.ID))
	}
	return err
}

func (tx *Tx) writeRun(run *engine.ActionRun) ([]byte, error) {
	part, err := tx.sealPart(run.Resolved, "run", string(run.ID))
	if err != nil {
		return nil, err
	}
	return json.Marshal(runDoc{run, part})
}

// scanRun reads a row of a run's JSON.
func (tx *Tx) scanRun(rows *sql.Rows) (*engine.ActionRun, error) {
	var doc []byte
	if err := rows.Scan(&doc); err != nil {
		return nil, err
	}
	d := runDoc{ActionRun: new(engine.ActionRun)}
	err := json.Unmarshal(doc, &d)
	if err == nil {
		d.ActionRun.Resolved, err = tx.openPart(d.Resolved, "run", string(d.ID))
	}
	return d.ActionRun, err
}

func (tx *Tx) sealPart(part map[string]string, place ...string) (json.RawMessage, error) {
	if len(part) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(part)
	if err != nil {
		return nil, err
	}
	sealed, err := tx.seal(Secret(text), place...)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealed)
}

// openPart reads what sealPart wrote, or the object that stood there before.
func (tx *Tx) openPart(part json.RawMessage, place ...string) (map[string]string, error) {
	if len(part) == 0 {
		return nil, nil
	}
	var sealed string
	if part[0] == '"' {
		if err := json.Unmarshal(part, &sealed); err != nil {
			return nil, err
		}
		text, err := tx.unseal(sealed, place...)
		if err != nil {
			return nil, err
		}
		part = json.RawMessage(text)
	}
	var m map[string]string
	return m, json.Unmarshal(part, &m)
}

// sealAgain seals the part of a JSON document with the present key; it gives "" if there is
// nothing to change.
func (tx *Tx) sealAgain(doc, kind, member string) (string, error) {
	var all map[string]json.RawMessage
	var id string
	if err := json.Unmarshal([]byte(doc), &all); err != nil {
		return "", err
	}
	if err := json.Unmarshal(all["id"], &id); err != nil {
		return "", fmt.Errorf("store: a %s without an id: %w", kind, err)
	}
	old := all[member]
	if len(old) == 0 || bytes.Contains(old, []byte("."+tx.db.keys.ID()+".")) && old[0] == '"' {
		return "", nil
	}
	part, err := tx.openPart(old, kind, id)
	if err != nil {
		return "", err
	}
	if all[member], err = tx.sealPart(part, kind, id); err != nil {
		return "", err
	}
	text, err := json.Marshal(all)
	return string(text), err
}
