package arbiter

// Apply returns the record after a command. When the command is refused the error is a [*Refusal]
// and the record is the old one. Either way Index is left to whoever agrees on the order.
func Apply(r Record, c Command) (Record, error) {
	next, err := c.apply(r)
	if err != nil {
		return r, err
	}
	return next, nil
}

// registered refuses a boot that is not its node's current one, or that was fenced.
func registered(r Record, b Boot) error {
	switch n, ok := r.Nodes[b.Node]; {
	case b.Node == "" || b.Kernel == "" || b.Incarnation == "":
		return refuse(Unacceptable, "boot %+v is incomplete", b)
	case !ok || n.Boot != b:
		return refuse(Unregistered, "%v is not the registered boot of %s (%v is)", b, b.Node, n.Boot)
	case n.Fenced:
		return refuse(FencedBoot, "%v was declared dead", b)
	}
	return nil
}

// holds refuses a boot that is not the holder of the group at the epoch.
func holds(r Record, b Boot, group string, epoch uint64) (Group, error) {
	if err := registered(r, b); err != nil {
		return Group{}, err
	}
	g := r.Groups[group]
	if g.Holder != b || g.Epoch != epoch {
		return Group{}, refuse(NotYours, "%s is held by %v at epoch %d, not by %v at %d", group, g.Holder, g.Epoch, b, epoch)
	}
	return g, nil
}

func (c Register) apply(r Record) (Record, error) {
	name, was := c.Boot.Node, r.Nodes[c.Boot.Node]
	switch {
	case name == "" || c.Boot.Kernel == "" || c.Boot.Incarnation == "":
		return r, refuse(Unacceptable, "boot %+v is incomplete", c.Boot)
	case len(c.Shared) > maxShared:
		return r, refuse(Unacceptable, "%d bytes of %s's file are too many for the ledger", len(c.Shared), name)
	case was.Fenced && was.Boot.Kernel == c.Boot.Kernel:
		return r, refuse(FencedBoot, "%v was declared dead; the machine may come back with a new boot", was.Boot)
	case was.Boot != c.Boot && was.Beat != c.Seen:
		return r, refuse(Stale, "%v beat after it was seen at %d (now %d)", was.Boot, c.Seen, was.Beat)
	}
	barred := c.Manual && (was.Fenced || was.Barred)
	r = r.withNode(name, Node{Boot: c.Boot, Beat: was.Beat + 1, Barred: barred, Shared: c.Shared}).dropOrders(c.Boot)
	r = r.bury(func(b Boot) bool { return b.Node == name && b.Kernel != c.Boot.Kernel }, NewBoot)
	for group, g := range r.Groups {
		if g.Holder.Node != name || g.Holder == c.Boot {
			continue
		}
		if g.Suspect.IsZero() {
			g.Suspect = g.Holder
		}
		g.Holder, g.Previous = Boot{}, name
		r = r.withGroup(group, g)
	}
	if f, open := r.OpenFence(name); open && f.Target.Kernel != c.Boot.Kernel {
		f.State, f.Evidence, f.Detail = FenceFailed, NewBoot, "the node came back with a new boot before the fence had a result"
		r = r.withFence(f)
	}
	return r, nil
}

func (c Beat) apply(r Record) (Record, error) {
	if err := registered(r, c.Boot); err != nil {
		return r, err
	}
	n := r.Nodes[c.Boot.Node]
	n.Beat++
	return r.withNode(c.Boot.Node, n), nil
}

