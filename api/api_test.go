package api_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/api"
)

// node answers as it is told and notes what it was asked.
type node struct {
	status   api.Status
	stream   []api.Status
	ends     chan struct{} // the daemon's end, for a watch
	err      error
	moved    api.SwitchoverRequest
	tested   api.FenceTestRequest
	attested api.ConfirmRequest
	ordered  api.FenceOffRequest
	unfenced api.UnfenceRequest
	paused   api.MaintenanceRequest
	restored api.LedgerConfirmRequest
	changed  api.ClusterRequest
}

func (n *node) Status(context.Context) (api.Status, error) { return n.status, n.err }

func (n *node) Watch(ctx context.Context, each func(api.Status) error) error {
	if n.err != nil {
		return n.err
	}
	for _, s := range n.stream {
		if err := each(s); err != nil {
			return err
		}
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.ends:
		return nil
	}
}

func (n *node) Switchover(_ context.Context, r api.SwitchoverRequest) (api.SwitchoverAnswer, error) {
	n.moved = r
	return api.SwitchoverAnswer{Group: r.Group, From: "db1", To: r.To, Epoch: 7, TookMS: 12}, n.err
}

func (n *node) FenceTest(_ context.Context, r api.FenceTestRequest) ([]api.DeviceCheck, error) {
	n.tested = r
	return []api.DeviceCheck{{Target: r.Node, Level: 1, Device: "ipmi 10.1.0.5", Power: "on", TookMS: 40}}, n.err
}

func (n *node) FenceOff(_ context.Context, r api.FenceOffRequest) (api.FenceOffAnswer, error) {
	n.ordered = r
	return api.FenceOffAnswer{Node: r.Node, Outcome: "off", Method: "ipmi", Detail: "read twice", TookMS: 900}, n.err
}

func (n *node) Maintenance(_ context.Context, r api.MaintenanceRequest) error {
	n.paused = r
	return n.err
}

func (n *node) FenceUnfence(_ context.Context, r api.UnfenceRequest) error {
	n.unfenced = r
	return n.err
}

func (n *node) FenceConfirm(_ context.Context, r api.ConfirmRequest) error {
	n.attested = r
	return n.err
}

func (n *node) ExportLedger(_ context.Context, stale bool) (api.LedgerBackup, error) {
	return api.LedgerBackup{Format: api.BackupFormat, Cluster: "orders", Current: !stale, Record: []byte(`{"index":7}`)}, n.err
}

func (n *node) LedgerGC(context.Context) (api.LedgerGCAnswer, error) {
	return api.LedgerGCAnswer{Removed: []string{"node db3"}, Kept: []string{"group nfs: it has a holder"}}, n.err
}

func (n *node) LedgerConfirm(_ context.Context, r api.LedgerConfirmRequest) error {
	n.restored = r
	return n.err
}

func (n *node) ChangeCluster(_ context.Context, r api.ClusterRequest) (api.ClusterAnswer, error) {
	n.changed = r
	return api.ClusterAnswer{Do: r.Do, Node: r.Node, Changed: true, Voters: []string{"arb", "db1"}, Keeps: []string{"mysql"}}, n.err
}

// serve has a node answer at the control socket of a run directory.
func serve(t *testing.T, h http.Handler) (runDir string) {
	t.Helper()
	runDir = t.TempDir()
	l, err := net.Listen("unix", api.Socket(runDir))
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-done
	})
	return runDir
}

var whole = api.Status{
	Node: "db1", Cluster: "orders", Version: "1", Quorum: true, Leader: "arb",
	Nodes:    []api.Machine{{Name: "db1", Role: "member", Boot: "a/b", BeatAgeMS: 12, FencePathOK: new(bool)}, {Name: "arb", Role: "arbiter", BeatAgeMS: -1}},
	Groups:   []api.Group{{Name: "mysql", Protection: "fence", Role: "holder", Holder: "db1", Epoch: 7, DeadlineMS: 2400, Reason: "holding", Addresses: []string{"10.0.0.100/24"}, Up: true}},
	Fences:   []api.Fence{{Target: "db2", By: "db1", Epoch: 7, Method: "ipmi", Outcome: "off", Evidence: "power-off-verified", At: "2026-01-02T03:04:05Z"}},
	Warnings: []string{"cluster.insecure"},
}

