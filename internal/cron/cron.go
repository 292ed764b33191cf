// Package cron reads the schedule expressions of AWS: the six fields of EventBridge's cron
// expressions, the form with seconds that deployment windows use, and rates.
//
// It is pure: times come in, times go out. What the fields mean is Quartz's: Sunday is 1, one
// of the two fields for days is "?", and L, W and # pick days by their place in the month.
package cron

import (
	"math/bits"
	"strconv"
	"strings"
	"time"

	"penstock/internal/fault"
)

// MaxLength is the most characters of an expression that is read.
const MaxLength = 256

const (
	firstYear = 1970
	lastYear  = 2199
)

// Expression is a parsed cron expression. It is immutable.
type Expression struct {
	minutes, hours, months uint64
	days                   monthDays
	weekdays               weekDays
	years                  [4]uint64 // from firstYear on
	// byWeek says that the day of the month is "?".
	byWeek bool
}

// monthDays are days by their number in the month.
type monthDays struct {
	set uint64
	// fromEnd has the bit n for the n-th day before the last.
	fromEnd uint64
	// nearest has the bit n for the working day nearest to day n; lastWorking is LW.
	nearest     uint64
	lastWorking bool
}

// weekDays are days by their name. Bit 0 is Sunday.
type weekDays struct {
	set, last uint64
	nth       [6]uint64 // by the number of the week, from 1
}

// Parse reads the inside of EventBridge's cron(…): minutes, hours, day of the month, month, day
// of the week, year. The error is a *fault.Error ValidationException that names the field.
func Parse(text string) (*Expression, error) {
	fields, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(fields) != 6 {
		return nil, invalid("a cron expression has six fields (minutes, hours, day of the month, month, day of the week, year); %q has %d", text, len(fields))
	}
	return compile(fields)
}

// ParseWindow reads the expression of a deployment window: seconds, minutes, hours, day of the
// month, month, day of the week, and perhaps a year. The seconds are checked and then do not
// matter (S-214).
func ParseWindow(text string) (*Expression, error) {
	fields, err := split(text)
	if err != nil {
		return nil, err
	}
	if len(fields) == 6 {
		fields = append(fields, "*")
	}
	if len(fields) != 7 {
		return nil, invalid("a cron expression has six fields and perhaps a year (seconds, minutes, hours, day of the month, month, day of the week, year); %q has %d", text, len(fields))
	}
	if _, err := (&field{name: "seconds", min: 0, max: 59}).parse(fields[0]); err != nil {
		return nil, err
	}
	return compile(fields[1:])
}

func split(text string) ([]string, error) {
	if len(text) > MaxLength {
		return nil, invalid("a cron expression has at most %d characters", MaxLength)
	}
	return strings.Fields(strings.ToUpper(text)), nil
}

func invalid(format string, args ...any) error {
	return fault.New("ValidationException", "Parameter ScheduleExpression is not valid: "+format+".", args...)
}

// Matches says whether the minute of t, by the clock of its location, is one of the expression.
func (e *Expression) Matches(t time.Time) bool {
	return e.day(t) && e.hours>>t.Hour()&1 == 1 && e.minutes>>t.Minute()&1 == 1
}

// Next gives the first minute after t that matches, by the clock of t's location, and false if
// there is none until the year 2199. Where clocks are put forward the minutes that are left
// out do not come; where they are put back the repeated ones come twice, as with Matches.
func (e *Expression) Next(t time.Time) (time.Time, bool) {
	loc := t.Location()
	// Seconds of an offset do not matter: every zone's offset today is in whole minutes.
	t = t.Add(-time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond())).Add(time.Minute)
	for t.Year() <= lastYear {
		year, month, day := t.Date()
		switch {
		case !e.year(year):
			t = later(t, time.Date(year+1, 1, 1, 0, 0, 0, 0, loc))
		case e.months>>int(month)&1 == 0:
			t = later(t, time.Date(year, month+1, 1, 0, 0, 0, 0, loc))
		case !e.day(t):
			t = later(t, time.Date(year, month, day+1, 0, 0, 0, 0, loc))
		case e.hours>>t.Hour()&1 == 0:
			t = t.Add(time.Duration(60-t.Minute()) * time.Minute)
		case e.minutes>>t.Minute()&1 == 0:
			t = t.Add(time.Minute)
		default:
			return t, true
		}
	}
	return time.Time{}, false
}

