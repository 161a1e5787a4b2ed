//go:build linux

package lab

import (
	"cmp"
	"slices"
	"time"
)

// Answer is one answered question: the node had the VIP up at some instant between asking and
// the arrival of the answer, by the kernel's receive timestamp.
type Answer struct {
	Node string
	Sent time.Time // read before the question was sent
	Got  time.Time // stamped by the client's kernel
}

// Span is a time during which a node surely had the VIP up, but for pauses that a few questions in a
// row would show: from the arrival of the first answer to the asking of the last answered question.
type Span struct {
	Node     string
	From, To time.Time
}

// unanswered is how many questions in a row a holder may leave without an answer and still count
// as holding on. Counting questions rather than time, a judge that was kept waiting for a processor
// doesn't take its own silence for the node's.
const unanswered = 10

// spans turns one node's answers into spans; asked has the times of all questions, in order. An
// answer that stands alone gives none: it proves an instant, and we can't tell which.
func spans(answers []Answer, asked []time.Time) []Span {
	sorted := slices.SortedFunc(slices.Values(answers), func(a, b Answer) int { return a.Sent.Compare(b.Sent) })
	var out []Span
	var first, last Answer
	flush := func() {
		if last.Sent.After(first.Got) {
			out = append(out, Span{Node: first.Node, From: first.Got, To: last.Sent})
		}
	}
	for i, a := range sorted {
		switch {
		case i == 0:
			first = a
		case between(asked, last.Sent, a.Sent) > unanswered:
			flush()
			first = a
		}
		last = a
	}
	if len(sorted) > 0 {
		flush()
	}
	return out
}

// between counts the questions after one time and before another.
func between(asked []time.Time, from, to time.Time) int {
	i, found := slices.BinarySearchFunc(asked, from, time.Time.Compare)
	if found {
		i++
	}
	j, _ := slices.BinarySearchFunc(asked, to, time.Time.Compare)
	return j - i
}

// Overlap is a time during which two nodes had the VIP up.
type Overlap struct {
	A, B     string
	From, To time.Time
}

// overlaps intersects the spans of different nodes. It is conservative: A was proved up before and
// after a moment at which B was proved up, and in between it answered as a holder does. What it can't see
// is an overlap shorter than a question and its answer take.
func overlaps(all []Span) []Overlap {
	var out []Overlap
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.Node == b.Node {
				continue
			}
			from, to := later(a.From, b.From), earlier(a.To, b.To)
			if from.Before(to) {
				out = append(out, Overlap{A: a.Node, B: b.Node, From: from, To: to})
			}
		}
	}
	slices.SortFunc(out, func(a, b Overlap) int { return a.From.Compare(b.From) })
	return out
}

// lasting adds up overlaps, counting a moment once though three nodes had the VIP.
func lasting(overlaps []Overlap) time.Duration {
	var total time.Duration
	var until time.Time
	for _, o := range overlaps {
		from := later(o.From, until)
		if o.To.After(from) {
			total += o.To.Sub(from)
		}
		until = later(until, o.To)
	}
	return total
}

// Outage is a time without answers to a client.
type Outage struct{ From, To time.Time }

// Length of the outage.
func (o Outage) Length() time.Duration { return o.To.Sub(o.From) }

// longestOutage is the longest time for which a client asked and got nothing: from its first question
// after one arrival to the next arrival. A window that ends without answers counts to its end. It is right to one
// interval between questions; pauses in the asking itself don't count.
func longestOutage(arrivals, asked []time.Time, from, to time.Time) Outage {
	sorted := slices.SortedFunc(slices.Values(arrivals), time.Time.Compare)
	longest, last := Outage{From: from, To: from}, from
	for _, at := range append(sorted, to) {
		if at.Before(from) || at.After(to) {
			continue
		}
		i, _ := slices.BinarySearchFunc(asked, last, time.Time.Compare)
		if i < len(asked) && at.Sub(asked[i]) > longest.Length() {
			longest = Outage{From: asked[i], To: at}
		}
		last = at
	}
	return longest
}

// longestPause is the longest time between two neighbours in a window.
func longestPause(asked []time.Time, from, to time.Time) time.Duration {
	var longest time.Duration
	for i := 1; i < len(asked); i++ {
		if asked[i-1].After(from) && asked[i].Before(to) {
			longest = max(longest, asked[i].Sub(asked[i-1]))
		}
	}
	return longest
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Report is what the observer saw in a window of time.
type Report struct {
	From, To time.Time
	// Outage is the longest time that the client was without an answer.
	Outage Outage
	// TwoHolders is how long two nodes answered for the VIP, and Overlaps which and when.
	TwoHolders time.Duration
	Overlaps   []Overlap
	// Holders are the times during which a node answered, oldest first.
	Holders []Span
	// Links are the times during which the VIP was on an interface of a node, as its kernel told. An
	// address that its guard has shut is on a link and answers nobody.
	Links []Span
	// Stall is the longest pause in the observer's own asking, on a busy machine: what came and went
	// within it wasn't seen.
	Stall time.Duration
	// Strangers are MAC addresses that answered for the VIP and belong to no machine.
	Strangers []string
}

// OnTwoLinks is how long the VIP was on interfaces of two nodes. The times are user space's, so a
// handover within a few milliseconds may show as some.
func (r Report) OnTwoLinks() time.Duration { return lasting(overlaps(r.Links)) }

// LastHolder is the node that answered last; empty when nobody did.
func (r Report) LastHolder() string {
	if len(r.Holders) == 0 {
		return ""
	}
	return slices.MaxFunc(r.Holders, func(a, b Span) int { return a.To.Compare(b.To) }).Node
}

// clip keeps what lies in a window.
func clip(all []Span, from, to time.Time) []Span {
	var out []Span
	for _, s := range all {
		s.From, s.To = later(s.From, from), earlier(s.To, to)
		if s.From.Before(s.To) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b Span) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Node, b.Node))
	})
	return out
}
