package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

const backendEtcd = "etcd"

// Etcd is an etcd cluster that keeps the ledger.
type Etcd struct {
	// Endpoints are the client URLs of every member, so that one that hangs can be left.
	Endpoints []string `mapstructure:"endpoints" required:"true" hint:"write the client URL of every member: endpoints: [https://10.0.0.5:2379]"`
	Prefix    string   `mapstructure:"prefix" default:"/solevip"` // of every key
	TLS       TLS      `mapstructure:"tls"`
	Username  string   `mapstructure:"username"`

	PasswordFile string `mapstructure:"password_file"`
	PasswordEnv  string `mapstructure:"password_env"`
	Password     Secret `mapstructure:"-"`
}

// checkLedger looks at where the ledger is kept.
func (d *document) checkLedger(c *Config) {
	e, given := c.Ledger.Etcd, d.mentions("ledger.etcd")
	switch {
	case c.Ledger.Backend != backendEtcd && given && !d.anyWrong("ledger.backend"):
		d.wrong("ledger.etcd", "is of no use while the ledger is kept by "+c.Ledger.Backend, "add backend: etcd, or remove it")
		return
	case c.Ledger.Backend == backendEtcd && !given:
		d.wrong("ledger.etcd", "is missing", "say where etcd is: etcd: {endpoints: [https://10.0.0.5:2379]}")
		return
	case e == nil:
		return
	}
	for i, endpoint := range e.Endpoints {
		d.checkEndpoint(e, endpoint, fmt.Sprintf("ledger.etcd.endpoints[%d]", i))
	}
	if len(e.Endpoints) == 0 && d.mentions("ledger.etcd.endpoints") && !d.anyWrong("ledger.etcd.endpoints") {
		d.wrong("ledger.etcd.endpoints", "is empty", "write the client URL of every member of etcd")
	}
	for key, path := range map[string]string{"ca": e.TLS.CA, "cert": e.TLS.Cert, "key": e.TLS.Key} {
		d.absolute("ledger.etcd.tls."+key, path)
	}
	if (e.TLS.Cert == "") != (e.TLS.Key == "") && !d.anyWrong("ledger.etcd.tls") {
		d.wrong("ledger.etcd.tls", "cert and key belong together, and one is missing", "write both, or neither where etcd asks for no client certificate")
	}
	if d.mentions("ledger.etcd.tls") && e.TLS.CA == "" && !d.anyWrong("ledger.etcd.tls") {
		d.wrong("ledger.etcd.tls.ca", "is missing", "name the authority that signed etcd's certificates")
	}
	d.checkPassword("ledger.etcd", e.Username != "")
	d.absolute("ledger.etcd.password_file", e.PasswordFile)
	if e.Username == "" && (d.mentions("ledger.etcd.password_file") || d.mentions("ledger.etcd.password_env")) {
		d.wrong("ledger.etcd.username", "is missing beside the password", "write etcd's user")
	}
}

// checkEndpoint looks at one client URL. It doesn't repeat it: somebody may have written a password into it.
func (d *document) checkEndpoint(e *Etcd, endpoint, path string) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Port() == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "":
		d.wrong(path, "is not the client URL of a member", "write it like https://10.0.0.5:2379")
	case u.User != nil:
		d.wrong(path, "has a user in it", "write username and password_file beside endpoints")
	case u.Scheme == "https" && !d.mentions("ledger.etcd.tls"):
		d.wrong(path, "is https, and there is no ledger.etcd.tls", "add tls: {ca: /path, cert: /path, key: /path} under etcd")
	case u.Scheme == "http" && d.mentions("ledger.etcd.tls"):
		d.wrong(path, "is http, and there is a ledger.etcd.tls", "write https")
	case u.Scheme == "http":
		if a, err := netip.ParseAddr(u.Hostname()); err != nil || !a.IsLoopback() {
			d.doubt(path, "is not encrypted: whoever reaches etcd can say who holds what", "use https and client certificates")
		}
	}
}

// etcd reads what a node needs to speak to etcd.
func (r reader) etcd(e *Etcd) {
	r.present("ledger.etcd.tls.ca", e.TLS.CA)
	if r.node == "" && strings.Contains(e.TLS.Cert+e.TLS.Key, "{node}") {
		return // whose?
	}
	t := e.TLS.For(r.node)
	r.present("ledger.etcd.tls.cert", t.Cert)
	r.private("ledger.etcd.tls.key", t.Key)
	if e.Username != "" {
		e.Password = r.password("ledger.etcd", e.PasswordFile, e.PasswordEnv, 1024)
	}
}
