package store

import (
	"math/bits"
	"strconv"
	"strings"
)

// dialect is the difference between the two databases' SQL.
type dialect int

const (
	sqliteDialect dialect = iota
	postgresDialect
)

// forUpdate ends a SELECT whose rows the transaction is about to change. SQLite needs
// nothing: there is one writer.
func (tx *Tx) forUpdate() string {
	if tx.db.dialect == postgresDialect {
		return " FOR UPDATE"
	}
	return ""
}

// skipLocked ends a SELECT that claims rows nobody else is claiming.
func (tx *Tx) skipLocked() string {
	if tx.db.dialect == postgresDialect {
		return " FOR UPDATE SKIP LOCKED"
	}
	return ""
}

// inList writes values as the list of an IN, numbering the parameters on from args, and
// gives args with the values added. It repeats the last value up to a power of two, so
// that few different statements exist to prepare. An empty list matches nothing, also
// under NOT: do not ask that with it.
func inList[T any](args []any, values []T) (string, []any) {
	if len(values) == 0 {
		return "(NULL)", args
	}
	var names []string
	for i := range 1 << bits.Len(uint(len(values)-1)) {
		args = append(args, values[min(i, len(values)-1)])
		names = append(names, "$"+strconv.Itoa(len(args)))
	}
	return "(" + strings.Join(names, ", ") + ")", args
}
