package bmc

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sockets counts the UDP sockets on one port, as a process's network namespace sees them.
type sockets struct{ own, others int }

// socketsOn reads proc, so that it works for a process in another namespace too.
func socketsOn(pid int, port uint16) (sockets, error) {
	own := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return sockets{}, err
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil {
			own[to] = true
		}
	}
	var s sockets
	for _, table := range []string{"udp", "udp6"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			return sockets{}, err
		}
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st queues timers retrnsmt uid timeout inode ...
			f := strings.Fields(line)
			if len(f) < 10 {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if p, err := strconv.ParseUint(hex, 16, 16); err != nil || uint16(p) != port {
				continue
			}
			if own["socket:["+f[9]+"]"] {
				s.own++
			} else {
				s.others++
			}
		}
	}
	return s, nil
}
