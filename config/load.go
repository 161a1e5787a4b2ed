package config

// Files says what becomes of the files that a configuration names: secrets, certificates, hooks.
type Files int

const (
	// SkipFiles looks at none of them. Secrets stay empty.
	SkipFiles Files = iota
	// WarnFiles reads them, and a missing one is a warning: for a check on a machine that is not
	// one of the nodes.
	WarnFiles
	// NeedFiles reads them, and a missing one is an error: for a node that is about to run.
	NeedFiles
)

// Options is who reads a file, and for what.
type Options struct {
	// Node is the node that reads it. It must be in the file, and only its own share of the files
	// is looked at. Empty: anybody, and every file.
	Node  string
	Files Files
}