// later makes sure that a search goes on where midnight does not exist, or exists twice.
func later(t, next time.Time) time.Time {
	if next.After(t) {
		return next
	}
	return t.Add(time.Minute)
}

func (e *Expression) year(y int) bool {
	i := y - firstYear
	return i >= 0 && y <= lastYear && e.years[i/64]>>(i%64)&1 == 1
}

// day says whether the date of t is one of the expression's.
func (e *Expression) day(t time.Time) bool {
	year, month, day := t.Date()
	if !e.year(year) || e.months>>int(month)&1 == 0 {
		return false
	}
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if e.byWeek {
		return e.weekdays.has(int(t.Weekday()), day, last)
	}
	return e.days.has(int(t.Weekday()), day, last)
}

func (w *weekDays) has(weekday, day, last int) bool {
	return w.set>>weekday&1 == 1 || w.last>>weekday&1 == 1 && day+7 > last || w.nth[(day+6)/7]>>weekday&1 == 1
}

func (m *monthDays) has(weekday, day, last int) bool {
	if m.set>>day&1 == 1 || m.fromEnd>>(last-day)&1 == 1 {
		return true
	}
	if m.lastWorking && day == nearest(last, last, weekday+35+last-day) {
		return true
	}
	for set := m.nearest; set != 0; set &= set - 1 {
		n := bits.TrailingZeros64(set)
		if n <= last && day == nearest(n, last, weekday+35+n-day) {
			return true
		}
	}
	return false
}

// nearest gives the working day nearest to day n, which is on the given weekday, within its
// month: a Saturday at its beginning becomes the Monday, a Sunday at its end the Friday.
func nearest(n, last, weekday int) int {
	switch weekday % 7 {
	case 6:
		if n == 1 {
			return 3
		}
		return n - 1
	case 0:
		if n == last {
			return n - 2
		}
		return n + 1
	}
	return n
}

// Zone gives the location of a time zone's name as S-214 has it: Region/City and the three to
// five letters of a zone, which load knows (time.LoadLocation does), and UTC with an offset.
// An empty name is UTC.
func Zone(name string, load func(string) (*time.Location, error)) (*time.Location, error) {
	if name == "" || name == "UTC" {
		return time.UTC, nil
	}
	wrong := fault.New("ValidationException", "The time zone %q is not known. It is like Europe/Berlin, UTC+02:00 or CET.", name)
	if offset, ok := strings.CutPrefix(name, "UTC"); ok {
		if len(offset) != 6 || offset[0] != '+' && offset[0] != '-' || offset[3] != ':' {
			return nil, wrong
		}
		hours, err1 := strconv.ParseUint(offset[1:3], 10, 8)
		minutes, err2 := strconv.ParseUint(offset[4:], 10, 8)
		if err1 != nil || err2 != nil || hours > 14 || minutes > 59 {
			return nil, wrong
		}
		seconds := int(hours*60+minutes) * 60
		if offset[0] == '-' {
			seconds = -seconds
		}
		return time.FixedZone(name, seconds), nil
	}
	// Letters and what separates them only: the name becomes a path somewhere.
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/_+-", r)) {
			return nil, wrong
		}
	}
	if len(name) > 64 || strings.EqualFold(name, "Local") {
		return nil, wrong
	}
	loc, err := load(name)
	if err != nil {
		return nil, wrong
	}
	return loc, nil
}
