//go:build linux

package main

import (
	"regexp"
	"strings"

	"github.com/solevip/solevip/test/lab"
)

// left out of the demo's story: how Raft finds its leader, and states on the way that the decisions
// beside them tell already. `solevip-lab logs` has everything.
var leftOut = regexp.MustCompile(`from=raft|^(claiming|backup|ledger|registered|configuration|leadership handed over)\b|announce: permit`)

// rewritten makes a log's line shorter, in order.
var rewritten = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`/[0-9a-z]{8}\.[0-9a-z]{8}`), ""},                     // a boot's ids, behind its node
	{regexp.MustCompile(`(permit db epoch \d+) until [0-9hms.]+`), "$1"},      // a reading of that node's clock
	{regexp.MustCompile(`^decided  group=db action="(.*?)" epoch=\d+`), "$1"}, // the lab has one group
	{regexp.MustCompile(`^quorum  leader=(\w+)`), "the ledger is led by $1"},
	{regexp.MustCompile(`took=(\d+)(?:\.\d+)?(m?s|µs)`), "in $1$2"}, // no nanoseconds
	{regexp.MustCompile(` (group=db|target=db\d|epoch=\d+)\b`), ""},
}

// plain is a log's line for somebody who doesn't know the program; empty: not for them.
func plain(e lab.Event) string {
	if leftOut.MatchString(e.Text) {
		return ""
	}
	text := e.Text
	for _, r := range rewritten {
		text = r.from.ReplaceAllString(text, r.to)
	}
	return strings.TrimSpace(text)
}
