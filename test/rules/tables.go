package rules

import "strings"

// row says which of our packages a package may import, and why no others. Tests may import more.
type row struct {
	may []string
	why string
}

const (
	leaf    = "it is a leaf: whoever needs it imports it, and it needs none of them"
	adapter = "an adapter does one thing to the outside world; it knows the words it speaks and nothing of who calls it"
)

// layout is the import table: arrows point down only. Package config is in no row but cmd's,
// which translates it to each package's Options.
var layout = map[string]row{
	"vrrp":    {why: "it is pure, and the protocol knows nothing of leases"},
	"arbiter": {why: "it is pure: the ledger as values"},
	"claim":   {may: []string{"arbiter"}, why: "it is pure: the rule knows the ledger's words and nothing that acts"},

	"api":  {why: leaf},
	"cert": {why: leaf},
	"proc": {why: leaf},

	"fence":              {why: "it declares Fencer and runs levels; devices know it, not the other way round"},
	"fence/ipmi":         {may: []string{"fence"}, why: adapter},
	"fence/redfish":      {may: []string{"fence", "fence/internal/..."}, why: adapter},
	"fence/webhook":      {may: []string{"fence", "fence/internal/..."}, why: adapter},
	"fence/internal/web": {may: []string{"fence"}, why: adapter},
	"fence/agent":        {may: []string{"fence", "proc"}, why: adapter},
	"fence/script":       {may: []string{"fence", "proc"}, why: adapter},

	"vip":                 {may: []string{"claim"}, why: adapter + "; of claim it wants the Permit"},
	"vrrp/conn":           {may: []string{"vrrp"}, why: adapter},
	"hook":                {may: []string{"proc"}, why: adapter},
	"health":              {may: []string{"proc"}, why: adapter},
	"raftnode":            {may: []string{"arbiter", "cert", "raftnode/wire"}, why: adapter},
	"raftnode/wire":       {may: []string{"arbiter"}, why: "it carries the ledger's words between nodes, and knows neither Raft nor who may say what"},
	"arbiter/remote":      {may: []string{"arbiter", "cert", "raftnode/wire"}, why: adapter + "; Raft runs elsewhere"},
	"arbiter/etcd":        {may: []string{"arbiter"}, why: adapter},
	"arbiter/arbitertest": {may: []string{"arbiter"}, why: "one suite for every backend knows none of them"},

	"daemon": {
		may: []string{"api", "arbiter", "claim", "fence", "health", "hook", "vrrp"},
		why: "it performs actions and decides nothing; adapters are handed to it by cmd, which alone knows the file",
	},
	"config":     {why: "it turns a file into values, and only cmd reads them"},
	"keepalived": {why: "it turns another program's file into text, and runs nothing"},

	"cmd/solevip": {
		may: []string{
			"api", "arbiter/...", "cert", "claim", "config", "daemon", "fence/...", "health", "hook", "keepalived", "proc", "raftnode", "vip", "vrrp/...",
		},
		why: "the product does not contain its tests",
	},
	"cmd/solevip-lab": {may: []string{"test/lab"}, why: "the lab drives the built binary from outside, as a user does"},

	"test/bmc":        {why: "a simulated device knows nothing of who calls it"},
	"test/redfishbmc": {why: "a simulated device knows nothing of who calls it"},
	"test/lab":        {may: []string{"api", "cert", "test/bmc"}, why: "the lab drives the built binary from outside, as a user does"},
	"test/sim":        {may: []string{"arbiter", "claim"}, why: "it judges the rule and the ledger, in a world of its own"},
	"test/rules":      {why: leaf},
}

// pure names the packages that take an event and a time and hand back actions.
var pure = []string{"vrrp", "arbiter", "claim"}

// ban is a standard package, and what is below it, that a pure package may not import.
type ban struct {
	path   string
	below  bool
	except string
	why    string
}

func (b ban) matches(p string) bool {
	return p != b.except && (p == b.path || b.below && strings.HasPrefix(p, b.path+"/"))
}

var impure = []ban{
	{path: "net", below: true, except: "net/netip", why: "packets are the adapters' (net/netip is only values)"},
	{path: "os", below: true, why: "files and processes are the adapters'"},
	{path: "syscall", why: "the kernel is the adapters'"},
	{path: "context", why: "nothing here blocks"},
	{path: "sync", below: true, why: "one goroutine owns a machine"},
	{path: "math/rand", below: true, why: "chance is an argument"},
	{path: "crypto/rand", why: "chance is an argument"},
	{path: "log", below: true, why: "the reason is a result; who calls logs it"},
	{path: "runtime", below: true, why: "nothing here depends on the machine"},
	{path: "unsafe", why: "nothing here needs it"},
}

