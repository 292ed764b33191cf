// Package e2e drives the real binary with real clients: the aws CLI, the SDKs and git.
package e2e
