package cron_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"penstock/internal/cron"
	"penstock/internal/fault"
)

const layout = "2006-01-02T15:04:05Z07:00"

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(layout, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// N-14: the examples of EventBridge's schedules, and every special sign in its place.
func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ expression, after, want string }{
		{"0 10 * * ? *", "2024-05-01T10:00:00Z", "2024-05-02T10:00:00Z"},
		{"0 10 * * ? *", "2024-05-01T09:59:59Z", "2024-05-01T10:00:00Z"},
		{"15 12 * * ? *", "2024-12-31T12:15:00Z", "2025-01-01T12:15:00Z"},
		// 1 is Sunday: Monday to Friday are 2 to 6.
		{"0 18 ? * MON-FRI *", "2024-05-03T18:00:00Z", "2024-05-06T18:00:00Z"},
		{"0 18 ? * 2-6 *", "2024-05-03T18:00:00Z", "2024-05-06T18:00:00Z"},
		{"0 8 1 * ? *", "2024-05-03T18:00:00Z", "2024-06-01T08:00:00Z"},
		{"0/15 * * * ? *", "2024-05-03T18:01:00Z", "2024-05-03T18:15:00Z"},
		{"0/10 * ? * mon-fri *", "2024-05-04T00:00:00Z", "2024-05-06T00:00:00Z"},
		{"0/5 8-17 ? * MON-FRI *", "2024-05-03T17:55:00Z", "2024-05-06T08:00:00Z"},
		{"0/30 20-2 ? * MON-FRI *", "2024-05-03T20:30:00Z", "2024-05-03T21:00:00Z"},
		{"0 10 ? * 2#1 *", "2024-05-01T00:00:00Z", "2024-05-06T10:00:00Z"},
		{"0 10 ? * TUE#5 *", "2024-05-01T00:00:00Z", "2024-07-30T10:00:00Z"},
		{"0 10 ? * 6L *", "2024-05-01T00:00:00Z", "2024-05-31T10:00:00Z"},
		{"0 10 ? * L *", "2024-05-01T00:00:00Z", "2024-05-04T10:00:00Z"},
		{"0 10 L * ? *", "2024-02-01T00:00:00Z", "2024-02-29T10:00:00Z"},
		{"0 10 L-2 * ? *", "2023-02-01T00:00:00Z", "2023-02-26T10:00:00Z"},
		{"0 10 LW * ? *", "2024-06-01T00:00:00Z", "2024-06-28T10:00:00Z"}, // the 30th is a Sunday
		{"0 10 3W * ? *", "2024-08-01T00:00:00Z", "2024-08-02T10:00:00Z"}, // a Saturday
		{"0 10 1W * ? *", "2024-06-01T00:00:00Z", "2024-06-03T10:00:00Z"}, // a Saturday at the beginning
		{"0 10 30W 6 ? *", "2024-06-01T00:00:00Z", "2024-06-28T10:00:00Z"},
		{"0 10 31W * ? *", "2024-06-01T00:00:00Z", "2024-07-31T10:00:00Z"}, // June has no 31st
		{"0 0 29 FEB ? *", "2024-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"0 0 1 1 ? 2030-2032", "2024-03-01T00:00:00Z", "2030-01-01T00:00:00Z"},
		{"0 0 ? * FRI-SUN *", "2024-05-06T00:00:00Z", "2024-05-10T00:00:00Z"},
		{"7,3 0 ? JAN,MAR SAT *", "2024-05-06T00:00:00Z", "2025-01-04T00:03:00Z"},
	} {
		e, err := cron.Parse(c.expression)
		if err != nil {
			t.Errorf("%s: %v", c.expression, err)
			continue
		}
		got, ok := e.Next(at(t, c.after))
		if !ok || got.Format(layout) != c.want {
			t.Errorf("%s after %s: %s %v, not %s", c.expression, c.after, got.Format(layout), ok, c.want)
		}
	}
	for _, never := range []string{"0 0 31 2 ? *", "0 0 1 1 ? 1999", "0 0 ? * 1#5 1971"} {
		e, err := cron.Parse(never)
		if err != nil {
			t.Errorf("%s: %v", never, err)
		} else if got, ok := e.Next(at(t, "2024-01-01T00:00:00Z")); ok {
			t.Errorf("%s: %s", never, got)
		}
	}
}

