package agent

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/solevip/solevip/proc"
)

// readTimeout bounds asking an agent for its metadata, which speaks to no device.
const readTimeout = 20 * time.Second

// places are where distributions put agents.
var places = []string{"/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"}

// Metadata is what an agent says of itself. Read it once, and share it.
type Metadata struct {
	Name string // fence_ipmilan, or the path that was given
	path string

	parameters map[string]parameter
	instead    map[string]string // the new name of an obsolete parameter
	actions    map[string]bool
	unfences   bool // it wants to be told when a node may come back: see [Metadata.cutsPower]
}

// parameter is one option.
type parameter struct {
	required, deprecated bool
	kind                 string // boolean, string, second, integer, select
	preset               string
	choices              []string
}

// Read finds an agent, by name or by path, and asks it for its metadata. It refuses an agent that
// doesn't cut power, or can't read it, and says why.
func Read(ctx context.Context, name string) (*Metadata, error) {
	path, err := find(name)
	if err != nil {
		return nil, err
	}
	if err := proc.Check(path); err != nil {
		return nil, err
	}
	if err := refused(path); err != nil {
		return nil, err
	}
	res, err := proc.Run(ctx, proc.Command{
		Path: path, Env: proc.Env(), Stdin: []byte("action=metadata\n"), Timeout: readTimeout,
	})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("exit status %d: %s", res.Code, res.LastLine())
	}
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", name, err)
	}
	m, err := parse(res.Output)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", name, err)
	}
	m.Name, m.path = name, path
	return m, m.cutsPower()
}

// find is the path of an agent.
func find(name string) (string, error) {
	switch {
	case filepath.IsAbs(name):
		return filepath.Clean(name), nil
	case !strings.HasPrefix(name, "fence_") || strings.ContainsAny(name, "/ \t\n"):
		return "", fmt.Errorf("fence agent %q is neither a name like fence_ipmilan nor an absolute path", name)
	}
	for _, dir := range places {
		if path := filepath.Join(dir, name); exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("fence agent %s isn't installed in %s; install the package that has it, fence-agents on Debian",
		name, strings.Join(places, ", "))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// document is the XML (fence-agents' lib/metadata.rng).
type document struct {
	XMLName    xml.Name `xml:"resource-agent"`
	Parameters []struct {
		Name       string `xml:"name,attr"`
		Required   string `xml:"required,attr"`
		Deprecated string `xml:"deprecated,attr"`
		Obsoletes  string `xml:"obsoletes,attr"`
		Content    struct {
			Type    string `xml:"type,attr"`
			Default string `xml:"default,attr"`
			Options []struct {
				Value string `xml:"value,attr"`
			} `xml:"option"`
		} `xml:"content"`
	} `xml:"parameters>parameter"`
	Actions []struct {
		Name      string `xml:"name,attr"`
		Automatic string `xml:"automatic,attr"`
		OnTarget  string `xml:"on_target,attr"`
	} `xml:"actions>action"`
}

// parse reads the XML, which an agent may have surrounded by warnings.
func parse(output []byte) (*Metadata, error) {
	if len(output) >= proc.OutputLimit {
		return nil, fmt.Errorf("it has more than %d bytes", proc.OutputLimit)
	}
	const end = "</resource-agent>"
	from, to := bytes.Index(output, []byte("<resource-agent")), bytes.LastIndex(output, []byte(end))
	if from < 0 || to < from {
		return nil, errors.New("it isn't a fence agent: no <resource-agent> in what it printed")
	}
	var doc document
	if err := xml.Unmarshal(output[from:to+len(end)], &doc); err != nil {
		return nil, fmt.Errorf("its XML: %w", err)
	}
	m := &Metadata{parameters: map[string]parameter{}, instead: map[string]string{}, actions: map[string]bool{}}
	for _, p := range doc.Parameters {
		one := parameter{
			required: p.Required == "1", deprecated: p.Deprecated == "1", kind: p.Content.Type, preset: p.Content.Default,
		}
		for _, o := range p.Content.Options {
			one.choices = append(one.choices, o.Value)
		}
		m.parameters[p.Name] = one
		if p.Obsoletes != "" {
			m.instead[p.Obsoletes] = p.Name
		}
	}
	for _, a := range doc.Actions {
		m.actions[a.Name] = true
		m.unfences = m.unfences || a.Name == "on" && (a.Automatic == "1" || a.OnTarget == "1")
	}
	return m, nil
}