func (c Take) apply(r Record) (Record, error) {
	if err := registered(r, c.Boot); err != nil {
		return r, err
	}
	g := r.Groups[c.Group]
	holder := r.Nodes[g.Holder.Node]
	switch {
	case c.Group == "":
		return r, refuse(Unacceptable, "take without a group")
	case r.Nodes[c.Boot.Node].Barred:
		return r, refuse(Unacceptable, "%v came back after a fence and was not unfenced yet", c.Boot)
	case c.Protection != ProtectLease && c.Protection != ProtectFence:
		return r, refuse(Unacceptable, "protection %q has no place in the ledger", c.Protection)
	case !c.Accept.complete():
		return r, refuse(Unacceptable, "accept %q leaves out one of %v, which would block %s for ever", c.Accept, always, c.Group)
	case g.Epoch != c.Seen.Epoch || g.Holder != c.Seen.Holder || g.Suspect != c.Seen.Suspect:
		return r, refuse(Stale, "%s is held by %v at epoch %d, not by %v at %d", c.Group, g.Holder, g.Epoch, c.Seen.Holder, c.Seen.Epoch)
	case !g.Holder.IsZero() && holder.Beat != c.Seen.Beat:
		return r, refuse(Stale, "%v beat after it was seen at %d (now %d)", g.Holder, c.Seen.Beat, holder.Beat)
	case g.Holder == c.Boot:
		return r, refuse(Unacceptable, "%v holds %s already", c.Boot, c.Group)
	case g.Suspect.Node == c.Boot.Node:
		return r, refuse(Unacceptable, "%v is the suspect of %s: it must release it, or be fenced by another node", g.Suspect, c.Group)
	}
	if g.Suspect.IsZero() && !g.Holder.IsZero() {
		g.Suspect, g.Evidence = g.Holder, ""
	}
	if !g.Holder.IsZero() {
		g.Previous = g.Holder.Node
	}
	if g.Suspect.IsZero() {
		g.Accept = c.Accept
	} else if g.Accept != c.Accept {
		g.Accept = g.Accept.and(c.Accept)
	}
	if g.Suspect.IsZero() || stronger(c.Protection, g.Protection) {
		g.Protection = c.Protection
	}
	g.Holder, g.Next = c.Boot, ""
	g.Epoch++
	n := r.Nodes[c.Boot.Node]
	n.Beat++
	return r.withNode(c.Boot.Node, n).withGroup(c.Group, g), nil
}

// stronger orders the two protections that the ledger knows.
func stronger(a, b Protection) bool { return a == ProtectFence && b != ProtectFence }

func (c Release) apply(r Record) (Record, error) {
	if err := registered(r, c.Boot); err != nil {
		return r, err
	}
	g := r.Groups[c.Group]
	switch {
	case g.Holder == c.Boot && g.Epoch == c.Epoch && c.Dirty:
		if g.Suspect.IsZero() {
			g.Suspect, g.Evidence = c.Boot, ""
		}
		g.Holder, g.Previous = Boot{}, c.Boot.Node
	case g.Holder == c.Boot && g.Epoch == c.Epoch:
		g.Holder, g.Previous = Boot{}, c.Boot.Node
		if g.Suspect.IsZero() {
			g.Evidence = Released
		}
	case g.Suspect == c.Boot && g.Epoch == c.Epoch && !c.Dirty:
		g.Suspect, g.Evidence = Boot{}, Released
	default:
		return r, refuse(NotYours, "%s is held by %v at epoch %d, not by %v at %d", c.Group, g.Holder, g.Epoch, c.Boot, c.Epoch)
	}
	return r.withGroup(c.Group, g), nil
}

func (c Clear) apply(r Record) (Record, error) {
	if err := registered(r, c.Boot); err != nil {
		return r, err
	}
	switch c.Evidence {
	case PowerOffVerified:
		f, open := r.OpenFence(c.Suspect.Node)
		if !open || f.Target != c.Suspect || f.By != c.Boot {
			return r, refuse(NotYours, "%v has no open intent to fence %v", c.Boot, c.Suspect)
		}
		f.State, f.Outcome, f.Evidence = FenceOff, "off", c.Evidence
		f.Method, f.Detail, f.At = c.Method, c.Detail, c.At
		return r.withFence(f).dead(c.Suspect, c.Evidence), nil
	case Expired:
		g, err := holds(r, c.Boot, c.Group, c.Epoch)
		switch {
		case err != nil:
			return r, err
		case g.Suspect != c.Suspect || g.Suspect.IsZero():
			return r, refuse(Stale, "the suspect of %s is %v, not %v", c.Group, g.Suspect, c.Suspect)
		case g.Protection != ProtectLease:
			return r, refuse(Unacceptable, "%s was held under protection %s, which expiry does not satisfy", c.Group, g.Protection)
		}
		g.Suspect, g.Evidence = Boot{}, Expired
		return r.withGroup(c.Group, g), nil
	}
	return r, refuse(Unacceptable, "evidence %q can't be given by a fencer", c.Evidence)
}

// dead returns the record in which one boot is known to be over.
func (r Record) dead(target Boot, why Evidence) Record {
	if n := r.Nodes[target.Node]; n.Boot == target {
		n.Fenced = true
		r = r.withNode(target.Node, n)
	}
	return r.bury(func(b Boot) bool { return b == target }, why)
}

