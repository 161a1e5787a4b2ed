package config

import "time"

// Fencing is how a node's power is cut.
type Fencing struct {
	Node string `mapstructure:"name"`
	// Levels are tried in order until every device of one has proved the node off.
	Levels [][]Device `mapstructure:"levels" required:"true" hint:"write levels: [[{ipmi: {...}}]]: a list of levels, each a list of devices"`
	// Timeout is the budget of one attempt over all levels.
	Timeout time.Duration `mapstructure:"timeout" computed:"3 x the sum of the devices' timeouts, at least 60s" range:"1s-1h"`
	// VerifyPause lies at least between the two readings that prove a node off.
	VerifyPause time.Duration `mapstructure:"verify_pause" default:"500ms" range:"10ms-10s"`
}

// Device is one way to cut power; exactly one of its fields is set.
type Device struct {
	IPMI    *IPMI    `mapstructure:"ipmi"`
	Redfish *Redfish `mapstructure:"redfish"`
	Agent   *Agent   `mapstructure:"agent"`
	Webhook *Webhook `mapstructure:"webhook"`
	Script  *Script  `mapstructure:"script"`
}

// Timeout is how long one action of the device may take.
func (d Device) Timeout() time.Duration {
	switch {
	case d.IPMI != nil:
		return d.IPMI.Timeout
	case d.Redfish != nil:
		return d.Redfish.Timeout
	case d.Agent != nil:
		return d.Agent.Timeout
	case d.Webhook != nil:
		return d.Webhook.Timeout
	case d.Script != nil:
		return d.Script.Timeout
	}
	return 0
}

// bmc is the address of the device's management controller; empty: it has none.
func (d Device) bmc() string {
	switch {
	case d.IPMI != nil:
		return d.IPMI.Address
	case d.Redfish != nil:
		return d.Redfish.Address
	}
	return ""
}

// IPMI is a baseboard management controller, spoken to over LAN+ (RMCP+).
type IPMI struct {
	// Address is host:port once checked; the file may leave port 623 out.
	Address      string        `mapstructure:"address" required:"true" hint:"write the BMC's IP address, with :port if it isn't 623"`
	Username     string        `mapstructure:"username" required:"true" hint:"name a BMC user that may control power"`
	PasswordFile string        `mapstructure:"password_file"`
	PasswordEnv  string        `mapstructure:"password_env"`
	Password     Secret        `mapstructure:"-"`
	Ciphers      []int         `mapstructure:"ciphers" default:"[17, 3]" range:"1-17"` // suites, tried in order
	Privilege    string        `mapstructure:"privilege" default:"operator" oneof:"operator administrator"`
	Timeout      time.Duration `mapstructure:"timeout" default:"10s" range:"100ms-10m"`
}

// Redfish is a management controller, spoken to over HTTPS.
type Redfish struct {
	// Address is host:port once checked; the file may leave port 443 out.
	Address      string        `mapstructure:"address" required:"true" hint:"write the BMC's IP address, with :port if it isn't 443"`
	Username     string        `mapstructure:"username" required:"true" hint:"name a BMC user that may control power"`
	PasswordFile string        `mapstructure:"password_file"`
	PasswordEnv  string        `mapstructure:"password_env"`
	Password     Secret        `mapstructure:"-"`
	CAFile       string        `mapstructure:"ca_file"`
	ServerName   string        `mapstructure:"server_name"` // the name in the certificate
	Fingerprint  string        `mapstructure:"fingerprint"` // SHA-256 of the certificate, instead of an authority
	System       string        `mapstructure:"system"`      // the id of one of several systems
	UUID         string        `mapstructure:"uuid"`        // of the system
	Timeout      time.Duration `mapstructure:"timeout" default:"10s" range:"100ms-10m"`
}

// Agent is one of ClusterLabs' fence agents. What its options may be, it says itself.
type Agent struct {
	Name    string            `mapstructure:"name" required:"true" hint:"write the agent's name, such as fence_apc_snmp, or its absolute path"`
	Options map[string]string `mapstructure:"options" entry:"OPTION" plain:"true" hint:"write options: {ip: 10.1.0.9, plug: 5}; see the agent's manual page"`
	// PasswordFile and PasswordEnv are where the option password is, SecretFiles where others are.
	PasswordFile string            `mapstructure:"password_file"`
	PasswordEnv  string            `mapstructure:"password_env"`
	SecretFiles  map[string]string `mapstructure:"secret_files" entry:"OPTION" hint:"write secret_files: {snmp_priv_passwd: /etc/solevip/pdu.priv}"`
	Secrets      map[string]Secret `mapstructure:"-"` // what the files say, by option
	Timeout      time.Duration     `mapstructure:"timeout" default:"30s" range:"1s-10m"`
}

// Webhook is a power device behind HTTP. In its URLs {action}, {target} and {epoch} are filled in.
type Webhook struct {
	URL         string         `mapstructure:"url" required:"true" hint:"write the address to call, such as https://pdu.example.net/outlet/5/{action}"`
	Method      string         `mapstructure:"method" default:"POST" oneof:"GET POST PUT PATCH DELETE"`
	HeadersFile string         `mapstructure:"headers_file"`
	Headers     []Header       `mapstructure:"-"` // what HeadersFile says
	CAFile      string         `mapstructure:"ca_file"`
	Timeout     time.Duration  `mapstructure:"timeout" default:"10s" range:"100ms-10m"`
	TrustAck    bool           `mapstructure:"trust_ack" default:"false"` // an accepted request counts as off
	Status      *WebhookStatus `mapstructure:"status"`
}

// WebhookStatus is the request that proves a node off.
type WebhookStatus struct {
	URL    string `mapstructure:"url" required:"true" hint:"write the address that tells the power state"`
	Method string `mapstructure:"method" default:"GET" oneof:"GET POST"`
	// Off is what an answer that means off looks like: "json.path = value", "json.path ~ regexp"
	// or "~ regexp".
	Off string `mapstructure:"off" required:"true" hint:"say what off looks like: off: power.state = off, or off: ~ regexp"`
}

// Header is one line of a headers file.
type Header struct {
	Name  string
	Value Secret
}

// Script is a program that cuts power: run as "path args... off|on|status".
type Script struct {
	Path    string        `mapstructure:"path" required:"true" hint:"write the program's absolute path"`
	Args    []string      `mapstructure:"args" hint:"write args: [...]"`
	Timeout time.Duration `mapstructure:"timeout" default:"10s" range:"100ms-10m"`
}
