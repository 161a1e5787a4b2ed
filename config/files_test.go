package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// machine is a directory with the files that the example names, and the example changed to name
// them there.
func machine(t *testing.T) (dir, text string) {
	t.Helper()
	dir = t.TempDir()
	put(t, dir, "ca.crt", "ca", 0o644)
	put(t, dir, "db1.crt", "cert", 0o644)
	put(t, dir, "db1.key", "key", 0o600)
	put(t, dir, "db1.pass", "hunter1\n", 0o600)
	put(t, dir, "db2.pass", "hunter2\n", 0o640)
	put(t, dir, "pdu.headers", "# the PDU's\nAuthorization: Bearer hunter3\n\nX-Outlet:5\n", 0o600)
	put(t, dir, "promote.sh", "#!/bin/sh\n", 0o755)
	put(t, dir, "demote.sh", "#!/bin/sh\n", 0o755)
	return dir, strings.ReplaceAll(string(Example), "/etc/solevip", dir)
}

func put(t *testing.T, dir, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// load writes a configuration beside its files and loads it.
func load(t *testing.T, dir, text string, o Options) (Config, error) {
	t.Helper()
	put(t, dir, "solevip.yaml", text, 0o644)
	return Load(filepath.Join(dir, "solevip.yaml"), o)
}

func TestLoadReadsTheSecretsThatANodeNeeds(t *testing.T) {
	dir, text := machine(t)
	for _, row := range []struct {
		node     string
		db1, db2 string // passwords
	}{
		{"db1", "", "hunter2"}, // a node never fences itself
		{"", "hunter1", "hunter2"},
	} {
		files := NeedFiles
		c, err := load(t, dir, text, Options{Node: row.node, Files: files})
		if err != nil {
			t.Fatalf("node %q: %v", row.node, err)
		}
		got := []string{c.Fencing[0].Levels[0][0].IPMI.Password.Reveal(), c.Fencing[1].Levels[0][0].IPMI.Password.Reveal()}
		if diff := cmp.Diff([]string{row.db1, row.db2}, got); diff != "" {
			t.Errorf("node %q: passwords (-want +got):\n%s", row.node, diff)
		}
		if row.node != "" {
			continue
		}
		var headers []string
		for _, h := range c.Fencing[0].Levels[1][0].Webhook.Headers {
			headers = append(headers, h.Name+"="+h.Value.Reveal())
		}
		if diff := cmp.Diff([]string{"Authorization=Bearer hunter3", "X-Outlet=5"}, headers); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	}
}

func TestAnArbiterNeedsOnlyItsCertificate(t *testing.T) {
	dir, text := machine(t)
	for _, name := range []string{"db1.pass", "db2.pass", "pdu.headers", "promote.sh", "demote.sh", "db1.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, dir, "arb.crt", "cert", 0o644)
	put(t, dir, "arb.key", "key", 0o600)
	if _, err := load(t, dir, text, Options{Node: "arb", Files: NeedFiles}); err != nil {
		t.Error(err)
	}
}

// problemsOf strips what differs between machines.
func problemsOf(dir string, c Config, err error) []string {
	lines := said(c, err)
	for i, l := range lines {
		_, l, _ = strings.Cut(strings.ReplaceAll(l, dir+"/", ""), "solevip.yaml:")
		lines[i] = l
	}
	return lines
}

func TestMissingFilesAreErrorsToRunAndWarningsToCheck(t *testing.T) {
	dir, text := machine(t)
	if err := os.Remove(filepath.Join(dir, "db2.pass")); err != nil {
		t.Fatal(err)
	}
	want := []string{`26:69: fencing.db2.levels[0][0].ipmi.password_file: no such file or directory; put the file there, or correct the path`}

	c, err := load(t, dir, text, Options{Node: "db1", Files: NeedFiles})
	if diff := cmp.Diff(want, problemsOf(dir, c, err)); diff != "" || err == nil {
		t.Errorf("run: %v (-want +got):\n%s", err, diff)
	}
	c, err = load(t, dir, text, Options{Node: "db1", Files: WarnFiles})
	if diff := cmp.Diff(want, problemsOf(dir, c, err)); diff != "" || err != nil {
		t.Errorf("check: %v (-want +got):\n%s", err, diff)
	}
	if c, err = load(t, dir, text, Options{Node: "db1"}); err != nil || len(c.Warnings) > 0 {
		t.Errorf("parse alone: %v %v", err, c.Warnings)
	}
}

func TestFilesThatWillNotDo(t *testing.T) {
	pass := func(text string, mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) { put(t, dir, "db2.pass", text, mode) }
	}
	for _, row := range []struct {
		name string
		do   func(*testing.T, string)
		want string
	}{
		{"a secret that everybody may read", pass("hunter2", 0o644), "every user of the machine may use the file (0644); run chmod o= on it"},
		{"an empty password", pass("\n", 0o600), "the password is empty; write it there"},
		{"two lines", pass("hunter2\nhunter3\n", 0o600), "the password has several lines; leave only the password there"},
		{"more than IPMI takes", pass("hunter2-hunter2-hunter2", 0o600), "the password has more than 20 bytes; shorten it there and on the device"},
		{"a directory for a secret", func(t *testing.T, dir string) {
			os.Remove(filepath.Join(dir, "db2.pass"))
			if err := os.Mkdir(filepath.Join(dir, "db2.pass"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file; correct the path"},
		{"a huge secret", pass(strings.Repeat("x", maxSecret+1), 0o600), "the file has 65537 bytes, more than 65536; correct the path"},
		{"a hook that can't be run", func(t *testing.T, dir string) { put(t, dir, "promote.sh", "", 0o644) }, "is not executable; run chmod +x on it"},
		{"no hook", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "demote.sh")) }, "no such file or directory; put the program there"},
		{"a private key for everybody", func(t *testing.T, dir string) { put(t, dir, "db1.key", "", 0o604) }, "every user of the machine may use the file (0604); run chmod o= on it"},
		{"no certificate", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "db1.crt")) }, "no such file or directory; put the file there, or correct the path"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir, text := machine(t)
			row.do(t, dir)
			c, err := load(t, dir, text, Options{Node: "db1", Files: NeedFiles})
			got := problemsOf(dir, c, err)
			if len(got) != 1 || !strings.HasSuffix(got[0], ": "+row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestHeadersFilesThatWillNotDo(t *testing.T) {
	for text, want := range map[string]string{
		"Authorization hunter3\nX-A: 1\n": "line 1 of the file is not a header; write Name: value",
		"X-A: 1\nX B: hunter3\n":          "line 2 of the file is not a header; write Name: value",
		"X-A: hun\x01ter3\nX-B: 1\n":      "line 1 of the file is not a header; write Name: value",
		"# none\n":                        "the file has no header; write Name: value, or remove the key",
	} {
		dir, example := machine(t)
		put(t, dir, "pdu.headers", text, 0o600)
		c, err := load(t, dir, example, Options{Node: "db2", Files: WarnFiles})
		got := slices.DeleteFunc(problemsOf(dir, c, err), func(l string) bool { return !strings.Contains(l, "headers_file") })
		if len(got) != 1 || !strings.HasSuffix(got[0], ": "+want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestSecretsFromTheEnvironment(t *testing.T) {
	dir, text := machine(t)
	text = strings.ReplaceAll(text, "password_file: "+dir+"/db2.pass", "password_env: SOLEVIP_TEST_PASSWORD")
	o := Options{Node: "db1", Files: NeedFiles}
	c, err := load(t, dir, text, o)
	if got := problemsOf(dir, c, err); len(got) != 1 || !strings.Contains(got[0], "password_env: the variable is not set") {
		t.Errorf("unset: %q", got)
	}
	t.Setenv("SOLEVIP_TEST_PASSWORD", "hunter2")
	if c, err = load(t, dir, text, o); err != nil {
		t.Fatal(err)
	}
	if got := c.Fencing[1].Levels[0][0].IPMI.Password.Reveal(); got != "hunter2" {
		t.Errorf("password %q", got)
	}
}

func TestANodeThatIsNotListed(t *testing.T) {
	_, err := Parse("c.yaml", Example, Options{Node: "db7", Files: NeedFiles})
	want := `c.yaml:8:3: cluster.nodes: this node is "db7", which is not listed; add it, or name this node with --node or SOLEVIP_NODE: db1, db2, arb`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	var wrong Errors
	if _, err := Load(filepath.Join(dir, "none.yaml"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Load(dir, Options{}); err == nil || errors.As(err, &wrong) {
		t.Errorf("a directory: %v", err)
	}
	put(t, dir, "big.yaml", strings.Repeat("#\n", maxBytes), 0o644)
	if _, err := Load(filepath.Join(dir, "big.yaml"), Options{}); !errors.As(err, &wrong) {
		t.Errorf("too big: %v", err)
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	dir, text := machine(t)
	c, err := load(t, dir, text, Options{Files: NeedFiles})
	if err != nil {
		t.Fatal(err)
	}
	ipmi := c.Fencing[0].Levels[0][0].IPMI
	if ipmi.Password.Reveal() != "hunter1" {
		t.Fatal("there is no secret to print")
	}
	type hidden struct{ secret Secret } // fmt calls no method of a private field
	values := []any{c, &c, *ipmi, ipmi, ipmi.Password, &ipmi.Password, c.Fencing[0].Levels[1][0].Webhook.Headers,
		Agent{Secrets: map[string]Secret{"password": ipmi.Password}}, Redfish{Password: ipmi.Password},
		hidden{ipmi.Password}, map[string]Secret{"a": ipmi.Password}, []Secret{ipmi.Password}, Secret{}}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	logJSON := slog.New(slog.NewJSONHandler(&out, nil))
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10v"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Errorf("json of %T: %v", v, err)
		}
		y, err := yaml.Marshal(v)
		if err != nil {
			t.Errorf("yaml of %T: %v", v, err)
		}
		out.Write(b)
		out.Write(y)
		log.Info("value", "v", v)
		logJSON.Info("value", "v", v)
	}
	for _, secret := range []string{"hunter", fmt.Sprintf("%x", "hunter"), fmt.Sprintf("%X", "hunter")} {
		if i := strings.Index(out.String(), secret); i >= 0 {
			t.Errorf("a secret was printed: ...%s...", out.String()[max(0, i-80):i+20])
		}
	}
	if !strings.Contains(out.String(), `"Password":"***"`) {
		t.Error("nothing was printed")
	}
}

// TestMistakesRepeatNoSecret puts a secret wherever the example has a text, in the wrong place or
// the wrong shape, and looks for it in what is said.
func TestMistakesRepeatNoSecret(t *testing.T) {
	const ipmi = "ipmi: {address: 10.1.0.6, username: fence, password_file: /etc/solevip/db2.pass}"
	for _, with := range []string{
		"ipmi: {address: 10.1.0.6, username: fence, password: hunter2}",
		"ipmi: {address: 10.1.0.6, username: fence, pasword: hunter2}",
		"ipmi: {address: 10.1.0.6, username: fence, password_file: hunter2}",
		"ipmi: {address: 10.1.0.6, username: fence, password_file: [hunter2]}",
		"ipmi: {address: 10.1.0.6, username: fence, password_file: {hunter2: 1}}",
		"ipmi: {address: 10.1.0.6, username: fence, password_file: \"hunter2\\n\"}",
		"ipmi: {address: 10.1.0.6, username: fence, password_file: *hunter2}",
		"ipmi: {address: 10.1.0.6, username: fence, password_env: {a: hunter2}}",
		"ipmi: fence:hunter2@10.1.0.6",
		"redfish: {address: 10.1.0.6, username: fence, password: hunter2}",
		"redfish: {address: 10.1.0.6, username: \"fence:hunter2\", password_env: A}",
		"agent: {name: fence_apc, password: hunter2}",
		"agent: {name: fence_apc, options: {password: hunter2, snmp_priv_passwd: hunter2, community: hunter2}}",
		"agent: {name: fence_apc, options: {login: \"hunter2\\n\"}}",
		"agent: {name: fence_apc, secret_files: {password: hunter2}}",
		"webhook: {url: \"https://u:hunter2@pdu/{action}\", trust_ack: true}",
		"webhook: {url: \"https://u:hunter2@[pdu/{action}\", trust_ack: true}",
		"webhook: {url: \"hunter2\", trust_ack: true}",
		"webhook: {url: \"https://pdu/{action}?token=hunter2\", trust_ack: true}",
		"webhook: {url: \"https://pdu/{action}\", headers: {Authorization: hunter2}, trust_ack: true}",
		"webhook: {url: \"https://pdu/{action}\", headers_file: \"Authorization: hunter2\", trust_ack: true}",
	} {
		text := strings.Replace(string(Example), ipmi, with, 1)
		c, err := Parse("c.yaml", []byte(text), Options{})
		lines := said(c, err)
		for _, l := range lines {
			if strings.Contains(l, "hunter2") {
				t.Errorf("%s: %s", with, l)
			}
		}
		if len(lines) == 0 {
			t.Errorf("%s: nothing is said", with)
		}
	}
}

const agentYAML = `agent: {name: fence_apc_snmp, options: {ip: 10.1.0.9, plug: 5}, password_file: DIR/db2.pass, secret_files: {snmp_priv_passwd: DIR/db1.pass}}`

// withAgent is the example with an agent for db2.
func withAgent(t *testing.T) (dir, text string) {
	t.Helper()
	dir, text = machine(t)
	old := "ipmi: {address: 10.1.0.6, username: fence, password_file: " + dir + "/db2.pass}"
	if strings.Count(text, old) != 1 {
		t.Fatal("the example has changed")
	}
	return dir, strings.Replace(text, old, strings.ReplaceAll(agentYAML, "DIR", dir), 1)
}

func TestAgentsAreAskedWithTheirSecrets(t *testing.T) {
	dir, text := withAgent(t)
	asked := 0
	o := Options{Node: "db1", Files: NeedFiles, CheckAgent: func(a Agent) []AgentProblem {
		asked++
		got := []string{a.Name, a.Options["ip"], a.Options["plug"], a.Secrets["password"].Reveal(), a.Secrets["snmp_priv_passwd"].Reveal()}
		if diff := cmp.Diff([]string{"fence_apc_snmp", "10.1.0.9", "5", "hunter2", "hunter1"}, got); diff != "" {
			t.Errorf("asked about (-want +got):\n%s", diff)
		}
		return nil
	}}
	if _, err := load(t, dir, text, o); err != nil || asked != 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	for _, node := range []string{"db2", "arb"} { // the one that is shot, and one that never shoots
		o.Node = node
		load(t, dir, text, o)
	}
	if asked != 1 {
		t.Errorf("asked on a node that never uses the agent")
	}
}

func TestWhatAgentsFindHasItsPlace(t *testing.T) {
	dir, text := withAgent(t)
	found := []AgentProblem{
		{What: "isn't installed", Hint: "install it"},
		{Option: "plug", What: "is odd", Hint: "choose from ip, plugs", Known: []string{"ip", "plugs"}},
		{Option: "snmp_version", What: "is missing", Hint: "write it"},
		{Option: "password", What: "is short", Hint: "choose another", Doubt: true},
		{Option: "snmp_priv_passwd", What: "is unknown", Hint: "remove it"},
	}
	place := func(key string) string { return "fencing.db2.levels[0][0].agent." + key }
	for files, absent := range map[Files]string{NeedFiles: "!", WarnFiles: "?"} {
		c, err := load(t, dir, text, Options{Files: files, CheckAgent: func(Agent) []AgentProblem { return found }})
		got := map[string]bool{}
		for _, line := range said(c, err) {
			mark, rest, _ := strings.Cut(line, " ")
			_, rest, _ = strings.Cut(rest, "solevip.yaml:26:")
			_, rest, _ = strings.Cut(rest, ": ")
			got[mark+" "+rest] = true
		}
		for _, want := range []string{
			absent + " " + place("name") + ": isn't installed; install it",
			"! " + place("options.plug") + ": is odd; did you mean plugs?",
			"! " + place("options.snmp_version") + ": is missing; write it",
			"? " + place("password_file") + ": is short; choose another",
			"! " + place("secret_files.snmp_priv_passwd") + ": is unknown; remove it",
		} {
			if !got[want] {
				t.Errorf("%d: not said: %s\nsaid: %v", files, want, got)
			}
		}
	}
}

func TestAgentWhoseSecretIsMissingIsNotAsked(t *testing.T) {
	dir, text := withAgent(t)
	if err := os.Remove(filepath.Join(dir, "db1.pass")); err != nil {
		t.Fatal(err)
	}
	o := Options{Node: "db1", Files: NeedFiles, CheckAgent: func(Agent) []AgentProblem {
		t.Error("asked")
		return nil
	}}
	c, err := load(t, dir, text, o)
	if got := problemsOf(dir, c, err); len(got) != 1 || !strings.Contains(got[0], "secret_files.snmp_priv_passwd: no such file") {
		t.Errorf("got %q", got)
	}
}
