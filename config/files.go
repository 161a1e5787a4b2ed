package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// maxSecret is the size of the largest secret file, in bytes.
const maxSecret = 64 << 10

// reader looks at the files and variables that a configuration names, for one node or for all.
type reader struct {
	*document
	config *Config
	node   string
	report func(path, what, hint string)

	checkAgent func(Agent) []AgentProblem
}

// readFiles fills in the secrets and makes sure that the other files are there.
func (d *document) readFiles(c *Config, o Options) {
	r := reader{document: d, config: c, node: o.Node, report: d.wrong, checkAgent: o.CheckAgent}
	if o.Files == WarnFiles {
		r.report = d.doubt
	}
	switch {
	case c.Ledger.Etcd != nil:
		r.etcd(c.Ledger.Etcd)
	case c.Ledger.Backend == backendRemote:
		r.remote(c.Ledger.TLS)
	case c.Protected():
		r.certificates()
	}
	for i := range c.Fencing {
		r.devices(&c.Fencing[i])
	}
	for i := range c.Groups {
		r.group(&c.Groups[i])
	}
}

func (r reader) certificates() {
	t := r.config.Cluster.TLS
	r.present("cluster.tls.ca", t.CA)
	if r.node == "" && (strings.Contains(t.Cert, "{node}") || strings.Contains(t.Key, "{node}")) {
		return // whose?
	}
	t = t.For(r.node)
	r.present("cluster.tls.cert", t.Cert)
	r.private("cluster.tls.key", t.Key)
}

// devices reads what is needed to fence a node. Only the other members ever do.
func (r reader) devices(f *Fencing) {
	if me, ok := r.config.Node(r.node); ok && (me.Role == Arbiter || me.Name == f.Node) {
		return
	}
	for i, level := range f.Levels {
		for j, dev := range level {
			p := fmt.Sprintf("fencing.%s.levels[%d][%d]", f.Node, i, j)
			switch {
			case dev.IPMI != nil:
				p += ".ipmi"
				// IPMI 2.0 §13.28: at most 20 bytes.
				dev.IPMI.Password = r.password(p, dev.IPMI.PasswordFile, dev.IPMI.PasswordEnv, 20)
			case dev.Redfish != nil:
				p += ".redfish"
				dev.Redfish.Password = r.password(p, dev.Redfish.PasswordFile, dev.Redfish.PasswordEnv, 1024)
				r.present(p+".ca_file", dev.Redfish.CAFile)
			case dev.Agent != nil:
				r.agent(p+".agent", dev.Agent)
			case dev.Webhook != nil:
				p += ".webhook"
				dev.Webhook.Headers = r.headers(p+".headers_file", dev.Webhook.HeadersFile)
				r.present(p+".ca_file", dev.Webhook.CAFile)
			case dev.Script != nil:
				r.program(p+".script.path", dev.Script.Path)
			}
		}
	}
}

func (r reader) group(g *Group) {
	if r.node != "" && !g.MayHold(r.node) {
		return
	}
	p := "groups." + g.Name
	r.program(p+".hooks.promote.path", g.Hooks.Promote.Path)
	r.program(p+".hooks.demote.path", g.Hooks.Demote.Path)
	r.program(p+".hooks.post.path", g.Hooks.Post.Path)
	r.checks(g, p+".checks")
	for i := range g.Instances {
		if a := g.Instances[i].Auth; a != nil {
			a.Password = r.password(fmt.Sprintf("%s.instances[%d].auth", p, i), a.PasswordFile, a.PasswordEnv, 8)
		}
	}
}

// password reads a secret from its file or its variable.
func (r reader) password(path, file, env string, longest int) Secret {
	var text string
	switch {
	case file != "":
		path += ".password_file"
		b, ok := r.private(path, file)
		if !ok {
			return Secret{}
		}
		text = strings.TrimRight(string(b), "\r\n")
	case env != "":
		path += ".password_env"
		v, ok := r.variable(path, env)
		if !ok {
			return Secret{}
		}
		text = v
	default:
		return Secret{} // told before
	}
	return r.secret(path, text, longest)
}

// variable reads a variable of the environment.
func (r reader) variable(path, env string) (string, bool) {
	v, ok := os.LookupEnv(env)
	if !ok {
		r.report(path, "the variable is not set", "set it in the daemon's environment")
	}
	return v, ok
}

