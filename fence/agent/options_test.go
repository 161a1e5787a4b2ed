package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestOptionsAgainstMetadata(t *testing.T) {
	m := described(t, program(t, frame, "exit 0"))
	m.Name = "fence_test"
	for _, row := range []struct {
		name  string
		given string // name=value, name!=secret
		says  []string
	}{
		{"all is well", "ip=10.1.0.5 lanplus=1 delay=0 ipport=623 method=onoff password!=x", nil},
		{"every word for true and false", "ip=10.1.0.5 lanplus=TRUE", nil},
		{"unknown", "ip=10.1.0.5 adress=1", []string{"option adress: fence_test has no such option; choose from delay, ip, ipport, lanplus, method, nodename, password, plug, power_wait, ssl_insecure"}},
		{"in another spelling", "ip=10.1.0.5 LAN-plus=1 Power-Wait=1", []string{"option LAN-plus: fence_test has no such option; choose from delay, ip, ipport, lanplus, method, nodename, password, plug, power_wait, ssl_insecure", "option Power-Wait: fence_test has no such option; write power_wait"}},
		{"obsolete, with a new name", "ipaddr=10.1.0.5", []string{"option ipaddr: is obsolete; write ip"}},
		{"obsolete, without one", "ip=10.1.0.5 old=1", []string{"option old: is obsolete; remove it; see man fence_test"}},
		{"missing", "plug=5", []string{"option ip: is missing; write it; see man fence_test"}},
		{"not a boolean", "ip=10.1.0.5 lanplus=2", []string{`option lanplus: "2" isn't 1 or 0; see man fence_test`}},
		{"not seconds", "ip=10.1.0.5 delay=5s power_wait=-1", []string{`option delay: "5s" isn't a number of seconds; see man fence_test`, `option power_wait: "-1" isn't a number of seconds; see man fence_test`}},
		{"not a number", "ip=10.1.0.5 ipport=ipmi", []string{`option ipport: "ipmi" isn't a number; see man fence_test`}},
		{"a wrong secret isn't shown", "ip=10.1.0.5 ipport!=s3cret", []string{`option ipport: isn't a number; see man fence_test`}},
		{"not a choice", "ip=10.1.0.5 method=soft", []string{`option method: "soft" isn't one of onoff, cycle; see man fence_test`}},
		{"a line break", "ip=10.1.0.5\naction=on", []string{"option ip: has a line break or another control character; write it on one line"}},
		{"a secret and not", "ip=10.1.0.5 password=x password!=x", []string{"option password: is here, and as a secret, too; keep the secret"}},
		{"our action", "ip=10.1.0.5 action=reboot", []string{"option action: isn't for the file to say: off and status are asked for as they are needed; remove it"}},
		{"the old name of the action", "ip=10.1.0.5 option=off", []string{"option option: isn't for the file to say: it is obsolete for action, and off and status are asked for as they are needed; remove it"}},
		{"nothing at all", "ip=10.1.0.5 version=1", []string{"option version: isn't for the file to say: with it the agent does nothing, and says that all went well; remove it"}},
		{"power cycle", "ip=10.1.0.5 method=Cycle", []string{"option method: would fake proof: a power cycle succeeds while the machine runs; write onoff, or remove it"}},
		{"missing as off", "ip=10.1.0.5 missing_as_off=1", []string{"option missing_as_off: would fake proof: a machine that the device can't see would count as off; remove it"}},
		{"missing as off, denied, which some agents take for set", "ip=10.1.0.5 missing_as_off=0", []string{"option missing_as_off: would fake proof: a machine that the device can't see would count as off; remove it"}},
		{"the network for the power", "ip=10.1.0.5 network_fencing=1", []string{"option network_fencing: would fake proof: a machine whose network is cut would count as off while it runs; remove it"}},
		{"secrets in a file", "ip=10.1.0.5 debug_file=/tmp/x", []string{"option debug_file: writes the passwords into a file; remove it; try the agent by hand instead"}},
		{"no check of the certificate", "ip=10.1.0.5 ssl_insecure=1", []string{"doubt: option ssl_insecure: lets whoever is on the way forge that a node is off; remove it where the device has a certificate that can be checked"}},
		{"pauses beyond the limit", "ip=10.1.0.5 delay=20 power_wait=10", []string{"delay and power_wait, 30s together, aren't shorter than the timeout, 30s: the agent would be killed before it has done anything; remove them, or give a longer timeout"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := Options{Values: map[string]string{}, Secrets: map[string]string{}}
			for _, g := range strings.Split(row.given, " ") {
				name, value, _ := strings.Cut(g, "=")
				if plain, secret := strings.CutSuffix(name, "!"); secret {
					o.Secrets[plain] = value
				} else {
					o.Values[name] = value
				}
			}
			var got []string
			doubts := 0
			for _, p := range m.Check(o) {
				text := p.String()
				if p.Doubt {
					doubts++
					text = "doubt: " + text
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(row.says, got); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
			if _, err := New(m, o); (err != nil) != (len(got) > doubts) {
				t.Errorf("New: %v", err)
			}
		})
	}
	if _, err := New(m, Options{Values: map[string]string{"ip": "10.1.0.5"}, Timeout: -time.Second}); err == nil {
		t.Error("a negative timeout was taken")
	}
}

func TestAgentsThatProveNothing(t *testing.T) {
	action := func(old, with string) string { return strings.Replace(frame, old, with, 1) }
	for _, row := range []struct{ name, metadata, says string }{
		{"fabric", action(`<action name="on"/>`, `<action name="on" automatic="1"/>`), "storage or network, not its power"},
		{"fabric of the node's own", action(`<action name="on"/>`, `<action name="on" on_target="1"/>`), "storage or network, not its power"},
		{"no off", action(`<action name="off"/>`, ""), "a reboot is no proof"},
		{"no status", action(`<action name="status"/>`, ""), "nothing would prove that the power is off"},
		{"fakes by default", action(`<parameter name="missing_as_off" required="0"><content type="boolean"/>`, `<parameter name="missing_as_off" required="0"><content type="boolean" default="1"/>`), "missing_as_off is its default"},
		{"not an agent", "hello", "it isn't a fence agent"},
		{"half a document", frame[:300], "it isn't a fence agent"},
		{"broken XML", action("</parameters>", ""), "its XML"},
		{"endless", strings.Repeat(" ", 70000) + frame, "more than 65536 bytes"},
	} {
		if _, err := Read(t.Context(), program(t, row.metadata, "exit 0")); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q", row.name, err, row.says)
		}
	}
	noisy := "warning: old library\n" + frame + "\nbye"
	if _, err := Read(t.Context(), program(t, noisy, "exit 0")); err != nil {
		t.Errorf("warnings around the metadata: %v", err)
	}
	for name, says := range map[string]string{
		"fence_of_nobody":     "isn't installed",
		"../sbin/fence_dummy": "neither a name",
		"ipmilan":             "neither a name",
		"/nonexistent/fence":  "no such file",
	} {
		if _, err := Read(t.Context(), name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", name, err, says)
		}
	}
}
