package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// fence is what the checks of fencing have seen so far.
type fence struct {
	bmcs   map[string]string // address: node
	urls   map[string]string // url: node
	agents map[string]string // agent and options: node
}

func (d *document) checkFencing(c *Config) {
	seen := fence{bmcs: map[string]string{}, urls: map[string]string{}, agents: map[string]string{}}
	for i := range c.Fencing {
		f := &c.Fencing[i]
		p := "fencing." + f.Node
		if d.knows(c, p, f.Node) {
			if n, _ := c.Node(f.Node); n.Role == Arbiter {
				d.wrong(p, f.Node+" is an arbiter: it never holds a group, so it is never fenced", "remove it")
			}
		}
		if d.mentions(p+".levels") && len(f.Levels) == 0 && !d.anyWrong(p+".levels") {
			d.wrong(p+".levels", "is empty", "write a device: levels: [[{ipmi: {...}}]]")
		}
		for j, level := range f.Levels {
			at := fmt.Sprintf("%s.levels[%d]", p, j)
			if len(level) == 0 && !d.anyWrong(at) {
				d.wrong(at, "has no device", "write a device, or remove the level")
			}
			for k := range level {
				d.checkDevice(c, &seen, f.Node, &level[k], fmt.Sprintf("%s[%d]", at, k))
			}
		}
		d.checkBudget(f, p)
	}
}

// checkBudget gives every device of every level the time for its turn.
func (d *document) checkBudget(f *Fencing, path string) {
	var sum time.Duration
	for _, level := range f.Levels {
		for _, dev := range level {
			sum += dev.Timeout()
		}
	}
	switch {
	case f.Timeout == 0:
		f.Timeout = max(3*sum, time.Minute) // status, off, read back
	case f.Timeout < sum:
		d.wrong(path+".timeout", fmt.Sprintf("%v ends before the devices' own timeouts, %v together: the last may never get its turn", f.Timeout, sum),
			"write a longer one, or shorten the devices' timeouts")
	case f.VerifyPause >= f.Timeout:
		d.wrong(path+".verify_pause", fmt.Sprintf("%v is not shorter than the timeout, %v", f.VerifyPause, f.Timeout), "shorten it")
	}
}

var deviceKinds = []string{"ipmi", "redfish", "agent", "webhook", "script"}

func (d *document) checkDevice(c *Config, seen *fence, node string, dev *Device, path string) {
	var kinds []string
	for _, k := range deviceKinds {
		if d.mentions(path + "." + k) {
			kinds = append(kinds, k)
		}
	}
	switch {
	case len(kinds) == 0 && !d.anyWrong(path):
		d.wrong(path, "names no kind of device", "write one of "+strings.Join(deviceKinds, ", "))
	case len(kinds) > 1:
		d.wrong(path, "is several devices at once: "+strings.Join(kinds, ", "), "begin each with a hyphen of its own")
	}
	if dev.IPMI != nil {
		d.checkIPMI(c, seen, node, dev.IPMI, path+".ipmi")
	}
	if dev.Redfish != nil {
		d.checkRedfish(c, seen, node, dev.Redfish, path+".redfish")
	}
	if dev.Agent != nil {
		d.checkAgent(seen, node, dev.Agent, path+".agent")
	}
	if dev.Webhook != nil {
		d.checkWebhook(seen, node, dev.Webhook, path+".webhook")
	}
	if dev.Script != nil {
		d.absolute(path+".script.path", dev.Script.Path)
	}
}

// ciphers that both authenticate and encrypt with AES; the others do without one or the other.
var safeCiphers = []int{3, 8, 12, 17}

func (d *document) checkIPMI(c *Config, seen *fence, node string, i *IPMI, path string) {
	i.Address = d.checkBMC(c, i.Address, 623, path+".address")
	seen.one(d, seen.bmcs, i.Address, node, path+".address", i.Address+" is the BMC of %s, too", "give each node the address of its own BMC")
	d.checkPassword(path, true)
	if len(i.Username) > 16 {
		d.wrong(path+".username", "has more than 16 bytes, which IPMI doesn't allow", "shorten it on the BMC and here")
	}
	d.absolute(path+".password_file", i.PasswordFile)
	if d.mentions(path+".ciphers") && len(i.Ciphers) == 0 && !d.anyWrong(path+".ciphers") {
		d.wrong(path+".ciphers", "is empty", "write [17, 3], or remove the key")
	}
	for k, s := range i.Ciphers {
		at := fmt.Sprintf("%s.ciphers[%d]", path, k)
		if s != 0 && !slices.Contains(safeCiphers, s) {
			d.wrong(at, fmt.Sprintf("suite %d doesn't both authenticate and encrypt with AES", s), "choose from 17, 12, 8 and 3")
		}
		if s != 0 && slices.Contains(i.Ciphers[:k], s) {
			d.wrong(at, fmt.Sprintf("suite %d is here twice", s), "remove one")
		}
	}
}