// S-214: seconds do not matter, the year may be left out, and the clock is that of a zone with
// its changes.
func TestWindow(t *testing.T) {
	t.Parallel()
	zone := func(name string) *time.Location {
		t.Helper()
		l, err := cron.Zone(name, time.LoadLocation)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	e, err := cron.ParseWindow("0 * 9-17 ? * MON-FRI")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		zone, at string
		want     bool
	}{
		{"", "2024-05-06T09:00:59Z", true},
		{"UTC", "2024-05-06T18:00:00Z", false},
		{"Europe/Berlin", "2024-05-06T07:00:00Z", true}, // 09:00 in summer
		{"Europe/Berlin", "2024-12-02T07:00:00Z", false},
		{"UTC+09:30", "2024-05-06T00:00:00Z", true},
		{"UTC-05:00", "2024-05-06T14:00:00Z", true},
		{"UTC-05:00", "2024-05-06T13:59:00Z", false},
		{"EST", "2024-05-06T14:00:00Z", true},
	} {
		if got := e.Matches(at(t, c.at).In(zone(c.zone))); got != c.want {
			t.Errorf("%s in %q: %v", c.at, c.zone, got)
		}
	}
	berlin := zone("Europe/Berlin")
	half, err := cron.ParseWindow("30 30 2 * * ? *")
	if err != nil {
		t.Fatal(err)
	}
	// 02:30 does not exist on the day clocks go forward, and comes twice when they go back.
	for _, c := range []struct{ after, want string }{
		{"2024-03-30T12:00:00Z", "2024-04-01T00:30:00Z"},
		{"2024-10-26T12:00:00Z", "2024-10-27T00:30:00Z"},
		{"2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z"},
		{"2024-10-27T01:30:00Z", "2024-10-28T01:30:00Z"},
	} {
		if got, ok := half.Next(at(t, c.after).In(berlin)); !ok || got.UTC().Format(layout) != c.want {
			t.Errorf("after %s: %s", c.after, got.UTC())
		}
	}
	for _, bad := range []string{"* * * * *", "60 * * * * ?", "0 * * * * ? * *", "0 0 0 ? * ?"} {
		if _, err := cron.ParseWindow(bad); fault.Code(err) != "ValidationException" {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for _, bad := range []string{"Mars/Base", "UTC+25:00", "UTC+1", "../../etc/passwd", "Local", "UTC+0a:00", strings.Repeat("A", 100)} {
		if l, err := cron.Zone(bad, time.LoadLocation); fault.Code(err) != "ValidationException" {
			t.Errorf("%s: %v, %v", bad, l, err)
		}
	}
}

// N-14: a rate counts from when its rule was made.
func TestRate(t *testing.T) {
	t.Parallel()
	began := at(t, "2024-05-06T09:00:30Z")
	for _, c := range []struct{ rate, after, want string }{
		{"rate(1 minute)", "2024-05-06T09:00:30Z", "2024-05-06T09:01:30Z"},
		{"rate(5 minutes)", "2024-05-06T09:06:00Z", "2024-05-06T09:10:30Z"},
		{"rate(1 day)", "2024-05-06T09:00:31Z", "2024-05-07T09:00:30Z"},
		{"rate(12 hours)", "2024-05-01T00:00:00Z", "2024-05-06T21:00:30Z"},
		{"cron(0 10 * * ? *)", "2024-05-06T10:00:00Z", "2024-05-07T10:00:00Z"},
	} {
		s, err := cron.ParseSchedule(c.rate)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := s.Next(began, at(t, c.after)); !ok || got.Format(layout) != c.want {
			t.Errorf("%s after %s: %s", c.rate, c.after, got)
		}
	}
	for _, bad := range []string{
		"", "rate(1 minutes)", "rate(5 minute)", "rate(0 minutes)", "rate(-1 minutes)", "rate(1 week)", "rate(5)", "rate(1.5 hours)", "5 minutes",
		"rate(5 minutes", "cron(0 10 * * *)", "cron(0 10 * * * *)", "rate(99999999999 days)", "rate(999999999999999999999 days)", "rate(s s)",
	} {
		if s, err := cron.ParseSchedule(bad); fault.Code(err) != "ValidationException" {
			t.Errorf("%q: %v %v", bad, s, err)
		}
	}
}

// N-14: what is no expression is refused, with the field's name.
func TestRefused(t *testing.T) {
	t.Parallel()
	for bad, field := range map[string]string{
		"60 * * * ? *": "minutes", "* 24 * * ? *": "hours", "* * 32 * ? *": "day of the month", "* * 0 * ? *": "day of the month",
		"* * * 13 ? *": "month", "* * * JUNE ? *": "month", "* * ? * 8 *": "day of the week", "* * ? * 0 *": "day of the week",
		"* * ? * 2#6 *": "day of the week", "* * ? * #1 *": "day of the week", "* * ? * XL *": "day of the week", "* * * * ? 1969": "year",
		"* * * * ? 2200": "year", "* * * * ? 2030-2020": "year", "*/0 * * * ? *": "minutes", "*/60 * * * ? *": "minutes", "1- * * * ? *": "minutes",
		"+1 * * * ? *": "minutes", "? * * * ? *": "minutes", "* * L-31 * ? *": "day of the month", "* * 32W * ? *": "day of the month",
		"* * W * ? *": "day of the month", "1,,2 * * * ? *": "minutes", "* * * * * *": "day of the week", "* * ? * ? *": "day of the week",
		"*": "six fields", "* * * * ? * *": "six fields", strings.Repeat("1,", 200) + "1 * * * ? *": "characters",
	} {
		if _, err := cron.Parse(bad); fault.Code(err) != "ValidationException" || !strings.Contains(err.Error(), field) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// N-14, S-214: Next is the first minute that matches, in zones with changes too.
func TestNextIsFirstMatch(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{time.UTC}
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Kathmandu"} {
		l, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, l)
	}
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
		day, week := pick("day", "*", "1", "31", "L", "LW", "15W", "1W", "L-3", "2/7", "28-3"), "?"
		if rapid.Bool().Draw(t, "by week") {
			day, week = "?", pick("week", "*", "1", "SAT", "2#1", "6L", "L", "FRI-MON", "3#5")
		}
		month := pick("month", "*", "*", "2", "10-3")
		if day == "31" && month == "2" { // that day never comes
			month = "*"
		}
		text := strings.Join([]string{pick("minute", "0", "30", "*/20", "59", "5-7"), pick("hour", "0", "2", "*", "1-3", "23"), day, month, week, "*"}, " ")
		e, err := cron.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Unix(rapid.Int64Range(1_500_000_000, 1_800_000_000).Draw(t, "start"), 0).In(rapid.SampledFrom(zones).Draw(t, "zone"))
		next, ok := e.Next(start)
		if !ok || !next.After(start) || !e.Matches(next) {
			t.Fatalf("%s after %s: %s %v", text, start, next, ok)
		}
		limit := start.Truncate(time.Minute).Add(60 * 24 * time.Hour)
		for m := start.Truncate(time.Minute).Add(time.Minute); m.Before(next) && m.Before(limit); m = m.Add(time.Minute) {
			if e.Matches(m) {
				t.Fatalf("%s after %s: %s comes before %s", text, start, m, next)
			}
		}
	})
}
