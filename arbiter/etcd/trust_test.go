package etcd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/arbitertest"
)

// backup copies the data of every member while none runs; restore puts it back.
func (e *members) backup(to string) {
	e.t.Helper()
	for _, m := range e.members {
		e.kill(m)
	}
	e.copyData(e.dir, to)
	for _, m := range e.members {
		e.start(m)
	}
	e.ready()
}

func (e *members) restore(from string) {
	e.t.Helper()
	for _, m := range e.members {
		e.kill(m)
		if err := os.RemoveAll(filepath.Join(e.dir, m.name)); err != nil {
			e.t.Fatal(err)
		}
	}
	if from != "" {
		e.copyData(from, e.dir)
	}
	for _, m := range e.members {
		e.start(m)
	}
	e.ready()
}

func (e *members) copyData(from, to string) {
	e.t.Helper()
	for _, m := range e.members {
		if err := os.CopyFS(filepath.Join(to, m.name), os.DirFS(filepath.Join(from, m.name))); err != nil {
			e.t.Fatal(err)
		}
	}
}

// refuses waits until a ledger says that it went back, and checks that it then does nothing.
func refuses(t *testing.T, e *members, l *Ledger, c arbiter.Command) {
	t.Helper()
	e.until(l.opt.Self+" to notice that the ledger went back", 10*time.Second, func(context.Context) bool { return l.Status().WentBack })
	if _, err := try(l, c, time.Second); !errors.Is(err, ErrWentBack) || !errors.Is(err, ErrNotProposed) {
		t.Errorf("%v on a ledger that went back: %v", c, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := l.Read(ctx); !errors.Is(err, ErrWentBack) {
		t.Errorf("a ledger that went back is read: %v, %v", r, err)
	}
	if s := l.Status(); s.Quorum || !strings.Contains(s.Problem, "confirm") {
		t.Errorf("its status is %+v", s)
	}
}

func TestARestoredLedgerIsRefusedUntilConfirmed(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, shortTTL, "a", "b")
	a, b := arbitertest.Boot("a"), arbitertest.Boot("b")
	must(t, ls["a"], arbiter.Register{Boot: a})
	must(t, ls["b"], arbiter.Register{Boot: b})
	r := must(t, ls["a"], arbiter.Take{Group: "mysql", Boot: a, Protection: arbiter.ProtectFence})
	old := t.TempDir()
	e.backup(old)
	// What the backup doesn't know: b holds the group by now.
	must(t, ls["a"], arbiter.Release{Group: "mysql", Boot: a, Epoch: 1})
	r = must(t, ls["b"], arbiter.Take{Group: "mysql", Boot: b, Protection: arbiter.ProtectFence, Seen: arbiter.Sight{Epoch: 1}})
	watch := ls["a"].Watch(t.Context())
	for got := range watch {
		if got.Groups["mysql"].Epoch == 2 {
			break
		}
	}
	e.restore(old)
	refuses(t, e, ls["a"], arbiter.Beat{Boot: a})
	refuses(t, e, ls["b"], arbiter.Beat{Boot: b})
	ls["a"].mu.Lock()
	noticed := ls["a"].since
	ls["a"].mu.Unlock()

	// A restart forgets nothing.
	again := ls["b"].opt
	if err := ls["b"].Close(); err != nil {
		t.Fatal(err)
	}
	ls["b"] = opened(t, again)
	refuses(t, e, ls["b"], arbiter.Beat{Boot: b})
	select {
	case got := <-watch:
		t.Errorf("a ledger that went back is shown: %+v", got)
	default:
	}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := ls["a"].Confirm(ctx, "ops", "restored last night's backup"); err != nil {
		t.Fatalf("confirm: %v", err)
	}
	if waited := time.Since(noticed); waited < ls["a"].timing.wait {
		t.Errorf("confirmed after %v: a holder may have %v left", waited, ls["a"].timing.wait)
	}
	e.until("b to follow the confirmed ledger", 10*time.Second, func(context.Context) bool { return !ls["b"].Status().WentBack })
	got := must(t, ls["b"], arbiter.Beat{Boot: b})
	g := got.Groups["mysql"]
	if !g.Holder.IsZero() || g.Suspect != b || g.Epoch <= r.Groups["mysql"].Epoch {
		t.Errorf("after the confirmation %+v: want b, which held it last, as the suspect, and an epoch above %d", g, r.Groups["mysql"].Epoch)
	}
	if got.Index <= r.Index {
		t.Errorf("index %d after %d", got.Index, r.Index)
	}
	if shown := <-watch; shown.Index <= r.Index {
		t.Errorf("the watch shows index %d after %d", shown.Index, r.Index)
	}
	must(t, ls["b"], arbiter.Release{Group: "mysql", Boot: b, Epoch: g.Epoch})
	if err := ls["a"].Confirm(ctx, "ops", "once more"); err == nil {
		t.Error("a sound ledger was confirmed")
	}
}

func TestAnEmptiedEtcdIsNoNewLedger(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, shortTTL, "a")
	a := arbitertest.Boot("a")
	must(t, ls["a"], arbiter.Register{Boot: a})
	must(t, ls["a"], arbiter.Take{Group: "mysql", Boot: a, Protection: arbiter.ProtectFence})
	e.restore("")
	refuses(t, e, ls["a"], arbiter.Beat{Boot: a})

	// A node without a memory makes a new ledger, and takes nothing too early.
	o := testOptions(t, e, shortTTL, ls["a"].opt.Cluster, "b")
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	must(t, b, arbiter.Register{Boot: arbitertest.Boot("b")})
	if err := b.Close(); err != nil { // a restart doesn't shorten it
		t.Fatal(err)
	}
	began := time.Now()
	if b, err = Open(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := try(b, arbiter.Take{Group: "mysql", Boot: arbitertest.Boot("b"), Protection: arbiter.ProtectFence}, shortTTL/4); !errors.Is(err, ErrNotProposed) {
		t.Errorf("taken at once: %v", err)
	}
	must(t, b, arbiter.Take{Group: "mysql", Boot: arbitertest.Boot("b"), Protection: arbiter.ProtectFence})
	if waited := time.Since(began); waited < b.timing.wait-shortTTL/4 {
		t.Errorf("taken after %v, want %v", waited, b.timing.wait)
	}
	if !ls["a"].Status().WentBack {
		t.Error("a takes another ledger for its own")
	}
}

// A node without a memory meets a ledger that was brought to an etcd that it was not made on, and what
// an operator then confirms goes by the ledger alone.
func TestALedgerOnAnotherEtcdIsRefusedToo(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	o := testOptions(t, e, shortTTL, "moved", "a")
	boot := arbitertest.Boot("b")
	for key, value := range map[string]any{
		metaKey:           meta{Schema: schema, Cluster: o.Cluster, ID: "old", Etcd: "1234", Op: "o"},
		groupKey("mysql"): groupValue{arbiter.Group{Epoch: 7, Holder: boot, Protection: arbiter.ProtectFence}, []string{"o"}},
	} {
		if _, err := e.client().Put(t.Context(), "/solevip/moved/v1/"+key, encode(value)); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	refuses(t, e, l, arbiter.Register{Boot: arbitertest.Boot("a")})
	if err := l.Confirm(t.Context(), "ops", "moved to new machines"); err != nil {
		t.Fatal(err)
	}
	r := must(t, l, arbiter.Register{Boot: arbitertest.Boot("a")})
	if g := r.Groups["mysql"]; g.Suspect != boot || !g.Holder.IsZero() || g.Epoch <= 7 {
		t.Errorf("after the confirmation %+v, want %v as the suspect and an epoch above 7", g, boot)
	}
}

func TestHandWrittenKeysAreRefusedByName(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	for name, c := range map[string]struct{ key, value, want string }{
		"not JSON":        {"node/a", "up", "key node/a"},
		"a newer schema":  {"meta", `{"schema":2,"cluster":"x","id":"y","etcd":"z","op":"o"}`, "schema 2"},
		"an unknown kind": {"vip/mysql", `{}`, "key vip/mysql"},
		"a field too much": {"group/mysql", `{"epoch":1,"colour":"red","ops":["o"]}`,
			"colour"},
		"a fence out of order": {"fence/7", `{"target":{},"by":{},"state":"off","ops":["o"]}`, "key fence/7"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t, e, shortTTL, "hand-"+strings.ReplaceAll(name, " ", "-"), "a")
			o.Prefix = "/elsewhere"
			if _, err := e.client().Put(t.Context(), o.keyPrefix()+c.key, c.value); err != nil {
				t.Fatal(err)
			}
			l, err := Open(t.Context(), o)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v: want it to say %q", err, c.want)
			}
		})
	}
}

