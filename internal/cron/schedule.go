package cron

import (
	"strings"
	"time"
)

// Schedule is a cron expression in UTC or a rate. It is immutable.
type Schedule struct {
	cron *Expression
	rate time.Duration
}

var units = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// longest is the longest rate: a hundred years, so that sums of times stay in bounds.
const longest = 36500 * 24 * time.Hour

// ParseSchedule reads the ScheduleExpression of an EventBridge rule: cron(…) in UTC, or
// rate(N UNIT) with minute, hour or day, in the plural unless N is 1. The error is a
// *fault.Error ValidationException.
func ParseSchedule(text string) (*Schedule, error) {
	if len(text) > MaxLength {
		return nil, invalid("a schedule expression has at most %d characters", MaxLength)
	}
	if inside, ok := within(text, "cron("); ok {
		e, err := Parse(inside)
		if err != nil {
			return nil, err
		}
		return &Schedule{cron: e}, nil
	}
	inside, ok := within(text, "rate(")
	words := strings.Fields(inside)
	if !ok || len(words) != 2 {
		return nil, invalid("%q is neither rate(5 minutes) nor cron(0 12 * * ? *)", text)
	}
	n, err := number(words[0])
	name, plural := strings.CutSuffix(words[1], "s")
	unit := units[name]
	switch {
	case err != nil || n < 1:
		return nil, invalid("the value %q of a rate is a whole number from 1", words[0])
	case unit == 0:
		return nil, invalid("the unit %q of a rate is minute, minutes, hour, hours, day or days", words[1])
	case plural == (n == 1):
		return nil, invalid("the unit of a rate is in the singular for 1 and in the plural for more; %q is not", inside)
	case time.Duration(n) > longest/unit:
		return nil, invalid("the rate %q is too long", inside)
	}
	return &Schedule{rate: time.Duration(n) * unit}, nil
}

func within(text, open string) (string, bool) {
	text, ok1 := strings.CutPrefix(text, open)
	text, ok2 := strings.CutSuffix(text, ")")
	return text, ok1 && ok2
}

// Next gives the first time after t. began is when the schedule was made or switched on, from
// which a rate counts. The second result is false if there is none.
func (s *Schedule) Next(began, t time.Time) (time.Time, bool) {
	if s.cron != nil {
		return s.cron.Next(t.UTC())
	}
	if t.Before(began) {
		return began.Add(s.rate), true
	}
	return began.Add((t.Sub(began)/s.rate + 1) * s.rate), true
}
