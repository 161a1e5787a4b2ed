package config

import (
	"fmt"
	"slices"
	"strings"
)

// elsewhere says what to write instead of a word that keepalived knows, or that other parts of
// the documentation might have led to.
var elsewhere = map[string]string{
	"advert_int":                 "write advert_interval",
	"auth_pass":                  "write auth: {password_file: ...}",
	"authentication":             "write auth: {password_file: ...}",
	"device":                     "write interface",
	"garp_master_delay":          "write announce: {delay: ...} in the group",
	"garp_master_refresh":        "write announce: {refresh: ...} in the group",
	"garp_master_repeat":         "write announce: {repeat: ...} in the group",
	"nopreempt":                  "remove it: a returning node never takes a group back by itself, unless preempt: true",
	"notify_backup":              "write hooks: {demote: ...}, which runs before the addresses go",
	"notify_master":              "write hooks: {promote: ...}, which runs before the addresses come",
	"state":                      "remove it: who holds the group is found out at run time",
	"track_interface":            "write checks: [{interface: {name: eth0}}] in the group",
	"track_script":               "write checks: [{script: {path: ...}}] in the group",
	"unicast_peer":               "write unicast: true; the peers are the group's other members",
	"v3_checksum_as_v2":          "write checksum: no-pseudo-header",
	"vip":                        "write addresses",
	"vips":                       "write addresses",
	"virtual_ipaddress":          "write addresses",
	"virtual_ipaddress_excluded": "put them in another instance of the group",
	"virtual_router_id":          "write vrid",
	"vrrp_instance":              "write instances in a group",
}

// later are keys of coming versions.
var later = map[string]string{
	"watchdog": "watchdogs are not in this version",
	"metrics":  "metrics are not in this version",
	"api":      "a network API is not in this version",
}

// unknown says what is wrong with a key that the schema doesn't have here, and what to do.
func unknown(key string, fields []field) (what, hint string) {
	what = "unknown key"
	var here []string
	for _, f := range fields {
		here = append(here, f.key)
	}
	if slices.Contains(here, key+"_file") {
		return secretKey(key, here)
	}
	if why, ok := later[key]; ok {
		return why, "remove it"
	}
	if instead, ok := elsewhere[key]; ok {
		return what, instead
	}
	if near, ok := nearest(key, here); ok {
		return what, "did you mean " + near + "?"
	}
	if slices.Contains(here, "secret_files") {
		return what, fmt.Sprintf("if the agent has it, write options: {%s: ...}", key)
	}
	if place, ok := onlyPlace(key); ok {
		return what, "it belongs at " + place
	}
	return what, "remove it; known here: " + strings.Join(here, ", ")
}

// secretKey says what to do with a secret that was written into the file.
func secretKey(key string, here []string) (what, hint string) {
	hint = fmt.Sprintf("put it in a file that only root can read, and name that with %s_file", key)
	if slices.Contains(here, key+"_env") {
		hint += fmt.Sprintf("; or in the environment, and name the variable with %s_env", key)
	}
	return "a secret does not belong in this file", hint
}

// onlyPlace finds where a key belongs, when that is one place.
func onlyPlace(key string) (string, bool) {
	var found []string
	for _, k := range Keys() {
		if strings.HasSuffix(k.Path, "."+key) || k.Path == key {
			found = append(found, k.Path)
		}
	}
	if len(found) != 1 {
		return "", false
	}
	return found[0], true
}

// nearest finds the word that a misspelt one was probably meant to be.
func nearest(word string, words []string) (string, bool) {
	best, at := "", len(word)/3+1
	for _, w := range words {
		if n := distance(strings.ToLower(word), strings.ToLower(w)); n < at || n == at && best == "" && n <= 2 {
			best, at = w, n
		}
	}
	return best, best != ""
}

// distance counts the letters to insert, delete or replace between two words (Levenshtein).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	var d [65][65]int
	for i := range len(a) + 1 {
		for j := range len(b) + 1 {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j], d[i][j-1], d[i-1][j-1])
			}
		}
	}
	return d[len(a)][len(b)]
}
