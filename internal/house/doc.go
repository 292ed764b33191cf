// Package house keeps the rules of the house as tests.
//
// Each rule reads the whole tree and names every place that breaks it: the file and line,
// the rule, and the mend. The rules are listed in house_test.go; the table of allowed
// imports is in layers_test.go. A new rule comes with a tree in testdata that breaks it,
// so that a rule which no longer sees anything is noticed.
package house