func (c Intent) apply(r Record) (Record, error) {
	g, err := holds(r, c.Boot, c.Group, c.Epoch)
	if err != nil {
		return r, err
	}
	if g.Suspect != c.Suspect || g.Suspect.IsZero() {
		return r, refuse(Stale, "the suspect of %s is %v, not %v", c.Group, g.Suspect, c.Suspect)
	}
	if f, open := r.OpenFence(c.Suspect.Node); open && r.underway(f, c.Boot, c.Group, c.Rival) {
		return r, refuse(Busy, "%v is fencing %v for %s", f.By, f.Target, f.Group)
	}
	return r.withFence(Fence{Target: c.Suspect, By: c.Boot, Group: c.Group, Epoch: c.Epoch, State: FenceOpen, At: c.At}), nil
}

// underway reports whether an open fence must be left to its fencer: it is another boot's that is
// its node's current one and was not seen to stand still, or our own for another group that still
// asks for it.
func (r Record) underway(f Fence, by Boot, group string, rival Rival) bool {
	if f.By == by {
		g := r.Groups[f.Group]
		return f.Group != group && g.Holder == f.By && g.Epoch == f.Epoch && g.Suspect == f.Target
	}
	return r.Current(f.By) && (rival.Boot != f.By || rival.Beat != r.Nodes[f.By.Node].Beat)
}

func (c Report) apply(r Record) (Record, error) {
	if err := registered(r, c.Boot); err != nil {
		return r, err
	}
	f, open := r.OpenFence(c.Target.Node)
	switch {
	case !open || f.Target != c.Target || f.By != c.Boot:
		return r, refuse(NotYours, "%v has no open intent to fence %v", c.Boot, c.Target)
	case c.Outcome == "off":
		return r, refuse(Unacceptable, "a fence that proved off is cleared, not reported")
	}
	f.State, f.Method, f.Outcome, f.Detail, f.At = FenceFailed, c.Method, c.Outcome, c.Detail, c.At
	return r.withFence(f), nil
}

func (c Attest) apply(r Record) (Record, error) {
	n := r.Nodes[c.Target.Node]
	switch {
	case c.Operator == "" || c.Reason == "":
		return r, refuse(Unacceptable, "an attestation needs an operator and a reason")
	case c.Target.Node == c.Node:
		return r, refuse(Unacceptable, "%s can't attest its own death", c.Node)
	case n.Boot != c.Target && !r.Involves(c.Target):
		return r, refuse(Stale, "%v is not known here (the newest boot of %s is %v)", c.Target, c.Target.Node, n.Boot)
	case n.Boot == c.Target && n.Beat != c.Seen:
		return r, refuse(Stale, "%v beat after it was seen at %d (now %d): it is alive", c.Target, c.Seen, n.Beat)
	case n.Boot == c.Target && n.Fenced:
		return r, refuse(FencedBoot, "%v was declared dead before", c.Target)
	case !r.settles(c.Target, OperatorAttested):
		return r, refuse(Unacceptable, "no group of %v accepts an operator's word: it must be proved off, or come back with a new boot", c.Target)
	}
	r = r.withFence(Fence{
		Target: c.Target, By: Boot{Node: c.Node}, State: FenceOff, Method: "operator " + c.Operator, Outcome: "off",
		Evidence: OperatorAttested, Detail: c.Reason, At: c.At,
	})
	return r.dead(c.Target, OperatorAttested), nil
}

func (c Move) apply(r Record) (Record, error) {
	g, ok := r.Groups[c.Group]
	to := r.Nodes[c.To]
	switch {
	case !ok || g.Epoch != c.Epoch:
		return r, refuse(Stale, "%s is at epoch %d, not %d", c.Group, g.Epoch, c.Epoch)
	case c.To != "" && (to.Boot.IsZero() || to.Fenced):
		return r, refuse(Unacceptable, "%s is not a running node of this cluster", c.To)
	case c.To != "" && to.Barred:
		return r, refuse(Unacceptable, "%s came back after a fence and was not unfenced yet", c.To)
	case c.To != "" && g.Holder.Node == c.To:
		return r, refuse(Unacceptable, "%s holds %s already", c.To, c.Group)
	}
	g.Next = c.To
	return r.withGroup(c.Group, g), nil
}
