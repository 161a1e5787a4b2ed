package daemon

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/solevip/solevip/claim"
)

// kernelWorker does what the loop asks of the kernel, in the order in which it was asked. What
// waits is done in as few calls as the order allows, so that many groups cost one batch.
type kernelWorker struct {
	kernel Kernel
	log    *slog.Logger
	wake   chan struct{}

	mu    sync.Mutex
	queue []kernelJob

	ended chan struct{} // closed when run is done
}

// kernelJob is one thing to do to one group.
type kernelJob struct {
	kind   jobKind
	group  string
	permit claim.Permit
	repeat int
	done   func(error)
}

type jobKind int

const (
	bindJob jobKind = iota
	unbindJob
	announceJob
	reconcileJob
)

func newKernelWorker(k Kernel, log *slog.Logger) *kernelWorker {
	return &kernelWorker{kernel: k, log: log, wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

func (w *kernelWorker) add(j kernelJob) {
	w.mu.Lock()
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *kernelWorker) bind(p claim.Permit, done func(error)) {
	w.add(kernelJob{kind: bindJob, group: p.Group(), permit: p, done: done})
}

func (w *kernelWorker) unbind(group string, done func(error)) {
	w.add(kernelJob{kind: unbindJob, group: group, done: done})
}

func (w *kernelWorker) announce(group string, repeat int) {
	w.add(kernelJob{kind: announceJob, group: group, repeat: repeat, done: func(error) {}})
}

func (w *kernelWorker) reconcile() {
	w.add(kernelJob{kind: reconcileJob, done: func(error) {}})
}

// run works until ctx ends. What was asked for by then and not begun is left: [Daemon.finish] takes
// down what is still up, and nothing may come up after it.
func (w *kernelWorker) run(ctx context.Context) {
	defer close(w.ended)
	for ctx.Err() == nil {
		w.mu.Lock()
		jobs := w.queue
		w.queue = nil
		w.mu.Unlock()
		for len(jobs) > 0 && ctx.Err() == nil {
			n := slices.IndexFunc(jobs, func(j kernelJob) bool { return j.kind != jobs[0].kind })
			if n < 0 {
				n = len(jobs)
			}
			w.do(ctx, jobs[:n])
			jobs = jobs[n:]
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
	}
}

// do does jobs of one kind in one call and tells each group its own part of the result.
func (w *kernelWorker) do(ctx context.Context, jobs []kernelJob) {
	var groups []string
	var permits []claim.Permit
	repeat := 1
	for _, j := range jobs {
		groups, permits, repeat = append(groups, j.group), append(permits, j.permit), max(repeat, j.repeat)
	}
	var err error
	switch jobs[0].kind {
	case bindJob:
		err = w.kernel.Bind(permits...)
	case unbindJob:
		err = w.kernel.Unbind(groups...)
	case announceJob:
		for range repeat {
			if err := w.kernel.Announce(ctx, groups...); err != nil {
				w.log.Warn("announcement failed", "groups", groups, "error", err)
				break
			}
		}
	case reconcileJob:
		mended, err := w.kernel.Reconcile()
		for _, m := range mended {
			w.log.Warn("the kernel had something else than permitted", "mended", m)
		}
		if err != nil {
			w.log.Error("reconcile failed", "error", err)
		}
	}
	for _, j := range jobs {
		j.done(errorOf(err, j.group))
	}
}

// errorOf is the part of a batch's error that concerns a group: all of it, unless the error says
// which groups it is about.
func errorOf(err error, group string) error {
	type aboutGroups interface{ FailedGroups() []string }
	if about, ok := err.(aboutGroups); ok {
		if failed := about.FailedGroups(); len(failed) > 0 && !slices.Contains(failed, group) {
			return nil
		}
	}
	return err
}

// reconcilePause is how often the kernel is compared even when nothing said that it changed.
const reconcilePause = 2 * time.Second

// reconcile compares the kernel with what is permitted whenever it may have changed.
func (d *Daemon) reconcile(ctx context.Context) {
	changed := d.o.Kernel.Changed(ctx)
	tick := time.NewTicker(reconcilePause)
	defer tick.Stop()
	for {
		select {
		case _, ok := <-changed:
			if !ok {
				changed = nil
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		d.kernel.reconcile()
	}
}
