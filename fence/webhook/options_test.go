package webhook

import (
	"strings"
	"testing"
)

func TestOptionsThatCannotWork(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*Options)
		says   string
	}{
		{"no url", func(o *Options) { o.URL = "" }, "url: missing"},
		{"no scheme", func(o *Options) { o.URL = "strip.example.net/off" }, "scheme"},
		{"no host", func(o *Options) { o.URL = "https:///off" }, "no host"},
		{"unknown place", func(o *Options) { o.URL = "https://strip/{node}" }, "{node} isn't known"},
		{"place in the host", func(o *Options) { o.URL = "https://{target}.example.net/off" }, "only the path and the query"},
		{"fragment", func(o *Options) { o.URL = "https://strip/#off" }, "%23"},
		{"not a url", func(o *Options) { o.URL = "https://user:passw0rd@strip:port/off" }, "not a URL"},
		{"method", func(o *Options) { o.Method = "post" }, "capital letters"},
		{"no status", func(o *Options) { o.Status = nil }, "trust_ack"},
		{"status and trust_ack", func(o *Options) { o.TrustAck = true }, "exclude each other"},
		{"status url", func(o *Options) { o.Status = &Status{Off: "~ off"} }, "status url: missing"},
		{"status off", func(o *Options) { o.Status = &Status{URL: "https://strip/"} }, "status off"},
		{"ca", func(o *Options) { o.CA = []byte("nonsense") }, "no certificate"},
		{"timeout", func(o *Options) { o.Timeout = -1 }, "timeout"},
	} {
		o := Options{URL: "https://strip/{action}", Status: &Status{URL: "https://strip/status", Off: "~ off"}}
		row.change(&o)
		_, err := New(o)
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v, want %q in it", row.name, err, row.says)
		}
		if err != nil && strings.Contains(err.Error(), "passw0rd") {
			t.Errorf("%s: %v shows the password", row.name, err)
		}
	}
}

func TestRedact(t *testing.T) {
	for raw, want := range map[string]string{
		"https://strip/outlet/5/{action}":    "https://strip/outlet/5/{action}",
		"https://u:p@strip/x":                "https://***@strip/x",
		"https://u:p%40@strip/x@y":           "https://***@strip/x@y",
		"https://strip/x?k=v&do={action}":    "https://strip/x?k=***&do={action}",
		"https://strip/x?token":              "https://strip/x?***",
		"https://strip/x?k=pre{target}&b=a=": "https://strip/x?k=***{target}&b=***",
	} {
		if got := redact(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func TestHeadersThatCannotBeSent(t *testing.T) {
	for text, says := range map[string]string{
		"Authorization Bearer s3cret":     "line 1",
		"A: b\nBad Name: s3cret":          "line 2",
		"A: b\n\nX-Token: s3cret\x01rest": "line 3",
	} {
		_, err := ParseHeaders([]byte(text))
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want %s", text, err, says)
		}
	}
}
