package cron_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"penstock/internal/cron"
)

// The twin reads an expression that is known to be right as the guide puts it, item by item and
// day by day, and finds times by looking at each.

// twinValue gives the number of a value; names count from the least one.
func twinValue(text, names string, least int) int {
	if i := strings.Index(names, text); text != "" && text[0] > '9' && i >= 0 {
		return i/3 + least
	}
	n, _ := strconv.Atoi(text)
	return n
}

// twinItem gives the values of A, A-B, * and each of them with /STEP, over the end if B is less.
func twinItem(item, names string, least, most int) []int {
	span, step, stepped := strings.Cut(item, "/")
	first, last, ranged := strings.Cut(span, "-")
	from, to := twinValue(first, names, least), twinValue(last, names, least)
	switch {
	case span == "*" || span == "":
		from, to = least, most
	case !ranged && stepped:
		to = most
	case !ranged:
		to = from
	}
	all := []int{from}
	for v := from; v != to; all = append(all, v) {
		if v++; v > most {
			v = least
		}
	}
	every, _ := strconv.Atoi(step)
	var out []int
	for i := 0; i < len(all); i += max(every, 1) {
		out = append(out, all[i])
	}
	return out
}

func twinField(text, names string, least, most int) []int {
	var out []int
	for _, item := range strings.Split(text, ",") {
		out = append(out, twinItem(item, names, least, most)...)
	}
	return out
}

// workday is the day of Monday to Friday within the month of day that is nearest to its n-th.
func workday(first time.Time, n, last int) int {
	best := 0
	for d := 1; d <= last; d++ {
		away := func(x int) int { return max(x-n, n-x) }
		if w := first.AddDate(0, 0, d-1).Weekday(); w != time.Saturday && w != time.Sunday && (best == 0 || away(d) < away(best)) {
			best = d
		}
	}
	return best
}

const months, weekdays = "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", "SUNMONTUEWEDTHUFRISAT"

// twinDay says whether a day of a month is one of those of the fields for days.
func twinDay(fields []string, day time.Time) bool {
	year, month, d := day.Date()
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	last, weekday := first.AddDate(0, 1, -1).Day(), int(day.Weekday())+1
	if fields[2] != "?" {
		return slices.ContainsFunc(strings.Split(fields[2], ","), func(item string) bool {
			n, err := strconv.Atoi(strings.TrimSuffix(item, "W"))
			switch {
			case item == "L":
				return d == last
			case item == "LW":
				return d == workday(first, last, last)
			case strings.HasPrefix(item, "L-"):
				return d == last-twinValue(item[2:], "", 0)
			case err == nil && strings.HasSuffix(item, "W"):
				return n <= last && d == workday(first, n, last)
			}
			return slices.Contains(twinItem(item, "", 1, 31), d)
		})
	}
	return slices.ContainsFunc(strings.Split(fields[4], ","), func(item string) bool {
		name, nth, numbered := strings.Cut(item, "#")
		switch {
		case item == "L":
			return weekday == 7
		case numbered:
			return weekday == twinValue(name, weekdays, 1) && (d+6)/7 == twinValue(nth, "", 0)
		case strings.HasSuffix(item, "L"):
			return weekday == twinValue(item[:len(item)-1], weekdays, 1) && d+7 > last
		}
		return slices.Contains(twinItem(item, weekdays, 1, 7), weekday)
	})
}

// twinNext gives the first minute after t within some days.
func twinNext(fields []string, t time.Time, days int) (time.Time, bool) {
	hours, minutes := twinField(fields[1], "", 0, 23), twinField(fields[0], "", 0, 59)
	years, in := twinField(fields[5], "", 1970, 2199), twinField(fields[3], months, 1, 12)
	slices.Sort(hours)
	slices.Sort(minutes)
	midnight := t.Truncate(24 * time.Hour)
	for range days {
		year, month, _ := midnight.Date()
		if slices.Contains(years, year) && slices.Contains(in, int(month)) && twinDay(fields, midnight) {
			for _, h := range hours {
				for _, m := range minutes {
					if at := midnight.Add(time.Duration(h*60+m) * time.Minute); at.After(t) {
						return at, true
					}
				}
			}
		}
		midnight = midnight.Add(24 * time.Hour)
	}
	return midnight, false
}

// FuzzParse: whatever is read as an expression comes next when its twin says, N-14.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"0 10 * * ? *", "0/5 8-17 ? * 2#1,6L *", "* * LW,15W,L-3 1-12 ? 2024/2", "58-1/2 22-3 ? 11-FEB FRI-MON/2,L 2030-2199/3", "7,3 /6 31W,1W,30 */5 ? *", "0 0 29 2 ? *", "59/59 23-0/23 ? ſep-2 1#5,1L,L 1970-2199", "0 0 1W,L-30,031W 12-1 ? /2"} {
		f.Add(seed, int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, text string, seconds int64) {
		e, err := cron.Parse(text)
		if err != nil {
			return
		}
		const days = 100
		start := time.Unix(seconds%7_000_000_000, 0).UTC()
		next, ok := e.Next(start)
		want, found := twinNext(strings.Fields(strings.ToUpper(text)), start, days)
		if ok && (!next.After(start) || !e.Matches(next)) || found && (!ok || !next.Equal(want)) || !found && ok && next.Before(want) {
			t.Errorf("%q after %s: %s %v, twin %s %v", text, start, next, ok, want, found)
		}
	})
}