func TestRequestsArriveWhole(t *testing.T) {
	n := &node{status: whole}
	c := api.NewClient(serve(t, api.Handler(n)))
	s, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(whole, s); diff != "" {
		t.Error(diff)
	}
	move := api.SwitchoverRequest{Group: "mysql", To: "db2"}
	if a, err := c.Switchover(t.Context(), move); err != nil || a.Epoch != 7 || n.moved != move {
		t.Errorf("%v, %v; asked for %v", a, err, n.moved)
	}
	test := api.FenceTestRequest{Node: "a/b ü", Operator: "ann", Replaced: true}
	if checks, err := c.FenceTest(t.Context(), test); err != nil || len(checks) != 1 || n.tested != test {
		t.Errorf("%v, %v; asked for %v", checks, err, n.tested)
	}
	order := api.FenceOffRequest{Node: "db1", Operator: "ann", Reason: "smoke", Force: true}
	if a, err := c.FenceOff(t.Context(), order); err != nil || a.Outcome != "off" || n.ordered != order {
		t.Errorf("%v, %v; asked for %v", a, err, n.ordered)
	}
	pause := api.MaintenanceRequest{On: true, ForMS: 1000, Operator: "ann", Reason: "patches"}
	if err := c.Maintenance(t.Context(), pause); err != nil || n.paused != pause {
		t.Errorf("%v; asked for %v", err, n.paused)
	}
	back := api.UnfenceRequest{Node: "db1", Operator: "ann"}
	if err := c.FenceUnfence(t.Context(), back); err != nil || n.unfenced != back {
		t.Errorf("%v; asked for %v", err, n.unfenced)
	}
	word := api.ConfirmRequest{Node: "db2", Operator: "ann", Reason: "saw it burn"}
	if err := c.FenceConfirm(t.Context(), word); err != nil || n.attested != word {
		t.Errorf("%v; asked for %v", err, n.attested)
	}
	for _, stale := range []bool{false, true} {
		if b, err := c.LedgerExport(t.Context(), stale); err != nil || b.Current == stale || string(b.Record) != `{"index":7}` {
			t.Errorf("%+v, %v", b, err)
		}
	}
	if found, err := c.LedgerGC(t.Context()); err != nil || len(found.Removed) != 1 || len(found.Kept) != 1 {
		t.Errorf("%v, %v", found, err)
	}
	restored := api.LedgerConfirmRequest{Operator: "ann", Reason: "restored from a backup"}
	if err := c.LedgerConfirm(t.Context(), restored); err != nil || n.restored != restored {
		t.Errorf("%v; asked for %v", err, n.restored)
	}
	leave := api.ClusterRequest{Do: api.ClusterRemove, Node: "db2"}
	left, err := c.ChangeCluster(t.Context(), leave)
	want := api.ClusterAnswer{Do: "remove", Node: "db2", Changed: true, Voters: []string{"arb", "db1"}, Keeps: []string{"mysql"}}
	if diff := cmp.Diff(want, left); diff != "" || err != nil || n.changed != leave {
		t.Errorf("%v; asked for %v; %s", err, n.changed, diff)
	}
}

func TestErrorsArriveWithTheirHints(t *testing.T) {
	for name, tt := range map[string]struct{ err, want error }{
		"with a hint":    {&api.Error{What: "db2 does not beat", Hint: "start it"}, &api.Error{What: "db2 does not beat", Hint: "start it"}},
		"any other":      {errors.New("the daemon is stopping"), &api.Error{What: "the daemon is stopping"}},
		"a wrapped hint": {errors.Join(&api.Error{What: "a", Hint: "b"}), &api.Error{What: "a", Hint: "b"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := &node{err: tt.err}
			c := api.NewClient(serve(t, api.Handler(n)))
			_, status := c.Status(t.Context())
			_, moved := c.Switchover(t.Context(), api.SwitchoverRequest{})
			_, tested := c.FenceTest(t.Context(), api.FenceTestRequest{Node: "db2"})
			confirmed := c.FenceConfirm(t.Context(), api.ConfirmRequest{})
			_, changed := c.ChangeCluster(t.Context(), api.ClusterRequest{})
			watched := c.Watch(t.Context(), func(api.Status) error { return nil })
			for verb, err := range map[string]error{"status": status, "switchover": moved, "test": tested, "confirm": confirmed, "cluster": changed, "watch": watched} {
				if diff := cmp.Diff(tt.want, err); diff != "" {
					t.Errorf("%s: %s", verb, diff)
				}
			}
		})
	}
}

