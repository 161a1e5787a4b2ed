//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/solevip/solevip/cert"
)

// daemon is the software under test on the machines.
type daemon interface {
	configure(*Lab) error
	// command is how to start it on a machine; no argv where it doesn't run.
	command(*Lab, Node) (argv, env []string)
}

func (l *Lab) daemon() daemon {
	if l.Program == Keepalived {
		return keepalived{}
	}
	return solevip{}
}

type solevip struct{}

var solevipFile = template.Must(template.New("solevip.yaml").Parse(`cluster:
  name: {{.Cluster}}
  tls: {ca: {{.Lab.Dir}}/pki/ca.crt, cert: "{{.Lab.Dir}}/pki/{node}.crt", key: "{{.Lab.Dir}}/pki/{node}.key"}
  nodes:
{{- range .Nodes}}
    {{.Name}}: {address: {{.Addr}}{{if not .Member}}, role: arbiter{{end}}}
{{- end}}
ledger:
  ttl: {{.Lab.TTL}}
{{- if .Lab.Etcd}}
  backend: etcd
  etcd: {endpoints: [{{range $i, $e := .Lab.Etcd}}{{if $i}}, {{end}}"{{$e}}"{{end}}]}
{{- end}}
{{- if eq .Lab.Protection "fence"}}
fencing:
{{- range .Nodes}}{{if .Member}}
  {{.Name}}:
    levels:
      - - ipmi: {address: {{.BMC}}, username: {{$.User}}, password_file: {{$.Lab.Dir}}/bmc.pass, timeout: 2s}
{{- if $.Lab.PDU}}
      - - script: {path: {{index $.Lab.Switch 0}}, args: [{{$.PDU}}, {{.Name}}], timeout: 2s}
{{- end}}{{end}}{{end}}
{{- end}}
groups:
  {{.Group}}:
    protection: {{.Lab.Protection}}
    priority: {db1: 200, db2: 100}
    instances:
      - {interface: {{.Link}}, vrid: {{.VRID}}, addresses: [{{.VIP}}/24]}
{{- with .Lab.Hook}}
    hooks: {promote: {{.}}, demote: {{.}}}
{{- end}}
`))

func (solevip) configure(l *Lab) error {
	if err := issue(l.path("pki")); err != nil {
		return err
	}
	f, err := os.Create(l.ConfigFile())
	if err != nil {
		return err
	}
	defer f.Close()
	pdu := append(l.Switch[1:len(l.Switch):len(l.Switch)], "pdu", "--dir", l.Dir)
	return solevipFile.Execute(f, map[string]any{
		"Cluster": clusterName, "Nodes": Nodes, "Lab": l, "User": bmcUser, "PDU": strings.Join(pdu, ", "),
		"Group": groupName, "Link": nodeLink, "VRID": vrid, "VIP": VIP,
	})
}

// issue makes the certificates of a cluster, as its operator would.
func issue(dir string) error {
	if _, err := cert.Init(dir, clusterName); err != nil {
		return err
	}
	for _, n := range Nodes {
		if _, err := cert.Issue(dir, n.Name); err != nil {
			return err
		}
	}
	return nil
}

// ConfigFile is the one file that all machines share.
func (l *Lab) ConfigFile() string { return l.path("solevip.yaml") }

// RunDir is a machine's /run: its daemon's control socket and pid files. It goes with the power.
func (l *Lab) RunDir(node string) string { return l.path(node, "run") }

func (solevip) command(l *Lab, n Node) (argv, env []string) {
	boot, _ := os.ReadFile(l.path(n.Name, "boot"))
	return []string{l.Binary, "run", "-c", l.ConfigFile(), "--node", n.Name,
		"--state-dir", l.path(n.Name, "state"), "--run-dir", l.RunDir(n.Name)}, []string{"SOLEVIP_BOOT_ID=" + string(boot)}
}

type keepalived struct{}

// keepalivedFile is the VRRP setup that most people have. Version 3 where version 2 can't tell
// the interval.
const keepalivedFile = `global_defs {
    router_id %s
    vrrp_version %d
}
vrrp_instance db {
    state BACKUP
    interface %s
    virtual_router_id %d
    priority %d
    advert_int %g
    virtual_ipaddress {
        %s/32
    }
}
`

func (keepalived) configure(l *Lab) error {
	version := 2
	if seconds := l.Advert.Seconds(); seconds != float64(int(seconds)) {
		version = 3
	}
	for _, n := range Nodes {
		text := fmt.Sprintf(keepalivedFile, n.Name, version, nodeLink, vrid, n.Priority, l.Advert.Seconds(), VIP)
		if err := os.WriteFile(l.path(n.Name, "keepalived.conf"), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (keepalived) command(l *Lab, n Node) (argv, env []string) {
	if !n.Member {
		return nil, nil // VRRP has no arbiter
	}
	dir := l.path(n.Name)
	return []string{"keepalived", "-n", "-l", "-D", "-P", "-f", filepath.Join(dir, "keepalived.conf"),
		"-p", filepath.Join(l.RunDir(n.Name), "keepalived.pid"), "-r", filepath.Join(l.RunDir(n.Name), "vrrp.pid")}, nil
}
