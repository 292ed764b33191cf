package deploymentwindow

import (
	"testing"
	"time"

	"penstock/internal/pipeline"
	"penstock/internal/provider"
	"penstock/internal/provider/providertest"
)

func TestProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, New())
}

func look(t *testing.T, now, cron, zone string) provider.Result {
	t.Helper()
	at, err := time.Parse(time.RFC3339, now)
	if err != nil {
		t.Fatal(err)
	}
	job := providertest.Job(New().Types()[0])
	job.Configuration = map[string]string{"Cron": cron, "TimeZone": zone}
	job.Deadline = at.Add(time.Hour)
	return Provider{now: func() time.Time { return at }}.Run(t.Context(), job)
}

// S-214, P-51: at once while the window is open, after a rest when it opens in time, else not.
func TestWindow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		now, cron, zone string
		open            bool
		after           time.Duration
	}{
		{"2026-03-02T09:30:59Z", "0 * 9-17 ? * MON-FRI *", "", true, 0},
		{"2026-03-02T17:59:59Z", "0 * 9-17 ? * MON-FRI", "UTC", true, 0},
		{"2026-03-02T18:00:00Z", "0 * 9-17 ? * MON-FRI *", "", false, 0},
		{"2026-03-02T08:30:00Z", "0 * 9-17 ? * MON-FRI *", "", false, 30 * time.Minute},
		{"2026-03-02T08:30:10Z", "30 0 9 ? * mon *", "", false, 29*time.Minute + 50*time.Second}, // the seconds do not count
		{"2026-03-01T08:30:00Z", "0 * 9-17 ? * MON-FRI *", "", false, 0},
		{"2026-03-02T08:30:00Z", "0 * 9-17 ? * MON-FRI *", "Europe/Berlin", true, 0},
		{"2026-07-06T07:30:00Z", "0 * 9-17 ? * MON-FRI *", "Europe/Berlin", true, 0}, // summer
		{"2026-03-02T17:30:00Z", "0 * 9-17 ? * MON-FRI *", "PST", true, 0},
		{"2026-03-02T04:30:00Z", "0 * 9-17 ? * MON-FRI *", "IST", true, 0},
		{"2026-03-02T04:30:00Z", "0 * 9-17 ? * MON-FRI *", "UTC+05:30", true, 0},
		// The clock jumps from 2:00 to 3:00: half past two does not come that day.
		{"2026-03-29T00:50:00Z", "0 30 2 * * ? *", "Europe/Berlin", false, 0},
		{"2026-03-28T00:50:00Z", "0 30 2 * * ? *", "Europe/Berlin", false, 40 * time.Minute},
		{"2026-03-02T09:00:00Z", "0 0 9 ? * MON 2025", "", false, 0},
	} {
		r := look(t, c.now, c.cron, c.zone)
		if rests := r.Continue != ""; rests != (c.after > 0) || r.After != c.after {
			t.Errorf("%s in %s %s rests for %s, want %s", c.now, c.cron, c.zone, r.After, c.after)
		}
		if closed := r.Error != nil; closed == (c.open || c.after > 0) || closed && r.Error.Code != pipeline.JobFailed {
			t.Errorf("%s in %s %s: %+v", c.now, c.cron, c.zone, r.Error)
		}
	}
}

// S-207: what cannot be read is an error of the rule.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for cron, zone := range map[string]string{"* *": "", "0 * 9 ? * MON *": "Mars/Olympus", "0 61 9 ? * MON *": "UTC", "0 * 8 ? * MON *": "../../etc/passwd"} {
		if r := look(t, "2026-03-02T09:30:00Z", cron, zone); r.Error == nil || r.Error.Code != pipeline.ConfigurationError {
			t.Errorf("%q %q: %+v", cron, zone, r)
		}
	}
}

// S-214: every abbreviation leads to a zone.
func TestAbbreviations(t *testing.T) {
	t.Parallel()
	for short := range abbreviations {
		if _, err := load(short); err != nil {
			t.Error(short, err)
		}
	}
}
