package config

import "time"

// Check is a health check; exactly one of its kinds is set.
type Check struct {
	// Name is for people, in the log and the status.
	Name      string          `mapstructure:"name" computed:"the kind, and what it looks at"`
	Script    *ScriptCheck    `mapstructure:"script"`
	TCP       *TCPCheck       `mapstructure:"tcp"`
	HTTP      *HTTPCheck      `mapstructure:"http"`
	TLS       *TLSCheck       `mapstructure:"tls"`
	MySQL     *MySQLCheck     `mapstructure:"mysql"`
	Interface *InterfaceCheck `mapstructure:"interface"`
	File      *FileCheck      `mapstructure:"file"`
	Process   *ProcessCheck   `mapstructure:"process"`
	Interval  time.Duration   `mapstructure:"interval" default:"1s" range:"100ms-1h"`
	// Timeout is for one answer; none in time is a bad one.
	Timeout time.Duration `mapstructure:"timeout" computed:"interval" range:"10ms-1h"`
	// Rise and Fall are how many answers in a row change the check's state.
	Rise int `mapstructure:"rise" default:"2" range:"1-1000"`
	Fall int `mapstructure:"fall" default:"2" range:"1-1000"`
	// Weight 0 makes a bad check a fault; another one is added to the priority while the check is good (above 0) or bad
	// (below). Only a group with protection vrrp has other ones.
	Weight int `mapstructure:"weight" default:"0" range:"-253-253"`
}

// ScriptCheck runs a program.
type ScriptCheck struct {
	Path string   `mapstructure:"path" required:"true" hint:"write the program's absolute path"`
	Args []string `mapstructure:"args" hint:"write args: [...]"`
}

// TCPCheck connects.
type TCPCheck struct {
	Address string `mapstructure:"address" required:"true" hint:"write an IP address and a port, such as 127.0.0.1:3306"`
}

// HTTPCheck asks for a page.
type HTTPCheck struct {
	URL    string `mapstructure:"url" required:"true" hint:"write a URL, such as http://127.0.0.1/health"`
	Status []int  `mapstructure:"status" computed:"200 to 399" range:"100-599" hint:"write status: [200]"`
	Body   string `mapstructure:"body"`
	CAFile string `mapstructure:"ca_file"`
}

// TLSCheck looks at a certificate.
type TLSCheck struct {
	Address    string        `mapstructure:"address" required:"true" hint:"write an IP address and a port, such as 127.0.0.1:443"`
	ServerName string        `mapstructure:"server_name" computed:"the address"`
	ValidFor   time.Duration `mapstructure:"valid_for" default:"0s" range:"0s-87600h"`
	CAFile     string        `mapstructure:"ca_file"`
}

// MySQLCheck asks a MySQL or MariaDB server.
type MySQLCheck struct {
	DSNFile  string `mapstructure:"dsn_file"`
	DSNEnv   string `mapstructure:"dsn_env"`
	DSN      Secret `mapstructure:"-"`
	ReadOnly string `mapstructure:"read_only" default:"any" oneof:"any on off"`
	Query    string `mapstructure:"query"`
	Expect   string `mapstructure:"expect" plain:"true"`
}

// InterfaceCheck wants an interface up, with a carrier.
type InterfaceCheck struct {
	Name string `mapstructure:"name" required:"true" hint:"write the name of an interface"`
}

// FileCheck reads a number.
type FileCheck struct {
	Path string `mapstructure:"path" required:"true" hint:"write the file's absolute path"`
}

// ProcessCheck counts processes.
type ProcessCheck struct {
	Name  string `mapstructure:"name" required:"true" hint:"write the name of the program, such as nginx"`
	Least int    `mapstructure:"least" default:"1" range:"1-10000"`
}

// Kind is the key that is set, and what it looks at in a few words; empty when none or several are.
func (c Check) Kind() (kind, at string) {
	var kinds, ats []string
	add := func(set bool, kind string, at func() string) {
		if set {
			kinds, ats = append(kinds, kind), append(ats, at())
		}
	}
	add(c.Script != nil, "script", func() string { return c.Script.Path })
	add(c.TCP != nil, "tcp", func() string { return c.TCP.Address })
	add(c.HTTP != nil, "http", func() string { return withoutQuery(c.HTTP.URL) })
	add(c.TLS != nil, "tls", func() string { return c.TLS.Address })
	add(c.MySQL != nil, "mysql", func() string { return "" })
	add(c.Interface != nil, "interface", func() string { return c.Interface.Name })
	add(c.File != nil, "file", func() string { return c.File.Path })
	add(c.Process != nil, "process", func() string { return c.Process.Name })
	if len(kinds) != 1 {
		return "", ""
	}
	return kinds[0], ats[0]
}
