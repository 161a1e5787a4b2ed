package vrrp

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const (
	s  = time.Second
	ms = time.Millisecond
)

func config(change func(c *Config)) Config {
	c := Config{VRID: 50, Priority: 100, Interval: s, Address: bob, Addresses: twoVIPs}
	if change != nil {
		change(&c)
	}
	return c
}

func advert(priority uint8) Heard {
	return advertFrom(alice, priority, s)
}

func advertFrom(from netip.Addr, priority uint8, interval time.Duration) Heard {
	a := NewMachine(config(nil)).Advert(priority)
	a.Interval = interval
	return Heard{Advert: a, From: from}
}

// said is actions as text, without their reasons.
func said(actions []Action) string {
	var out []string
	for _, a := range actions {
		text, _, _ := strings.Cut(a.String(), ":")
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

// TestTransitions has a row for each transition of RFC 9568 section 6.4, and for each that we have instead.
// Machines of priority 100 at 192.0.2.2, interval 1 s, are brought to a state; the event comes at 10 s.
func TestTransitions(t *testing.T) {
	protected := func(c *Config) { c.Protected = true }
	preempting := func(c *Config) { c.Preempt = true }
	owner := func(c *Config) { c.Priority = 255 }
	v2 := func(c *Config) { c.Version = V2 }
	down := 3*s + s*156/256 // Active_Down_Interval of priority 100 at 1 s
	const (
		same time.Duration = -1 // the timer runs on
		none time.Duration = -2 // no timer
	)
	rows := []struct {
		name   string
		config func(*Config)
		from   State
		event  Event
		says   string
		to     State
		wake   time.Duration // after the event
	}{
		{"6.4.1 startup", nil, Init, Started{}, "", Backup, down},
		{"6.4.1 startup of the owner asks", owner, Init, Started{}, "want", Waiting, none},
		{"6.4.1 an advert before the startup", nil, Init, advert(200), "", Init, none},

		{"6.4.2 shutdown", nil, Backup, Stopped{}, "", Init, none},
		{"6.4.2 Active_Down_Timer asks", nil, Backup, Ticked{}, "want", Waiting, none},
		{"6.4.2 priority 0 leaves the skew", nil, Backup, advert(0), "", Backup, s * 156 / 256},
		{"6.4.2 higher priority is followed", preempting, Backup, advert(200), "", Backup, down},
		{"6.4.2 equal priority is followed", preempting, Backup, advert(100), "", Backup, down},
		{"6.4.2 lower priority is followed without preemption", nil, Backup, advert(50), "", Backup, down},
		{"6.4.2 lower priority is discarded with it", preempting, Backup, advert(50), "", Backup, same},
		{"6.4.2 the active router's interval is adopted", nil, Backup, advertFrom(alice, 200, 100*ms), "", Backup, down / 10},
		{"protected: priority 0 asks at once", protected, Backup, advert(0), "want", Waiting, none},
		{"protected: lower priority is followed, whatever Preempt says", func(c *Config) { c.Protected, c.Preempt = true, true }, Backup, advert(50), "", Backup, down},
		{"granted without asking", protected, Backup, Granted{}, "send priority 100", Active, s},
		{"revoked what was not granted", nil, Backup, Revoked{Yield: true}, "", Backup, same},

		{"granted", nil, Waiting, Granted{}, "send priority 100", Active, s},
		{"waiting has no timer", nil, Waiting, Ticked{}, "", Waiting, none},
		{"waiting, stopped", nil, Waiting, Stopped{}, "unwant", Init, none},
		{"waiting, given up", nil, Waiting, Revoked{}, "unwant", Backup, down},
		{"waiting, another router is active", nil, Waiting, advert(200), "unwant", Backup, down},
		{"waiting, another router gave up", nil, Waiting, advert(0), "", Waiting, none},
		{"waiting, a router that we preempt", preempting, Waiting, advert(50), "", Waiting, none},

		{"6.4.3 shutdown: priority 0 waits for the addresses", nil, Active, Stopped{}, "unwant", Active, same},
		{"6.4.3 Adver_Timer", nil, Active, Ticked{}, "send priority 100", Active, s},
		{"6.4.3 priority 0 is answered", nil, Active, advert(0), "send priority 100", Active, s},
		{"6.4.3 higher priority", nil, Active, advert(200), "unwant", Backup, down},
		{"6.4.3 higher priority with another interval", nil, Active, advertFrom(alice, 200, 2*s), "unwant", Backup, 2 * down},
		{"6.4.3 equal priority, higher address", nil, Active, advertFrom(netip.MustParseAddr("192.0.2.3"), 100, s), "unwant", Backup, down},
		{"6.4.3 equal priority, lower address, is answered", nil, Active, advert(100), "send priority 100", Active, same},
		{"6.4.3 equal priority and address", nil, Active, advertFrom(bob, 100, s), "alarm", Active, same},
		{"6.4.3 lower priority is answered", nil, Active, advert(50), "send priority 100", Active, same},
		{"erratum 8298: owners hear each other", owner, Active, advertFrom(netip.MustParseAddr("192.0.2.3"), 255, s), "unwant", Backup, 3*s + s/256},
		{"released", nil, Active, Revoked{Yield: true}, "send priority 0, unwant", Backup, down},
		{"revoked, nothing known of the addresses", nil, Active, Revoked{}, "unwant", Backup, down},
		{"protected: higher priority is an alarm", protected, Active, advert(255), "alarm", Active, same},
		{"protected: lower priority is an alarm, and answered", protected, Active, advert(50), "alarm, send priority 100", Active, same},
		{"protected: priority 0 is answered", protected, Active, advert(0), "send priority 100", Active, s},
		{"granted again", nil, Active, Granted{}, "", Active, same},

		{"version 2: the skew is in seconds", v2, Init, Started{}, "", Backup, down},
	}
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			m := NewMachine(config(r.config))
			bring(m, r.from)
			at, _ := m.Wake()
			now := 10 * s
			if r.wake == same {
				r.wake = at - now
			}
			got := m.Step(now, r.event)
			if d := cmp.Diff(r.says, said(got)); d != "" {
				t.Errorf("actions of %v (-want +got):\n%s", r.event, d)
			}
			if m.State() != r.to {
				t.Errorf("in %v (%s), want %v", m.State(), m.Why(), r.to)
			}
			wake, armed := m.Wake()
			if armed == (r.wake == none) || armed && wake != now+r.wake {
				t.Errorf("wakes at %v (%v), want after %v", wake, armed, r.wake)
			}
		})
	}
}

