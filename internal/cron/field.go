package cron

import (
	"strconv"
	"strings"
)

// field is what one field may say.
type field struct {
	name     string
	min, max int
	// words are names of values, the first standing for min.
	words []string
	// special reads items that only this field has; it says whether the item was one.
	special func(item string) (ok bool, err error)
}

var (
	monthWords   = []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}
	weekdayWords = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}
)

// parse gives the values of a field as bits, counted from 0 where they fit and otherwise, for
// years, through each.
func (f *field) parse(text string) (set uint64, err error) {
	err = f.each(text, func(v int) { set |= 1 << v })
	return set, err
}

// each calls add for every value that the field says.
func (f *field) each(text string, add func(int)) error {
	for item := range strings.SplitSeq(text, ",") {
		if f.special != nil {
			if ok, err := f.special(item); err != nil {
				return err
			} else if ok {
				continue
			}
		}
		if err := f.item(item, add); err != nil {
			return err
		}
	}
	return nil
}

// item reads A, A-B, *, and each of them with /STEP; A/STEP goes on to the end.
func (f *field) item(item string, add func(int)) error {
	span, steps, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		var err error
		if step, err = number(steps); err != nil || step < 1 || step > f.max {
			return f.wrong(item)
		}
	}
	from, to := f.min, f.max
	if first, last, isRange := strings.Cut(span, "-"); isRange {
		var ok1, ok2 bool
		from, ok1 = f.value(first)
		to, ok2 = f.value(last)
		if !ok1 || !ok2 || to < from && f.max >= firstYear {
			return f.wrong(item)
		}
	} else if span != "*" && (span != "" || !stepped) {
		var ok bool
		if from, ok = f.value(span); !ok {
			return f.wrong(item)
		}
		if !stepped {
			to = from
		}
	}
	if to < from { // over the end, such as 22-2 or FRI-MON
		to += f.max - f.min + 1
	}
	for v := from; v <= to; v += step {
		n := v
		if n > f.max {
			n -= f.max - f.min + 1
		}
		add(n)
	}
	return nil
}

func (f *field) wrong(item string) error {
	return invalid("%q is no value of the field %s", item, f.name)
}

// value reads a number or a name.
func (f *field) value(text string) (int, bool) {
	for i, word := range f.words {
		if text == word {
			return f.min + i, true
		}
	}
	n, err := number(text)
	return n, err == nil && n >= f.min && n <= f.max
}

// number reads digits only; strconv would take a sign.
func number(text string) (int, error) {
	if strings.Trim(text, "0123456789") != "" {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(text)
}

func compile(fields []string) (*Expression, error) {
	e := &Expression{}
	var err error
	if e.minutes, err = (&field{name: "minutes", max: 59}).parse(fields[0]); err != nil {
		return nil, err
	}
	if e.hours, err = (&field{name: "hours", max: 23}).parse(fields[1]); err != nil {
		return nil, err
	}
	if e.months, err = (&field{name: "month", min: 1, max: 12, words: monthWords}).parse(fields[3]); err != nil {
		return nil, err
	}
	days, weekdays := fields[2], fields[4]
	if (days == "?") == (weekdays == "?") {
		return nil, invalid("one of the fields day of the month and day of the week is \"?\", and the other is not; they are %q and %q", days, weekdays)
	}
	e.byWeek = days == "?"
	if e.byWeek {
		err = e.weekdays.parse(weekdays)
	} else {
		err = e.days.parse(days)
	}
	if err != nil {
		return nil, err
	}
	years := field{name: "year", min: firstYear, max: lastYear}
	err = years.each(fields[5], func(y int) { e.years[(y-firstYear)/64] |= 1 << ((y - firstYear) % 64) })
	if err != nil {
		return nil, err
	}
	return e, nil
}

// parse reads L, L-N, LW and NW beside the plain values.
func (m *monthDays) parse(text string) (err error) {
	f := field{name: "day of the month", min: 1, max: 31}
	f.special = func(item string) (bool, error) {
		switch before, isOffset := strings.CutPrefix(item, "L-"); {
		case item == "L":
			m.fromEnd |= 1
			return true, nil
		case item == "LW":
			m.lastWorking = true
			return true, nil
		case isOffset:
			n, err := number(before)
			if err != nil || n > 30 {
				return false, f.wrong(item)
			}
			m.fromEnd |= 1 << n
			return true, nil
		}
		day, ok := strings.CutSuffix(item, "W")
		if !ok {
			return false, nil
		}
		n, err := number(day)
		if err != nil || n < 1 || n > 31 {
			return false, f.wrong(item)
		}
		m.nearest |= 1 << n
		return true, nil
	}
	m.set, err = f.parse(text)
	return err
}

// parse reads L (Saturday), NL (the last such day of the month) and N#K (its K-th) beside the
// plain values.
func (w *weekDays) parse(text string) error {
	f := field{name: "day of the week", min: 1, max: 7, words: weekdayWords}
	f.special = func(item string) (bool, error) {
		if item == "L" {
			w.set |= 1 << 6
			return true, nil
		}
		if day, week, ok := strings.Cut(item, "#"); ok {
			d, known := f.value(day)
			k, err := number(week)
			if !known || err != nil || k < 1 || k > 5 {
				return false, f.wrong(item)
			}
			w.nth[k] |= 1 << (d - 1)
			return true, nil
		}
		if day, ok := strings.CutSuffix(item, "L"); ok {
			d, known := f.value(day)
			if !known {
				return false, f.wrong(item)
			}
			w.last |= 1 << (d - 1)
			return true, nil
		}
		return false, nil
	}
	return f.each(text, func(d int) { w.set |= 1 << (d - 1) })
}
