package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"strings"
	"time"
)

// Metric is what data are kept of.
type Metric struct {
	Account, Region, Namespace, Name string
	// Dimensions is the room's text of them: equal for equal ones.
	Dimensions string
}

// ID is a hash of all that tells metrics apart.
func (m Metric) ID() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{m.Account, m.Region, m.Namespace, m.Name, m.Dimensions}, "\x00")))
	return hex.EncodeToString(sum[:20])
}

// Minute is what a metric had in a minute, or in a period that begins there. Minutes are counted
// from 1970.
type Minute struct {
	Minute int64
	// Unit is what the samples are counted in.
	Unit string
	// Samples is how many there were; they need not be whole.
	Samples, Total, Least, Most float64
}

// MinuteOf counts the minutes from 1970 to a time.
func MinuteOf(t time.Time) int64 { return t.Unix() / 60 }

// AddMetric makes sure that there is a metric with data of a minute, and says whether it is new.
func (tx *Tx) AddMetric(ctx context.Context, m Metric, minute int64) (bool, error) {
	n, err := tx.exec(ctx, `INSERT INTO metric (id, account, region, namespace, name, dimensions, seen) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		m.ID(), m.Account, m.Region, m.Namespace, m.Name, m.Dimensions, minute)
	if err != nil || n == 1 {
		return n == 1, err
	}
	_, err = tx.exec(ctx, `UPDATE metric SET seen = $2 WHERE id = $1 AND seen < $2`, m.ID(), minute)
	return false, err
}

// AddMinute adds samples to those a metric has of the minute and unit. Alarms of the metric are
// then due at once.
func (tx *Tx) AddMinute(ctx context.Context, metric string, a Minute) error {
	_, err := tx.exec(ctx, `INSERT INTO metric_minute (metric, minute, unit, samples, total, least, most) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (metric, minute, unit) DO UPDATE SET samples = metric_minute.samples + excluded.samples, total = metric_minute.total + excluded.total,
		least = CASE WHEN excluded.least < metric_minute.least THEN excluded.least ELSE metric_minute.least END,
		most = CASE WHEN excluded.most > metric_minute.most THEN excluded.most ELSE metric_minute.most END`,
		metric, a.Minute, a.Unit, a.Samples, a.Total, a.Least, a.Most)
	if err != nil {
		return err
	}
	// Those that are due already too: whoever looks at one now may not see these samples.
	n, err := tx.exec(ctx, `UPDATE metric_alarm SET next = $2 WHERE metric = $1`, metric, micros(tx.Now()))
	if n > 0 {
		tx.Wake(TopicAlarms)
	}
	return err
}

// Periods gives what a metric has in each period of so many minutes, oldest first, by unit; the
// first period begins at from, and the end is not in it. An empty unit is all.
func (tx *Tx) Periods(ctx context.Context, metric, unit string, from, end, length int64) ([]Minute, error) {
	return all(ctx, tx, `SELECT period, unit, SUM(samples), SUM(total), MIN(least), MAX(most) FROM
		(SELECT minute - (minute - $2) % $4 AS period, unit, samples, total, least, most FROM metric_minute
			WHERE metric = $1 AND minute >= $2 AND minute < $3 AND ($5 = '' OR unit = $5)) AS of_period
		GROUP BY period, unit ORDER BY period, unit`, []any{metric, from, end, length, unit}, func(rows *sql.Rows) (a Minute, err error) {
		return a, rows.Scan(&a.Minute, &a.Unit, &a.Samples, &a.Total, &a.Least, &a.Most)
	})
}

// ListMetrics gives up to limit metrics of an account and Region, those after one, in the order
// of namespace, name and id; an empty namespace or name is all. Metrics without data since a
// minute are left out.
func (tx *Tx) ListMetrics(ctx context.Context, account, region, namespace, name string, after Metric, since int64, limit int) ([]Metric, error) {
	last := ""
	if after != (Metric{}) {
		last = after.ID()
	}
	return all(ctx, tx, `SELECT account, region, namespace, name, dimensions FROM metric WHERE account = $1 AND region = $2
		AND ($3 = '' OR namespace = $3) AND ($4 = '' OR name = $4) AND (namespace, name, id) > ($5, $6, $7) AND seen >= $8
		ORDER BY namespace, name, id LIMIT $9`,
		[]any{account, region, namespace, name, after.Namespace, after.Name, last, since, limit}, func(rows *sql.Rows) (m Metric, err error) {
			return m, rows.Scan(&m.Account, &m.Region, &m.Namespace, &m.Name, &m.Dimensions)
		})
}

// CountMetrics counts the metrics of an account and Region.
func (tx *Tx) CountMetrics(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM metric WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// MetricAlarm is an alarm on one metric. Doc is the room's.
type MetricAlarm struct {
	Account, Region, Name string
	// Metric is the id of the metric.
	Metric string
	// State is OK, ALARM or INSUFFICIENT_DATA.
	State string
	// Next is when it is looked at again.
	Next time.Time
	Doc  string
}

// TopicAlarms is woken when an alarm is due sooner than it was.
const TopicAlarms = "alarms"

const alarmColumns = `account, region, name, metric, state, next, doc`

func scanAlarm(rows *sql.Rows) (MetricAlarm, error) {
	var a MetricAlarm
	var next int64
	err := rows.Scan(&a.Account, &a.Region, &a.Name, &a.Metric, &a.State, &next, &a.Doc)
	a.Next = fromMicros(next)
	return a, err
}

// PutMetricAlarm keeps an alarm in the place of one of its name.
func (tx *Tx) PutMetricAlarm(ctx context.Context, a MetricAlarm) error {
	_, err := tx.exec(ctx, `INSERT INTO metric_alarm (`+alarmColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account, region, name) DO UPDATE SET metric = excluded.metric, state = excluded.state, next = excluded.next, doc = excluded.doc`,
		a.Account, a.Region, a.Name, a.Metric, a.State, micros(a.Next), a.Doc)
	tx.Wake(TopicAlarms)
	return err
}

// LockMetricAlarm gives an alarm that the transaction is about to change; ErrNotFound if there
// is none.
func (tx *Tx) LockMetricAlarm(ctx context.Context, account, region, name string) (MetricAlarm, error) {
	return first(all(ctx, tx, `SELECT `+alarmColumns+` FROM metric_alarm WHERE account = $1 AND region = $2 AND name = $3`+tx.forUpdate(), []any{account, region, name}, scanAlarm))
}

// ListMetricAlarms gives up to limit alarms of an account and Region by name, those whose name
// begins with prefix and is after a name; an empty state is all.
func (tx *Tx) ListMetricAlarms(ctx context.Context, account, region, prefix, after, state string, limit int) ([]MetricAlarm, error) {
	return all(ctx, tx, `SELECT `+alarmColumns+` FROM metric_alarm WHERE account = $1 AND region = $2 AND name > $3 AND name >= $4 AND name < $5
		AND ($6 = '' OR state = $6) ORDER BY name LIMIT $7`, []any{account, region, after, prefix, prefix + "\U0010FFFF", state, limit}, scanAlarm)
}

// CountMetricAlarms counts the alarms of an account and Region.
func (tx *Tx) CountMetricAlarms(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM metric_alarm WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// DueMetricAlarms gives the first alarms, due or not, in the order of their times.
func (tx *Tx) DueMetricAlarms(ctx context.Context, limit int) ([]MetricAlarm, error) {
	return all(ctx, tx, `SELECT `+alarmColumns+` FROM metric_alarm ORDER BY next LIMIT $1`, []any{limit}, scanAlarm)
}

// DeleteMetricAlarm removes an alarm; ErrNotFound if there is none.
func (tx *Tx) DeleteMetricAlarm(ctx context.Context, account, region, name string) error {
	return found(tx.exec(ctx, `DELETE FROM metric_alarm WHERE account = $1 AND region = $2 AND name = $3`, account, region, name))
}

// MetricAlarmsNamed gives those alarms of an account and Region that have one of the names, by
// name. There can be a hundred names.
func (tx *Tx) MetricAlarmsNamed(ctx context.Context, account, region string, names []string) ([]MetricAlarm, error) {
	if len(names) == 0 {
		return nil, nil
	}
	in, args := inList([]any{account, region}, names)
	return all(ctx, tx, `SELECT `+alarmColumns+` FROM metric_alarm WHERE account = $1 AND region = $2 AND name IN `+in+` ORDER BY name`, args, scanAlarm)
}