// bring takes a new machine to a state, with its timer due at 10 s.
func bring(m *Machine, to State) {
	begin := 10*s - m.downInterval()
	switch to {
	case Backup:
		m.Step(begin, Started{})
	case Waiting:
		m.Step(0, Started{})
		m.Step(9*s, Ticked{})
	case Active:
		m.Step(begin, Started{})
		m.Step(9*s, Granted{})
	}
	if m.State() != to {
		panic("not there")
	}
}

func TestStoppedHolderAdvertsUntilRevoked(t *testing.T) {
	for _, yield := range []bool{true, false} {
		m := NewMachine(config(nil))
		bring(m, Active)
		m.Step(10*s, Stopped{})
		if got := said(m.Step(10*s, Ticked{})); got != "send priority 100" {
			t.Errorf("while its addresses are up it said %q", got)
		}
		want := map[bool]string{true: "send priority 0", false: ""}[yield]
		if got := said(m.Step(11*s, Revoked{Yield: yield})); got != want || m.State() != Init {
			t.Errorf("yield %v: said %q in %v, want %q in init", yield, got, m.State(), want)
		}
	}
}

func TestCheckListsEveryMistake(t *testing.T) {
	if err := config(nil).Check(); err != nil {
		t.Errorf("a good config: %v", err)
	}
	err := Config{Interval: -s, DownTimerAdverts: 101, PreemptDelay: -1, Addresses: twoVIPs, Address: alice6}.Check()
	for _, want := range []string{"virtual router id 0", "priority 0", "another family", "down after 101", "preempt delay"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in: %v", want, err)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a machine was made of it")
		}
	}()
	NewMachine(Config{})
}

func TestAlarmsOfInventedSendersAreBounded(t *testing.T) {
	m := NewMachine(config(func(c *Config) { c.Protected = true }))
	bring(m, Active)
	raised := 0
	for i := range 10_000 {
		from := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		raised += len(m.Step(10*s, advertFrom(from, 200, s)))
	}
	if raised != alarmsKept || len(m.alarmed) != alarmsKept {
		t.Errorf("%d alarms raised, %d kept, want %d", raised, len(m.alarmed), alarmsKept)
	}
	if got := said(m.Step(10*s+alarmEvery, advert(200))); got != "alarm" {
		t.Errorf("a minute later: %q", got)
	}
}

// TestInvariants drives machines with any events in any order.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := config(func(c *Config) {
			c.Protected = rapid.Bool().Draw(t, "protected")
			c.Preempt = rapid.Bool().Draw(t, "preempt")
			c.Priority = uint8(rapid.IntRange(1, 255).Draw(t, "priority"))
			c.PreemptDelay = time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * s
		})
		m := NewMachine(c)
		now, wish := time.Duration(0), false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 5000).Draw(t, "pause")) * ms
			was, e := m.State(), anyEvent(t)
			actions := m.Step(now, e)
			_, granted := e.(Granted)
			revoked, isRevoked := e.(Revoked)
			for _, a := range actions {
				switch a := a.(type) {
				case Want:
					wish = true
				case Unwant:
					wish = false
				case Send:
					if a.Priority == 0 && !(isRevoked && revoked.Yield) {
						t.Fatalf("priority 0 at %v", e)
					}
					if a.Priority != 0 && m.State() != Active {
						t.Fatalf("adverts in %v at %v", m.State(), e)
					}
				}
			}
			if was != Active && m.State() == Active && !granted {
				t.Fatalf("active by %v", e)
			}
			if c.Protected && was == Active && m.State() != Active && !isRevoked {
				t.Fatalf("a protected holder yields to %v", e)
			}
			if m.State() == Waiting && !wish {
				t.Fatal("waiting without a wish")
			}
			if (m.State() == Init || m.State() == Backup) && wish {
				t.Fatalf("the wish stands in %v after %v", m.State(), e)
			}
			if at, armed := m.Wake(); armed && at <= now {
				if _, ticked := e.(Ticked); ticked {
					t.Fatalf("wakes at %v, and it is %v: a busy loop", at, now)
				}
			}
		}
	})
}

func anyEvent(t *rapid.T) Event {
	switch rapid.IntRange(0, 8).Draw(t, "event") {
	case 0:
		return Started{}
	case 1:
		return Stopped{}
	case 2:
		return Granted{}
	case 3:
		return Revoked{Yield: rapid.Bool().Draw(t, "yield")}
	case 4:
		return Reprioritised{rapid.Uint8().Draw(t, "new priority")}
	case 5, 6:
		return Ticked{}
	}
	from := rapid.SampledFrom([]netip.Addr{alice, bob, netip.MustParseAddr("192.0.2.3")}).Draw(t, "from")
	interval := time.Duration(rapid.IntRange(1, 4095).Draw(t, "interval")) * 10 * ms
	return advertFrom(from, rapid.Uint8().Draw(t, "heard priority"), interval)
}