// secret looks at a secret that was read.
func (r reader) secret(path, text string, longest int) Secret {
	switch {
	case text == "":
		r.report(path, "the password is empty", "write it there")
	case strings.ContainsAny(text, "\r\n\x00"):
		r.report(path, "the password has several lines", "leave only the password there")
	case len(text) > longest:
		r.report(path, fmt.Sprintf("the password has more than %d bytes", longest), "shorten it there and on the device")
	}
	return NewSecret(text)
}

// agent reads an agent's secrets, and has the agent look at all its options.
func (r reader) agent(path string, a *Agent) {
	before := len(r.wrongs) + len(r.warnings)
	a.Secrets = map[string]Secret{}
	if a.PasswordFile != "" || a.PasswordEnv != "" {
		a.Secrets["password"] = r.password(path, a.PasswordFile, a.PasswordEnv, 1024)
	}
	for _, option := range slices.Sorted(maps.Keys(a.SecretFiles)) {
		at := path + ".secret_files." + option
		if b, ok := r.private(at, a.SecretFiles[option]); ok {
			a.Secrets[option] = r.secret(at, strings.TrimRight(string(b), "\r\n"), 1024)
		}
	}
	if r.checkAgent == nil || a.Name == "" || r.anyWrong(path) || before < len(r.wrongs)+len(r.warnings) {
		return
	}
	for _, p := range r.checkAgent(*a) {
		at, say := path+".options."+p.Option, r.wrong
		switch {
		case p.Option == "":
			at, say = path+".name", r.report
		case r.mentions(path + ".secret_files." + p.Option):
			at = path + ".secret_files." + p.Option
		case p.Option == "password" && !r.mentions(at):
			at = path + ".password_file"
		}
		if p.Doubt {
			say = r.doubt
		}
		if near, ok := nearest(p.Option, p.Known); ok {
			p.Hint = "did you mean " + near + "?"
		}
		say(at, p.What, p.Hint)
	}
}

// headers reads lines "Name: value"; empty ones and those that begin with # are passed over.
func (r reader) headers(path, file string) []Header {
	b, ok := r.private(path, file)
	if !ok {
		return nil
	}
	var hs []Header
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || !token(name) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' }) {
			r.report(path, fmt.Sprintf("line %d of the file is not a header", i+1), "write Name: value")
			continue
		}
		hs = append(hs, Header{Name: name, Value: NewSecret(strings.TrimSpace(value))})
	}
	if len(hs) == 0 {
		r.report(path, "the file has no header", "write Name: value, or remove the key")
	}
	return hs
}

// token reports whether a text is the name of a header (RFC 9110 §5.6.2).
func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
	})
}

// private reads a file that nobody else may read.
func (r reader) private(path, file string) ([]byte, bool) {
	b, mode, ok := r.read(path, file)
	if ok && mode.Perm()&0o007 != 0 {
		r.report(path, fmt.Sprintf("every user of the machine may use the file (%04o)", mode.Perm()), "run chmod o= on it")
	}
	return b, ok
}

// present makes sure that a file can be read.
func (r reader) present(path, file string) { r.read(path, file) }

// program makes sure that a file can be run.
func (r reader) program(path, file string) {
	if file == "" || r.anyWrong(path) {
		return
	}
	switch info, err := os.Stat(file); {
	case err != nil:
		r.report(path, reason(err), "put the program there")
	case !info.Mode().IsRegular():
		r.report(path, "is not a regular file", "write the program's path")
	case info.Mode().Perm()&0o111 == 0:
		r.report(path, "is not executable", "run chmod +x on it")
	}
}

// read reads a file, and reports false when there is none to speak of.
func (r reader) read(path, file string) ([]byte, fs.FileMode, bool) {
	if file == "" || r.anyWrong(path) {
		return nil, 0, false
	}
	info, err := os.Stat(file) // before opening: a pipe would block
	switch {
	case err != nil:
		r.report(path, reason(err), "put the file there, or correct the path")
		return nil, 0, false
	case !info.Mode().IsRegular():
		r.report(path, "is not a regular file", "correct the path")
		return nil, 0, false
	case info.Size() > maxSecret:
		r.report(path, fmt.Sprintf("the file has %d bytes, more than %d", info.Size(), maxSecret), "correct the path")
		return nil, 0, false
	}
	f, err := os.Open(file)
	if err != nil {
		r.report(path, reason(err), "let the daemon's user read it")
		return nil, 0, false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		r.report(path, reason(err), "see the file")
		return nil, 0, false
	}
	return slices.Clip(b), info.Mode(), true
}

// reason is an error of the file system without the path, which the key tells.
func reason(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
