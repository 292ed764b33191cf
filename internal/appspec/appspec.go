// Package appspec reads the AppSpec file of an application that CodeDeploy puts on hosts: which
// files go where, with which permissions, and which scripts run at which lifecycle event (C.1).
//
// The package is pure: text goes in, values and refusals come out. Whether the files are
// there, and what happens to them, is the agent's business.
package appspec

import (
	"fmt"
	"time"
)

const (
	// MaxSize is the largest accepted text in bytes.
	MaxSize = 100 << 10
	// DefaultTimeout is the time of a script that says nothing about it.
	DefaultTimeout = time.Hour
	// maxTimeout is far above what the service allows a lifecycle event and far below what a
	// duration cannot hold.
	maxTimeout = 1_000_000
)

// What to do with a file that is already at its destination and that the deployment before did not put there.
const (
	Disallow  = "DISALLOW"
	Overwrite = "OVERWRITE"
	Retain    = "RETAIN"
)

// Error is a refusal of an AppSpec file, in the words of AWS's agent where it has some.
type Error struct {
	// Line is the line of the text, counted from 1.
	Line int
	// Field names what is wrong, such as hooks.AfterInstall[0].timeout; "" is the whole file.
	Field string
	// Message says what is wrong with which value and what would be right.
	Message string
}

// Error gives the message and the place.
func (e *Error) Error() string {
	at := fmt.Sprintf("line %d", e.Line)
	if e.Field != "" {
		at += ", " + e.Field
	}
	return e.Message + " (" + at + ")"
}

// Spec is one AppSpec file.
type Spec struct {
	// OS is linux or windows.
	OS string
	// Files say what is copied, in the order of the file.
	Files []File
	// FileExistsBehavior overrides that of the deployment; "" says nothing.
	FileExistsBehavior string
	// Permissions are set after all files are in place.
	Permissions []Permission
	// Hooks holds the scripts of each lifecycle event that has any, in their order.
	Hooks map[string][]Script
}

// File is one entry of files.
type File struct {
	// Source is a clean path inside the bundle; "." is all of it.
	Source string
	// Destination is the folder the file, or the contents of the folder, go to: on linux a
	// clean absolute path.
	Destination string
}

// Script is one script of a hook.
type Script struct {
	// Location is a clean path inside the bundle.
	Location string
	// Timeout is the time the script and its outputs have.
	Timeout time.Duration
	// RunAs is the user to run as; "" is the agent's own.
	RunAs string
	// Sudo runs the script through sudo.
	Sudo bool
}

// Permission is one entry of permissions.
type Permission struct {
	// Object is a clean absolute path: a file that is copied, or a folder.
	Object string
	// Pattern and Except choose what lies in the folder.
	Pattern string
	Except  []string
	// Files and Directories say which kinds it is about.
	Files, Directories bool
	// Owner and Group are names; "" leaves them.
	Owner, Group string
	// Mode is three or four octal digits; "" leaves it.
	Mode string
	// ACLs are set in place of those the object has; none leave them.
	ACLs ACL
	// Context is nil where nothing is said of it.
	Context *Context
}

// Context is an SELinux context. User and Range may be "".
type Context struct{ User, Type, Range string }
