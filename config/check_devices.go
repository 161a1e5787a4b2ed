package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	uuidText        = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	fingerprintText = regexp.MustCompile(`^([0-9a-fA-F]{2}:){31}[0-9a-fA-F]{2}$|^[0-9a-fA-F]{64}$`)
)

func (d *document) checkRedfish(c *Config, seen *fence, node string, r *Redfish, path string) {
	r.Address = d.checkBMC(c, r.Address, 443, path+".address")
	if r.Address != "" {
		// A chassis has one BMC for many nodes.
		d.notShared(seen, node, r, path)
	}
	d.checkPassword(path, true)
	d.absolute(path+".password_file", r.PasswordFile)
	d.absolute(path+".ca_file", r.CAFile)
	if strings.Contains(r.Username, ":") {
		d.wrong(path+".username", "has a colon, which HTTP doesn't allow", "rename the user on the BMC and here")
	}
	if r.UUID != "" && !uuidText.MatchString(r.UUID) {
		d.wrong(path+".uuid", fmt.Sprintf("%q is not a UUID", r.UUID), "write what /sys/class/dmi/id/product_uuid shows on the node")
	}
	if strings.ContainsAny(r.System, "/?#%") {
		d.wrong(path+".system", fmt.Sprintf("%q is not an id", r.System), "write the last part of the system's path: 1 for /redfish/v1/Systems/1")
	}
	if r.Fingerprint != "" && !fingerprintText.MatchString(r.Fingerprint) {
		d.wrong(path+".fingerprint", "is not a SHA-256 in hexadecimal", "write what openssl x509 -noout -fingerprint -sha256 prints after the =")
	}
	for _, other := range []string{"ca_file", "server_name"} {
		if r.Fingerprint != "" && d.mentions(path+"."+other) {
			d.wrong(path+"."+other, "there is a fingerprint, which pins one certificate, whoever signed it", "keep one of them")
		}
	}
}

// notShared refuses a system that is another node's, too.
func (d *document) notShared(seen *fence, node string, r *Redfish, path string) {
	const hint = "give each node its own system, or its own BMC"
	whole := "redfish " + r.Address
	if r.System == "" && r.UUID == "" {
		seen.one(d, seen.bmcs, whole, node, path+".address", r.Address+" is the BMC of %s, too", hint)
		return
	}
	if r.System != "" {
		seen.one(d, seen.bmcs, whole+" system "+r.System, node, path+".system", "is the system of %s, too", hint)
	}
	seen.one(d, seen.bmcs, strings.ToLower(r.UUID), node, path+".uuid", "is the UUID of %s, too", hint)
}

// secretOption are names of agents' options that carry secrets, not the names of files with them.
var secretOption = regexp.MustCompile(`(?i)(passwd|password|secret_key|token|apikey|community|hexadecimal_kg)$`)

func (d *document) checkAgent(seen *fence, node string, a *Agent, path string) {
	d.checkPassword(path, false)
	d.absolute(path+".password_file", a.PasswordFile)
	if strings.Contains(a.Name, "/") {
		d.absolute(path+".name", a.Name)
	}
	key := []string{a.Name}
	for _, option := range slices.Sorted(maps.Keys(a.Options)) {
		key = append(key, option+"="+a.Options[option])
		if at := path + ".options." + option; secretOption.MatchString(option) {
			hint := fmt.Sprintf("put it in a file that only root can read, and name that with secret_files: {%s: ...}", option)
			if option == "password" || option == "passwd" {
				hint = "put it in a file that only root can read, and name that with password_file; or in the environment, and name the variable with password_env"
			}
			d.wrong(at, "a secret does not belong in this file", hint)
		}
	}
	for option, file := range a.SecretFiles {
		at := path + ".secret_files." + option
		d.absolute(at, file)
		if option == "password" && (a.PasswordFile != "" || a.PasswordEnv != "") {
			d.wrong(at, "there is a password_file or password_env, too", "keep one of them")
		}
	}
	if a.Name != "" {
		seen.one(d, seen.agents, strings.Join(key, "\n"), node, path, "has the agent and the options of %s, too", "give each node its own plug or address")
	}
}