// checkBMC returns the address with its port, and refuses one that isn't a BMC's.
func (d *document) checkBMC(c *Config, address string, port uint16, path string) string {
	if address == "" {
		return ""
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		var a netip.Addr
		a, err = netip.ParseAddr(strings.Trim(address, "[]"))
		at = netip.AddrPortFrom(a, port)
	}
	a := at.Addr()
	if err != nil || at.Port() == 0 || a.Zone() != "" || a.IsUnspecified() || a.IsMulticast() {
		d.wrong(path, fmt.Sprintf("%q is not the address of a BMC", address), fmt.Sprintf("write its IP address, with :port if it isn't %d; a name needs DNS, which may be down when it matters", port))
		return ""
	}
	for _, n := range c.Cluster.Nodes {
		if n.Address == a && !a.IsLoopback() {
			d.wrong(path, fmt.Sprintf("%v is the address of node %s itself, not of a BMC", a, n.Name), "write the BMC's own address")
		}
	}
	return at.String()
}

// one refuses a device that is another node's, too. The first verb of what is that node.
func (fence) one(d *document, seen map[string]string, device, node, path, what, hint string) {
	if device == "" {
		return
	}
	if other, ok := seen[device]; ok && other != node {
		d.wrong(path, fmt.Sprintf(what, other)+": fencing one would cut the power of the other", hint)
	}
	seen[device] = node
}

// checkPassword wants one source of a secret.
func (d *document) checkPassword(path string, required bool) {
	file, env := d.mentions(path+".password_file"), d.mentions(path+".password_env")
	switch {
	case file && env:
		d.wrong(path+".password_env", "there is a password_file, too", "keep one of them")
	case required && !file && !env && !d.anyWrong(path+".password"):
		d.wrong(path+".password_file", "is missing", "put the password in a file that only root can read, and name it here; or name a variable with password_env")
	}
}

var templates = []string{"{action}", "{target}", "{epoch}"}

func (d *document) checkWebhook(seen *fence, node string, w *Webhook, path string) {
	d.checkURL(path+".url", w.URL)
	d.absolute(path+".headers_file", w.HeadersFile)
	d.absolute(path+".ca_file", w.CAFile)
	if !strings.Contains(w.URL, "{target}") {
		seen.one(d, seen.urls, w.URL, node, path+".url", "is the url of %s, too", "give each node its own, or put {target} into it")
	}
	switch hasStatus := d.mentions(path + ".status"); {
	case !hasStatus && !w.TrustAck && !d.mentions(path+".trust_ack"):
		d.wrong(path+".status", "is missing: nothing proves that the power is off", "write status: {url: ..., off: ...}; to count an accepted request as off, write trust_ack: true")
	case !hasStatus && !w.TrustAck && !d.anyWrong(path+".trust_ack"):
		d.wrong(path+".trust_ack", "is false, and there is no status: nothing proves that the power is off", "write status: {url: ..., off: ...}")
	case hasStatus && w.TrustAck:
		d.wrong(path+".trust_ack", "there is a status, which proves more", "remove trust_ack, or the status")
	case w.TrustAck:
		d.doubt(path+".trust_ack", "an accepted request counts as off, and nothing proves it", "add a status where the device has one")
	}
	if s := w.Status; s != nil {
		d.checkURL(path+".status.url", s.URL)
		d.checkOff(path+".status.off", s.Off)
	}
}

// secretWords are names of query parameters that carry secrets.
var secretWords = regexp.MustCompile(`(?i)(pass|secret|token|api_?key|auth)`)

// checkURL looks at an address without repeating it: it may carry a secret.
func (d *document) checkURL(path, text string) {
	if text == "" {
		return
	}
	d.placeholders(path, text, templates...)
	u, err := url.Parse(placeholder.ReplaceAllString(text, "x"))
	other, err2 := url.Parse(placeholder.ReplaceAllString(text, "y"))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		d.wrong(path, "is not a web address", "write it as https://host/path")
		return
	case u.User != nil:
		d.wrong(path, "has a user name or password in it", "put them as a line \"Authorization: ...\" in a file, and name that with headers_file")
	case err2 != nil || u.Host != other.Host:
		d.wrong(path, "has a placeholder in the host", "put it in the path or the query: what is filled in must not change who is asked")
	case u.Fragment != "":
		d.wrong(path, "has a fragment (#), which is never sent", "remove it, or write %23")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		d.doubt(path, "plain http: whoever is on the way can forge that a node is off", "use https where the device has it")
	}
	for name := range u.Query() {
		if secretWords.MatchString(name) {
			d.doubt(path, "seems to have a secret in it", "put it in a header, in a file named with headers_file, where the device allows that")
			break
		}
	}
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// checkOff looks at what an answer that means off looks like: PATH = VALUE, PATH ~ REGEXP or
// ~ REGEXP. What a path and a value may be is for the webhook to say.
func (d *document) checkOff(path, off string) {
	if off == "" {
		return
	}
	at := strings.IndexAny(off, "=~")
	if at < 0 || strings.TrimSpace(off[at+1:]) == "" || off[at] == '=' && strings.TrimSpace(off[:at]) == "" {
		d.wrong(path, fmt.Sprintf("%q says nothing about an answer", off), "write a path in the JSON and a value, as in power.state = off, or ~ and a regular expression")
		return
	}
	if pattern := strings.TrimSpace(off[at+1:]); off[at] == '~' {
		if _, err := regexp.Compile(pattern); err != nil {
			d.wrong(path, fmt.Sprintf("%q is not a regular expression", pattern), "see https://pkg.go.dev/regexp/syntax")
		}
	}
}
