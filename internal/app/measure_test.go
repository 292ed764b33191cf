package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"penstock/internal/engine"
	"penstock/internal/pipeline"
	"penstock/internal/store"
	"penstock/internal/store/storetest"
	"penstock/internal/svc/cloudwatch"
)

// W-42: ended executions of V2 pipelines are measured, in the transaction that ends them; a
// failure counts for the pipeline and for the account.
func TestMeasure(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		r := &rooms{cloudwatch: cloudwatch.New(cloudwatch.Deps{DB: db})}
		at := time.Now().UTC().Truncate(time.Second)
		end := func(kind, state string, version int, fail error) {
			t.Helper()
			s := &engine.State{Account: "000000000000", Region: "us-east-1", Name: "p", Version: 3,
				Attached: engine.Attached{Definitions: map[int]*pipeline.Declaration{2: {PipelineType: pipeline.V1}, 3: {PipelineType: pipeline.V2}}}}
			detail := fmt.Sprintf(`{"pipeline":"p","start-time":%q,"state":%q,"version":%d.0}`, at.Add(-90*time.Second).Format("2006-01-02T15:04:05.000Z"), state, version)
			err := db.Update(t.Context(), func(tx *store.Tx) error {
				return errors.Join(r.measure(t.Context(), tx, s, store.Outgoing{Account: s.Account, Region: s.Region, At: at, DetailType: kind, Detail: detail}), fail)
			})
			if !errors.Is(err, fail) {
				t.Error(err)
			}
		}
		const execution = "CodePipeline Pipeline Execution State Change"
		end(execution, "SUCCEEDED", 3, nil)
		end(execution, "FAILED", 3, nil)
		end(execution, "FAILED", 3, nil) // the retry
		end(execution, "STOPPED", 3, nil)
		end(execution, "FAILED", 3, errors.New("undone"))
		end(execution, "STARTED", 3, nil)
		end(execution, "SUPERSEDED", 3, nil)
		end(execution, "FAILED", 2, nil) // V1
		end("CodePipeline Stage Execution State Change", "FAILED", 3, nil)
		got := map[string]store.Minute{}
		err := db.View(t.Context(), func(tx *store.Tx) error {
			metrics, err := tx.ListMetrics(t.Context(), "000000000000", "us-east-1", "AWS/CodePipeline", "", store.Metric{}, 0, 10)
			for _, m := range metrics {
				list, err := tx.Periods(t.Context(), m.ID(), "", store.MinuteOf(at)-1, store.MinuteOf(at)+60, 1000)
				if err != nil || len(list) != 1 {
					return fmt.Errorf("%v: %v %w", m, list, err)
				}
				list[0].Minute = 0
				got[m.Name+m.Dimensions] = list[0]
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]store.Minute{
			`PipelineDuration[["PipelineName","p"]]`:         {Unit: "Seconds", Samples: 4, Total: 360, Least: 90, Most: 90},
			`FailedPipelineExecutions[["PipelineName","p"]]`: {Unit: "Count", Samples: 2, Total: 2, Least: 1, Most: 1},
			`FailedPipelineExecutions[]`:                     {Unit: "Count", Samples: 2, Total: 2, Least: 1, Most: 1},
		}
		if a, b := fmt.Sprint(got), fmt.Sprint(want); a != b {
			text, _ := json.Marshal(got)
			t.Errorf("%s", text)
		}
	})
}