func TestWatch(t *testing.T) {
	other := whole
	other.Quorum = false
	n := &node{stream: []api.Status{whole, other}, ends: make(chan struct{})}
	c := api.NewClient(serve(t, api.Handler(n)))

	t.Run("every status arrives at once", func(t *testing.T) {
		ctx, leave := context.WithCancel(t.Context())
		var got []api.Status
		err := c.Watch(ctx, func(s api.Status) error {
			if got = append(got, s); len(got) == 2 {
				leave()
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(n.stream, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a receiver that fails ends it", func(t *testing.T) {
		full := errors.New("disk is full")
		if err := c.Watch(t.Context(), func(api.Status) error { return full }); err != full {
			t.Error(err)
		}
	})
	t.Run("the daemon's end is an error", func(t *testing.T) {
		close(n.ends)
		if err := c.Watch(t.Context(), func(api.Status) error { return nil }); !errors.Is(err, api.ErrNoDaemon) {
			t.Error(err)
		}
	})
}

func TestNobodyThere(t *testing.T) {
	dir := t.TempDir()
	_, err := api.NewClient(dir).Status(t.Context())
	if !errors.Is(err, api.ErrNoDaemon) || !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), api.Socket(dir)) {
		t.Error(err)
	}
	l, err := net.Listen("unix", api.Socket(dir)) // what a killed daemon leaves
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := api.NewClient(dir).Status(t.Context()); !errors.Is(err, api.ErrNoDaemon) {
		t.Error(err)
	}
}

// A daemon that is frozen has its connections accepted by the kernel, and answers nothing.
func TestFrozenDaemonIsNobody(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", api.Socket(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := api.NewClient(dir)
	c.SetPatience(50 * time.Millisecond)
	if _, err = c.Status(t.Context()); !errors.Is(err, api.ErrNoDaemon) {
		t.Error(err)
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	n := &node{}
	dir := serve(t, api.Handler(n))
	c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", api.Socket(dir))
	}}}
	for name, tt := range map[string]struct {
		method, path, body string
		code               int
	}{
		"not JSON":       {"POST", "/v1/switchover", "group=mysql", http.StatusConflict},
		"unknown field":  {"POST", "/v1/fence/confirm", `{"node": "db1", "force": true}`, http.StatusConflict},
		"too long":       {"POST", "/v1/fence/confirm", `{"reason": "` + strings.Repeat("x", 1<<17) + `"}`, http.StatusConflict},
		"wrong method":   {"GET", "/v1/switchover", "", http.StatusMethodNotAllowed},
		"unknown path":   {"GET", "/v2/status", "", http.StatusNotFound},
		"nothing to ask": {"POST", "/v1/fence/test/", "", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "http://solevip"+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.code {
				t.Errorf("%d, want %d", resp.StatusCode, tt.code)
			}
		})
	}
	if n.moved != (api.SwitchoverRequest{}) || n.attested != (api.ConfirmRequest{}) {
		t.Error("a bad request reached the node")
	}
}

func TestExitCodes(t *testing.T) {
	held := api.Group{Protection: "fence", Role: "backup", Holder: "db1"}
	suspected := api.Group{Protection: "fence", Role: "claiming", Holder: "db1", Suspect: "db2"}
	free := api.Group{Protection: "lease", Role: "backup"}
	plain := api.Group{Protection: "vrrp", Role: "holder", Holder: "db1"}
	unheard := api.Group{Protection: "vrrp", Role: "arbiter"}
	silent := api.Group{Protection: "vrrp", Role: "backup"}
	for _, tt := range []struct {
		name   string
		quorum bool
		groups []api.Group
		want   int
	}{
		{"every group is held", true, []api.Group{held, plain}, 0},
		{"no group at all", false, nil, 0},
		{"no quorum", false, []api.Group{held}, 1},
		{"no ledger is needed", false, []api.Group{plain}, 0},
		{"no quorum comes before what isn't held", false, []api.Group{free}, 1},
		{"a free group", true, []api.Group{held, free}, 2},
		{"a holder that waits for proof", true, []api.Group{suspected}, 2},
		{"an arbiter hears no adverts", true, []api.Group{held, unheard}, 1},
		{"what isn't held comes before what isn't known", true, []api.Group{unheard, free}, 2},
		{"a member that hears nobody", false, []api.Group{silent}, 2},
	} {
		if got := (api.Status{Quorum: tt.quorum, Groups: tt.groups}).ExitCode(); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
