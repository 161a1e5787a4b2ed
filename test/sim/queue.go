package sim

import (
	"container/heap"
	"time"
)

// queue is what is going to happen, in the order of true time; what falls on one instant happens
// in the order in which it was asked for.
type queue struct {
	items items
	asked uint64
}

type item struct {
	at    time.Duration
	order uint64
	do    func()
}

func (q *queue) add(at time.Duration, do func()) {
	q.asked++
	heap.Push(&q.items, item{at, q.asked, do})
}

func (q *queue) next() (item, bool) {
	if len(q.items) == 0 {
		return item{}, false
	}
	return heap.Pop(&q.items).(item), true
}

type items []item

func (s items) Len() int { return len(s) }
func (s items) Less(i, j int) bool {
	return s[i].at < s[j].at || s[i].at == s[j].at && s[i].order < s[j].order
}
func (s items) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *items) Push(x any)   { *s = append(*s, x.(item)) }
func (s *items) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = item{}
	*s = old[:len(old)-1]
	return last
}
