package main

import (
	"context"

	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/fence"
	"github.com/solevip/solevip/fence/agent"
)

// agents asks each fence agent for its metadata once, though many devices may use it. It is one
// goroutine's.
type agents struct{ read map[string]*agent.Metadata }

func newAgents() *agents { return &agents{map[string]*agent.Metadata{}} }

func (a *agents) metadata(ctx context.Context, name string) (*agent.Metadata, error) {
	if m, ok := a.read[name]; ok {
		return m, nil
	}
	m, err := agent.Read(ctx, name)
	if err == nil {
		a.read[name] = m
	}
	return m, err
}

// check is what an agent finds wrong with its part of the file: what its metadata says, and when that
// is all right, what it says itself.
func (a *agents) check(ctx context.Context) func(config.Agent) []config.AgentProblem {
	const hint = "see docs/configuration.md#fence-agents"
	return func(c config.Agent) []config.AgentProblem {
		m, err := a.metadata(ctx, c.Name)
		if err != nil {
			return []config.AgentProblem{{What: err.Error(), Hint: hint}}
		}
		var all []config.AgentProblem
		for _, p := range m.Check(agentOptions(c)) {
			all = append(all, config.AgentProblem{Option: p.Option, What: p.What, Hint: p.Hint, Doubt: p.Doubt, Known: p.Known})
		}
		d, err := agent.New(m, agentOptions(c))
		if err != nil {
			return all
		}
		if err := d.Validate(ctx); err != nil {
			all = append(all, config.AgentProblem{What: "validate-all: " + err.Error(), Hint: hint})
		}
		return all
	}
}

func (a *agents) device(ctx context.Context, c config.Agent) (fence.Device, error) {
	m, err := a.metadata(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	return agent.New(m, agentOptions(c))
}

func agentOptions(c config.Agent) agent.Options {
	o := agent.Options{Values: c.Options, Secrets: map[string]string{}, Timeout: c.Timeout}
	for option, secret := range c.Secrets {
		o.Secrets[option] = secret.Reveal()
	}
	return o
}
