package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
	"go.yaml.in/yaml/v3"
)

// Files says what becomes of the files that a configuration names: secrets, certificates, hooks.
type Files int

const (
	// SkipFiles looks at none of them. Secrets stay empty.
	SkipFiles Files = iota
	// WarnFiles reads them, and a missing one is a warning: for a check on a machine that may not
	// be one of the nodes.
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
	// CheckAgent asks a fence agent what it thinks of its options, when files are looked at. Nil: no
	// agent is asked.
	CheckAgent func(Agent) []AgentProblem
}

// AgentProblem is something that a fence agent finds wrong.
type AgentProblem struct {
	Option string // empty: the agent itself, which may be missing on this machine
	What   string
	Hint   string
	Doubt  bool // allowed, and yet doubtful
	// Known are the agent's options, where this isn't one.
	Known []string
}

// Load reads the file at a path. A mistake in it is told as [Errors]; any other error is about
// the file itself.
func Load(path string, o Options) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return Config{}, fmt.Errorf("configuration: %w", err)
	}
	return Parse(path, b, o)
}

// Parse reads a file from memory; the name is for the messages. With SkipFiles it reads nothing
// else. The error, if any, is [Errors].
func Parse(name string, b []byte, o Options) (Config, error) {
	d := &document{file: name, marks: map[string]mark{}}
	c := d.decode(b)
	if len(d.marks) > 0 { // there is a mapping to check
		d.check(&c, o)
	}
	c.Warnings = inOrder(d.warnings)
	if len(d.wrongs) > 0 {
		return Config{Warnings: c.Warnings}, Errors(inOrder(d.wrongs))
	}
	return c, nil
}

// decode has viper read the file, with the document as its decoder.
func (d *document) decode(b []byte) Config {
	v := viper.NewWithOptions(viper.WithDecoderRegistry(d))
	v.SetConfigType("yaml")
	var c Config
	if err := v.ReadConfig(bytes.NewReader(b)); err != nil {
		d.wrong("", err.Error(), "see docs/configuration.md")
		return c
	}
	strictly := func(dc *mapstructure.DecoderConfig) {
		dc.DecodeHook, dc.WeaklyTypedInput = nil, false
	}
	if err := v.UnmarshalExact(&c, strictly); err != nil {
		d.wrong("", err.Error(), "see docs/configuration.md")
	}
	return c
}

// Decoder makes the document viper's decoder, whatever the format.
func (d *document) Decoder(string) (viper.Decoder, error) { return d, nil }

// Decode reads the file into the tree that viper decodes. Mistakes are noted, not returned, so
// that what is right can be checked further.
func (d *document) Decode(b []byte, tree map[string]any) error {
	root := d.parse(b)
	if root == nil {
		return nil
	}
	top := field{kind: reflect.TypeFor[Config](), hint: "write keys, such as cluster: and groups:"}
	if !d.is(yaml.MappingNode, root, top, "") {
		return nil
	}
	d.marks[""] = mark{root.Line, root.Column}
	d.fill(tree, root, fieldsOf(top.kind), "")
	return nil
}