func TestLeftoversAreCleanedButWhatMatters(t *testing.T) {
	t.Parallel()
	e := startEtcd(t, debianEtcd(t))
	ls := newCluster(t, e, shortTTL, "a", "b", "c")
	for _, n := range arbitertest.Nodes {
		must(t, ls[n], arbiter.Register{Boot: arbitertest.Boot(n), Shared: "ledger.ttl 3s\n"})
	}
	must(t, ls["a"], arbiter.Identify{Node: "a", Target: "c", Device: "ipmi", Identity: "uuid", Operator: "ops"})
	take := func(group, node string) {
		must(t, ls[node], arbiter.Take{Group: group, Boot: arbitertest.Boot(node), Protection: arbiter.ProtectFence})
	}
	take("old", "c")
	must(t, ls["c"], arbiter.Release{Group: "old", Boot: arbitertest.Boot("c"), Epoch: 1})
	take("held", "b")
	take("mysql", "a")
	got, err := ls["a"].GC(t.Context(), []string{"a"}, []string{"mysql"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"group old", "node c"}; strings.Join(got.Removed, ", ") != strings.Join(want, ", ") {
		t.Errorf("removed %v, want %v", got.Removed, want)
	}
	if len(got.Kept) != 2 || !strings.Contains(got.Kept[0], "group held") || !strings.Contains(got.Kept[1], "node b") {
		t.Errorf("kept %q, want group held and node b with the reason", got.Kept)
	}
	keys, err := e.client().Get(t.Context(), ls["a"].prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range keys.Kvs {
		if strings.HasSuffix(string(kv.Key), "/c") {
			t.Errorf("%s is still in etcd", kv.Key)
		}
	}
	// The others notice, a removed node may come back, and a token is never given out twice.
	if _, err := try(ls["c"], arbiter.Beat{Boot: arbitertest.Boot("c")}, 5*time.Second); arbiter.RefusedAs(err) != arbiter.Unregistered {
		t.Errorf("beat of a removed node: %v", err)
	}
	must(t, ls["c"], arbiter.Register{Boot: arbitertest.Boot("c")})
	r := must(t, ls["c"], arbiter.Take{Group: "old", Boot: arbitertest.Boot("c"), Protection: arbiter.ProtectFence, Seen: arbiter.Sight{Epoch: 1}})
	if r.Groups["old"].Epoch != 2 {
		t.Errorf("a group that was cleaned away begins again at epoch %d", r.Groups["old"].Epoch)
	}
	for _, l := range ls {
		if s := l.Status(); s.WentBack {
			t.Errorf("%s takes the clean-up for a restore: %s", l.opt.Self, s.Problem)
		}
	}
}
