package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/solevip/solevip/config"
)

// shared is what of the file must be the same on every node: key by key, for comparison. Paths and
// secrets are not among it: they may differ, and the ledger is no place for them.
func shared(c config.Config) map[string]string {
	out := map[string]string{
		"cluster.port":   fmt.Sprint(c.Cluster.Port),
		"ledger.backend": c.Ledger.Backend,
		"ledger.ttl":     c.Timing.TTL.String(),
		"ledger.margin":  c.Timing.Margin.String(),
	}
	for _, n := range c.Cluster.Nodes {
		out["cluster.nodes."+n.Name] = fmt.Sprintf("%s %s", n.Role, n.Address)
	}
	for _, g := range c.Groups {
		key := "groups." + g.Name + "."
		out[key+"protection"] = string(g.Protection)
		out[key+"accept"] = strings.Join(g.Accept, " ")
		out[key+"preempt"] = fmt.Sprintf("%t %v", g.Preempt, g.PreemptDelay)
		for _, m := range g.Members {
			out[key+"priority."+m] = fmt.Sprint(g.Priority[m])
		}
		for i, in := range byVRID(g.Instances) {
			out[fmt.Sprintf("%sinstances.%d", key, i+1)] = instanceWords(in)
		}
	}
	return out
}

func byVRID(in []config.Instance) []config.Instance {
	return slices.SortedStableFunc(slices.Values(in), func(a, b config.Instance) int { return cmp.Compare(a.VRID, b.VRID) })
}

// instanceWords is a virtual router in a line. Its addresses are sorted: their order means nothing.
func instanceWords(in config.Instance) string {
	var addresses []string
	for _, a := range in.Addresses {
		addresses = append(addresses, a.String())
	}
	slices.Sort(addresses)
	cast := "multicast"
	if in.Unicast {
		cast = "unicast"
	}
	return fmt.Sprintf("vrid %d v%d %v %s %s", in.VRID, in.Version, in.AdvertInterval, cast, strings.Join(addresses, ","))
}
