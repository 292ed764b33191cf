// Command hello greets, and says which commit it was built from.
package main

import (
	"os"
	"strings"
)

// commit is set by the build.
var commit = "unknown"

func greet(name string) string { return "Hello, " + strings.TrimSpace(name) + "!" }

func main() {
	os.Stdout.WriteString(greet("world") + " I was built from commit " + commit + ".\n")
}