// clocks are the names of package time that read a clock or wait for one.
var clocks = []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"}

// foreign is a third-party module and the packages that may see it. "tests" are all test files,
// "test" all packages below test.
type foreign struct {
	path string
	in   []string
	why  string
}

var modules = []foreign{
	{"github.com/hashicorp/raft", []string{"raftnode"}, "Raft's types stop at raftnode"},
	{"github.com/hashicorp/raft-boltdb", []string{"raftnode"}, "Raft's types stop at raftnode"},
	{"github.com/hashicorp/go-hclog", []string{"raftnode"}, "Raft's types stop at raftnode"},
	{"go.etcd.io/bbolt", []string{"raftnode"}, "the log's store stops at raftnode"},
	{"go.etcd.io/etcd", []string{"arbiter/etcd"}, "etcd's types stop at arbiter/etcd"},
	{"go.uber.org/zap", []string{"arbiter/etcd"}, "etcd's logger stops at arbiter/etcd"},
	{"github.com/anishathalye/porcupine", []string{"arbiter/arbitertest"}, "the judge of histories is the suite's"},
	{"google.golang.org/grpc", []string{"arbiter/etcd"}, "etcd's transport stops at arbiter/etcd"},
	{"github.com/vishvananda/netlink", []string{"vip", "test"}, "netlink's types stop at vip"},
	{"github.com/vishvananda/netns", []string{"tests", "test"}, "namespaces are for tests"},
	{"github.com/google/nftables", []string{"vip"}, "nftables' types stop at vip"},
	{"github.com/mdlayher/arp", []string{"vip"}, "announcements are vip's"},
	{"github.com/mdlayher/ndp", []string{"vip"}, "announcements are vip's"},
	{"github.com/mdlayher/packet", []string{"vip"}, "announcements are vip's"},
	{"github.com/mdlayher/netlink", []string{"vip"}, "netlink's types stop at vip"},
	{"github.com/bougou/go-ipmi", []string{"fence/ipmi"}, "a device's protocol stops at its fencer"},
	{"golang.org/x/net/ipv4", []string{"vrrp/conn", "tests"}, "VRRP's sockets are vrrp/conn's"},
	{"golang.org/x/net/ipv6", []string{"vrrp/conn", "tests"}, "VRRP's sockets are vrrp/conn's"},
	{"golang.org/x/net/icmp", []string{"tests"}, "probes are for tests"},
	{"golang.org/x/net/http/httpguts", []string{"fence/webhook", "fence/internal/web"}, "header syntax is the web devices'"},
	{"golang.org/x/sys/unix", []string{"daemon", "proc", "raftnode", "vip", "vrrp/conn", "test", "tests"}, "system calls are the adapters', and the clock is daemon's"},
	{"github.com/spf13/viper", []string{"config"}, "how the file is read stops at config"},
	{"github.com/go-viper/mapstructure", []string{"config"}, "how the file is read stops at config"},
	{"go.yaml.in/yaml", []string{"config", "tests"}, "how the file is read stops at config"},
	{"github.com/spf13/cobra", []string{"cmd/solevip", "cmd/solevip-lab"}, "verbs and flags are the commands'"},
	{"github.com/go-sql-driver/mysql", []string{"health", "tests"}, "a database's protocol stops at its probe"},
	{"github.com/jedib0t/go-pretty", []string{"cmd/solevip", "cmd/solevip-lab"}, "tables for people are the commands'"},
	{"golang.org/x/term", []string{"cmd/solevip", "cmd/solevip-lab"}, "the terminal is the commands'"},
	{"github.com/coreos/go-systemd", []string{"cmd/solevip"}, "the service manager is the command's"},
	{"github.com/prometheus/client_golang", []string{"daemon", "cmd/solevip"}, "metrics are the daemon's"},
	{"golang.org/x/sync", []string{"daemon", "cmd/solevip", "raftnode"}, "goroutines are the shell's"},
	{"github.com/google/go-cmp", []string{"tests", "arbiter/arbitertest"}, "it compares in tests"},
	{"go.uber.org/goleak", []string{"tests"}, "it watches tests"},
	{"pgregory.net/rapid", []string{"tests"}, "it generates for tests"},
	{"github.com/rogpeppe/go-internal", []string{"tests"}, "it runs scripts in tests"},
}
