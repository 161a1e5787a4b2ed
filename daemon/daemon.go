package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/hook"
	"github.com/solevip/solevip/vrrp"
)

// Daemon is one node at work. It is made by [New] and lives for one [Daemon.Run].
type Daemon struct {
	o     Options
	log   *slog.Logger
	inbox chan func(now time.Duration)
	// tasks are the goroutines that Run waits for; life ends them. Only Run and the loop start
	// tasks, so none begins while Run waits.
	tasks sync.WaitGroup
	life  context.Context
	end   context.CancelFunc
	files *fileWriter // nil without a run directory

	// Everything below belongs to the loop.
	session *claim.Session // nil without a ledger
	pulses  map[string]pulse
	groups  []*group
	byName  map[string]*group
	routers map[routerKey]*router
	// kernel does what is asked of the kernel, and announcer what is told to neighbours: a burst to
	// a thousand addresses must not delay an Unbind. Both are nil on an arbiter.
	kernel, announcer *kernelWorker

	looking  bool // a Read of the ledger is under way
	stopping bool
	stopBy   time.Duration
	paths    map[string]path
	alarms   []alarm
	watchers map[chan struct{}]bool
	compared map[string]compared // with this node's file, by node
	ended    string              // the session's end, once told
	hold     hold
	health   LedgerStatus // as of lookedAt
	lookedAt time.Duration

	record             arbiter.Record // the newest that came
	known, undelivered bool           // one came; the machines have not seen it
}

// routerKey finds the virtual router that an advert is for.
type routerKey struct {
	link Link
	vrid uint8
}

// pulse is when this node saw a node's beat change.
type pulse struct {
	node arbiter.Node
	at   time.Duration
}

// New is a daemon that has done nothing yet.
func New(o Options) (*Daemon, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Hook == nil {
		o.Hook = hook.Run
	}
	if o.Clock == nil {
		o.Clock = Clock
	}
	d := &Daemon{
		o: o, log: o.Log.With("component", "daemon"),
		inbox:    make(chan func(time.Duration), 256),
		pulses:   map[string]pulse{},
		byName:   map[string]*group{},
		routers:  map[routerKey]*router{},
		paths:    map[string]path{},
		watchers: map[chan struct{}]bool{},
		compared: map[string]compared{},
	}
	d.life, d.end = context.WithCancel(context.Background())
	if o.RunDir != "" {
		d.files = newFileWriter(o.RunDir, d.log)
	}
	if o.Ledger != nil {
		d.session = claim.NewSession(o.Boot, sharedText(o.Shared), o.TTL, o.Margin)
		d.session.Manual = o.RejoinManually
	}
	now := o.Clock()
	for _, g := range o.Groups {
		if g.Protection != arbiter.ProtectVRRP && o.Ledger == nil {
			return nil, fmt.Errorf("group %s: protection %s needs a ledger", g.Name, g.Protection)
		}
		d.addGroup(now, g)
	}
	return d, nil
}

// Run works until ctx ends and everything is handed over, or until something fails that leaves
// nothing to do. It waits for every goroutine that it started.
func (d *Daemon) Run(ctx context.Context) (err error) {
	d.letGoOnPanic(func() { err = d.work(ctx) })
	return err
}

func (d *Daemon) work(ctx context.Context) error {
	defer d.tasks.Wait()
	defer d.end()
	if d.o.Kernel != nil {
		kept, err := d.o.Kernel.Sweep(d.inherited())
		if err != nil {
			return fmt.Errorf("sweep of leftovers: %w", err)
		}
		d.keepOnly(kept)
		d.kernel, d.announcer = newKernelWorker(d.o.Kernel, d.log), newKernelWorker(d.o.Kernel, d.log)
		d.task(d.kernel.run)
		d.task(d.announcer.run)
		d.task(d.reconcile)
	}
	if d.files != nil {
		d.task(d.files.run)
	}
	if d.o.Ledger != nil {
		d.task(d.follow)
	}
	for _, link := range d.links() {
		d.task(func(ctx context.Context) { d.listen(ctx, link) })
	}
	d.task(d.checkPaths)
	d.start(d.o.Clock())
	d.watchHealth()
	if d.o.Ready != nil {
		d.o.Ready()
	}
	d.loop(ctx)
	return d.finish()
}

// task runs f beside the loop; Run waits for it.
func (d *Daemon) task(f func(context.Context)) {
	d.tasks.Go(func() { d.letGoOnPanic(func() { f(d.life) }) })
}

// letGoOnPanic runs f. When f panics an invariant is broken, and nothing that this process
// believes may keep an address up: all of them go down before the process does.
func (d *Daemon) letGoOnPanic(f func()) {
	fine := false
	defer func() { // without recover, so that the panic's own stack is what is printed
		if fine || d.o.Kernel == nil {
			return
		}
		if err := d.o.Kernel.Unbind(d.memberOf()...); err != nil {
			d.log.Error("addresses not taken down after a panic; the kernel does when the permit ends", "error", err)
		}
	}()
	f()
	fine = true
}

// memberOf names the groups that this node may hold.
func (d *Daemon) memberOf() []string {
	var out []string
	for _, g := range d.groups {
		if g.o.Member {
			out = append(out, g.o.Name)
		}
	}
	return out
}

// post hands f to the loop. It reports whether the loop will run it.
func (d *Daemon) post(f func(now time.Duration)) bool {
	select {
	case d.inbox <- f:
		return true
	case <-d.life.Done():
		return false
	}
}

// errStopped is what a request gets while the daemon ends.
var errStopped = errors.New("the daemon is stopping")

// ask runs f in the loop and waits for its answer.
func ask[T any](ctx context.Context, d *Daemon, f func(now time.Duration) T) (T, error) {
	out := make(chan T, 1)
	var zero T
	if !d.post(func(now time.Duration) { out <- f(now) }) {
		return zero, errStopped
	}
	select {
	case v := <-out:
		return v, nil
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	case <-d.life.Done():
		return zero, errStopped
	}
}

// follow hands the ledger's pushes to the loop; the newest wins.
func (d *Daemon) follow(ctx context.Context) {
	for r := range d.o.Ledger.Watch(ctx) {
		if !d.post(func(now time.Duration) { d.learn(r) }) {
			return
		}
	}
	if ctx.Err() == nil {
		d.log.Error("the ledger pushes no records any more")
	}
}

// listen hands a link's adverts to the loop.
func (d *Daemon) listen(ctx context.Context, link Link) {
	err := link.Run(ctx, func(a vrrp.Advert, from netip.Addr) {
		d.post(func(now time.Duration) {
			if r := d.routers[routerKey{link, a.VRID}]; r != nil {
				d.heard(now, r, vrrp.Heard{Advert: a, From: from})
			}
		})
	})
	if ctx.Err() == nil {
		d.post(func(now time.Duration) { d.deaf(now, link, err) })
	}
}

// links are the distinct links of all groups.
func (d *Daemon) links() []Link {
	var out []Link
	seen := map[Link]bool{}
	for _, g := range d.groups {
		for _, r := range g.routers {
			if r.link != nil && !seen[r.link] {
				seen[r.link] = true
				out = append(out, r.link)
			}
		}
	}
	return out
}
