package webhook

import (
	"strings"
	"testing"
)

func TestExpressions(t *testing.T) {
	const on, off, unknown = "on", "off", "unknown"
	for _, row := range []struct{ expression, answer, want string }{
		{"power.state = off", `{"power":{"state":"off"}}`, off},
		{"power.state=off", `{"power":{"state":"off"}}`, off},
		{"$.power.state = off", `{"power":{"state":"off"}}`, off},
		{"power.state = off", `{"power":{"state":"on"}}`, on},
		{"power.state = off", `{"power":{"state":"OFF"}}`, on}, // exact: write ~ (?i)^off$
		{"power.state = off", `{"power":"off"}`, unknown},
		{"power.state = off", `{"power":{"state":{"is":"off"}}}`, unknown},
		{"power.state = off", `"off"`, unknown},
		{"PowerState = Off", `{"PowerState":"Off","@odata.id":"x"}`, off},
		{"PowerState = Off", `{"PowerState":"PoweringOff"}`, on},
		{"on = false", `{"on":false}`, off},
		{"on = false", `{"on":true}`, on},
		{"on = false", `{"on":"false"}`, unknown},
		{`on = "false"`, `{"on":"false"}`, off},
		{"relay = 0", `{"relay":0}`, off},
		{"relay = 0", `{"relay":0.0}`, off},
		{"relay = 0", `{"relay":1}`, on},
		{"relay = 0", `{"relay":null}`, unknown},
		{`state = "powered off"`, `{"state":"powered off"}`, off},
		{"outlets[4].state = off", `{"outlets":[{},{},{},{},{"state":"off"}]}`, off},
		{"outlets.4.state = off", `{"outlets":[{},{},{},{},{"state":"on"}]}`, on},
		{"outlets[4].state = off", `{"outlets":[{"state":"off"}]}`, unknown},
		{"m[1][0] = 7", `{"m":[[1],[7]]}`, off},
		{"[0].state = off", `[{"state":"off"}]`, off},
		{"5.state = off", `{"5":{"state":"off"}}`, off},
		{"state ~ (?i)^off$", `{"state":"OFF"}`, off},
		{"state ~ (?i)^off$", `{"state":"offline"}`, on},
		{"state ~ ^[0]$", `{"state":0}`, off},
		{"state ~ off", `{"other":"off"}`, unknown},
		{"~ Outlet 5: *OFF", "Outlet 4: ON\nOutlet 5:   OFF\n", off},
		{"~ Outlet 5: *OFF", "Outlet 5: ON\n", on},
		{"~ a=b", "a=b", off},
		{"~ OFF", " \n", unknown},
	} {
		e, err := ParseExpression(row.expression)
		if err != nil {
			t.Errorf("%s: %v", row.expression, err)
			continue
		}
		isOff, err := e.Match([]byte(row.answer))
		got := map[bool]string{true: off, false: on}[isOff]
		if err != nil {
			got = unknown
		}
		if got != row.want {
			t.Errorf("%s of %s is %s (%v), want %s", row.expression, row.answer, got, err, row.want)
		}
	}
}

func TestExpressionsThatSayNothing(t *testing.T) {
	for _, row := range []struct{ expression, says string }{
		{"", "want PATH = VALUE"},
		{"power.state", "want PATH = VALUE"},
		{"state =", "nothing after ="},
		{"state ~ ", "nothing after ~"},
		{"= off", "no path before ="},
		{"state = null", "proves nothing"},
		{"state = {}", "proves nothing"},
		{"state = [1]", "proves nothing"},
		{`state = "off`, "isn't JSON"},
		{"state = powered off", "stands in quotes"},
		{"state ~ (off", "missing closing )"},
		{"power..state = off", "isn't a name"},
		{"outlets[x] = off", "number of an element"},
		{"outlets[4 = off", "number of an element"},
		{"outlets[4]state = off", "a dot is missing"},
		{"power state = off", "isn't a name"},
		{"state == off", "a text with spaces or signs"},
		{"a = b = c", "a text with spaces or signs"},
	} {
		_, err := ParseExpression(row.expression)
		if err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%q: %v, want %q in it", row.expression, err, row.says)
		}
	}
}

// Whatever is written and whatever is answered: no panic, and off only when the value is there.
func FuzzExpression(f *testing.F) {
	f.Add("power.state = off", `{"power":{"state":"off"}}`)
	f.Add("m[1][0] ~ ^7$", `{"m":[[1],[7]]}`)
	f.Add("~ OFF", "Outlet 5: OFF")
	f.Add("$. = 0", `{"":0}`)
	f.Fuzz(func(t *testing.T, expression, answer string) {
		e, err := ParseExpression(expression)
		if err != nil {
			return
		}
		off, err := e.Match([]byte(answer))
		if off && err != nil {
			t.Errorf("off and unknown at once: %v", err)
		}
		if want, ok := e.want.(string); ok && off && !strings.Contains(answer, want) && !strings.Contains(answer, `\`) {
			t.Errorf("%q says off though the answer has no %q", expression, want)
		}
	})
}
