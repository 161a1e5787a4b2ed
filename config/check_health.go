package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

const (
	maxChecks  = 64
	longestDSN = 4096 // bytes
)

// checkChecks looks at a group's health checks, and names those that have no name.
func (d *document) checkChecks(g *Group, path string) {
	if len(g.Checks) > maxChecks {
		d.wrong(path, fmt.Sprintf("%d checks are more than %d", len(g.Checks), maxChecks), "let a script look at several things")
	}
	names := map[string]string{}
	for i := range g.Checks {
		c, p := &g.Checks[i], fmt.Sprintf("%s[%d]", path, i)
		d.checkCheck(g, c, p)
		if other, taken := names[c.Name]; taken && c.Name != "" {
			d.wrong(p, fmt.Sprintf("is called %s, as %s is", c.Name, other), "give it a name of its own: name: ...")
		}
		names[c.Name] = p
	}
}

func (d *document) checkCheck(g *Group, c *Check, p string) {
	kind, at := c.Kind()
	if kind == "" {
		if !d.anyWrong(p) {
			d.wrong(p, "has not exactly one kind", "write one of script, tcp, http, tls, mysql, interface, file, process")
		}
		return
	}
	if c.Name == "" {
		c.Name = strings.TrimSpace(kind + " " + at)
	}
	if c.Timeout == 0 && !d.mentions(p+".timeout") {
		c.Timeout = c.Interval
	}
	if c.Weight != 0 && g.Protection != ProtectVRRP && !d.anyWrong("groups."+g.Name+".protection") {
		d.wrong(p+".weight", fmt.Sprintf("a group with protection: %s isn't moved by priorities", g.Protection), "remove it: then a bad check is a fault, and the group is handed over")
	}
	d.checkProbe(c, p+"."+kind)
}

// checkProbe looks at the keys of the kind.
func (d *document) checkProbe(c *Check, p string) {
	switch {
	case c.Script != nil:
		d.absolute(p+".path", c.Script.Path)
	case c.TCP != nil:
		d.checkHostPort(p+".address", c.TCP.Address)
	case c.HTTP != nil:
		d.checkPage(p+".url", c.HTTP.URL)
		d.absolute(p+".ca_file", c.HTTP.CAFile)
		if _, err := regexp.Compile(c.HTTP.Body); err != nil {
			d.wrong(p+".body", "is not a regular expression", "see https://golang.org/s/re2syntax")
		}
	case c.TLS != nil:
		d.checkHostPort(p+".address", c.TLS.Address)
		d.absolute(p+".ca_file", c.TLS.CAFile)
	case c.MySQL != nil:
		d.checkDSN(p, c.MySQL)
	case c.File != nil:
		d.absolute(p+".path", c.File.Path)
	case c.Interface != nil:
		if name := c.Interface.Name; len(name) > 15 || strings.ContainsAny(name, "/: ") {
			d.wrong(p+".name", fmt.Sprintf("%q is not the name of an interface", name), "see ip link")
		}
	}
}

func (d *document) checkHostPort(path, text string) {
	if text == "" {
		return
	}
	if at, err := netip.ParseAddrPort(text); err != nil || at.Port() == 0 {
		d.wrong(path, fmt.Sprintf("%q is not an IP address with a port", text), `write "127.0.0.1:3306", or "[::1]:3306": a name needs DNS, which may be down when it matters`)
	}
}

func (d *document) checkPage(path, text string) {
	if text == "" {
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		d.wrong(path, "is not a URL with http or https", "write a URL, such as http://127.0.0.1/health")
	case u.User != nil:
		d.wrong(path, "has credentials", "remove them: a page about the server's health needs none, or let a script ask for it")
	}
}

func (d *document) checkDSN(p string, m *MySQLCheck) {
	switch {
	case (m.DSNFile == "") == (m.DSNEnv == ""):
		if !d.anyWrong(p) {
			d.wrong(p, "has not exactly one of dsn_file and dsn_env", "write dsn_file: /etc/solevip/mysql.dsn, and into the file user:password@tcp(127.0.0.1:3306)/")
		}
	default:
		d.absolute(p+".dsn_file", m.DSNFile)
	}
	if m.Expect != "" && m.Query == "" {
		d.wrong(p+".expect", "there is no query", "add query: SELECT ...")
	}
}

// withoutQuery is a URL without what may be a token.
func withoutQuery(s string) string {
	s, _, _ = strings.Cut(s, "?")
	return s
}

// checks reads the files that a group's checks need.
func (r reader) checks(g *Group, path string) {
	for i := range g.Checks {
		c, p := &g.Checks[i], fmt.Sprintf("%s[%d]", path, i)
		switch {
		case c.Script != nil:
			r.program(p+".script.path", c.Script.Path)
		case c.HTTP != nil:
			r.present(p+".http.ca_file", c.HTTP.CAFile)
		case c.TLS != nil:
			r.present(p+".tls.ca_file", c.TLS.CAFile)
		case c.MySQL != nil && c.MySQL.DSNFile != "":
			if b, ok := r.private(p+".mysql.dsn_file", c.MySQL.DSNFile); ok {
				c.MySQL.DSN = r.secret(p+".mysql.dsn_file", strings.TrimRight(string(b), "\r\n"), longestDSN)
			}
		case c.MySQL != nil && c.MySQL.DSNEnv != "":
			if v, ok := r.variable(p+".mysql.dsn_env", c.MySQL.DSNEnv); ok {
				c.MySQL.DSN = r.secret(p+".mysql.dsn_env", v, longestDSN)
			}
		}
	}
}
