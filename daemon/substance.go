package daemon

import (
	"encoding/json"
	"slices"

	"github.com/solevip/solevip/api"
)

// substance is a status without what changes by itself, to compare two.
func substance(s api.Status) string {
	s.Nodes, s.Groups = slices.Clone(s.Nodes), slices.Clone(s.Groups)
	for i := range s.Nodes {
		s.Nodes[i].BeatAgeMS = min(s.Nodes[i].BeatAgeMS, 0)
		s.Nodes[i].FencePaths = slices.Clone(s.Nodes[i].FencePaths)
		for j := range s.Nodes[i].FencePaths {
			s.Nodes[i].FencePaths[j].CheckAgeMS = 0
		}
	}
	if m := s.Maintenance; m != nil {
		same := *m
		same.LeftMS, s.Maintenance = 0, &same
	}
	s.Served = slices.Clone(s.Served)
	for i := range s.Served {
		nodes := slices.Clone(s.Served[i].Nodes)
		for j := range nodes {
			nodes[j].BeatAgeMS = min(nodes[j].BeatAgeMS, 0)
		}
		s.Served[i].Nodes = nodes
	}
	for i := range s.Groups {
		s.Groups[i].DeadlineMS = 0
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a Status is plain values
	}
	return string(b)
}
