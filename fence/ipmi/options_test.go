package ipmi

import (
	"strings"
	"testing"
)

func TestOptionsThatCannotWork(t *testing.T) {
	good := Options{Address: "10.1.0.5", Username: "fence", Password: "s3cret"}
	for _, row := range []struct {
		name   string
		change func(*Options)
		says   string
	}{
		{"no address", func(o *Options) { o.Address = "" }, "no address"},
		{"port that isn't a number", func(o *Options) { o.Address = "bmc:ipmi" }, "port"},
		{"port 0", func(o *Options) { o.Address = "bmc:0" }, "port"},
		{"two colons", func(o *Options) { o.Address = "a:b:c" }, "[ipv6]:port"},
		{"no user", func(o *Options) { o.Username = "" }, "username"},
		{"user too long", func(o *Options) { o.Username = strings.Repeat("u", 17) }, "username has 17 bytes"},
		{"no password", func(o *Options) { o.Password = "" }, "no password"},
		{"password too long", func(o *Options) { o.Password = strings.Repeat("p", 21) }, "password has 21 bytes"},
		{"suite without authentication", func(o *Options) { o.Ciphers = []int{17, 0} }, "anybody could say off"},
		{"suite that doesn't exist", func(o *Options) { o.Ciphers = []int{99} }, "cipher suite 99"},
		{"suite beyond a byte", func(o *Options) { o.Ciphers = []int{256 + 17} }, "cipher suite 273"},
		{"privilege", func(o *Options) { o.Privilege = "root" }, "operator or administrator"},
		{"timeout", func(o *Options) { o.Timeout = -1 }, "timeout"},
	} {
		o := good
		row.change(&o)
		_, err := New(o)
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q in it", row.name, err, row.says)
		}
		if err != nil && o.Password != "" && strings.Contains(err.Error(), o.Password) {
			t.Errorf("%s: the error shows the password", row.name)
		}
	}
}

func TestNameIsForPeople(t *testing.T) {
	for address, want := range map[string]string{
		"10.1.0.5":            "ipmi 10.1.0.5",
		"10.1.0.5:623":        "ipmi 10.1.0.5",
		"bmc.example.net:624": "ipmi bmc.example.net:624",
		"2001:db8::5":         "ipmi 2001:db8::5",
		"[2001:db8::5]:624":   "ipmi [2001:db8::5]:624",
	} {
		d, err := New(Options{Address: address, Username: "fence", Password: "s3cret"})
		if err != nil || d.Name() != want {
			t.Errorf("%s: %v, %v", address, d, err)
		}
	}
}
