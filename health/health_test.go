package health

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// answers gives one answer after another, and notes when it was asked.
type answers struct {
	began time.Time
	takes time.Duration
	list  []error
	asked []string
}

func (a *answers) Probe(ctx context.Context) error {
	a.asked = append(a.asked, time.Since(a.began).String())
	n := min(len(a.asked), len(a.list)) - 1
	select {
	case <-time.After(a.takes):
		return a.list[n]
	case <-ctx.Done():
		return ctx.Err()
	}
}

// play runs a check for a while, and lists what it told.
func play(t *testing.T, a *answers, o Options, while time.Duration) (told []string) {
	synctest.Test(t, func(t *testing.T) {
		a.began = time.Now()
		c, err := New(o, a)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), while)
		defer stop()
		c.Run(ctx, func(s Standing) {
			told = append(told, fmt.Sprintf("%v %v %s", time.Since(a.began), s.State, s.Why))
		})
	})
	return told
}

func TestACheckAsksAtOnceAndThenAtEveryInterval(t *testing.T) {
	a := &answers{list: []error{nil, errors.New("no"), errors.New("no"), errors.New("still no"), nil}}
	told := play(t, a, Options{Name: "x", Interval: 3 * time.Second, Timeout: time.Second, Rise: 2, Fall: 2}, 20*time.Second)
	if diff := cmp.Diff([]string{"0s good ", "6s bad no", "9s bad still no", "15s good "}, told); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"0s", "3s", "6s", "9s", "12s", "15s", "18s"}, a.asked); diff != "" {
		t.Error(diff)
	}
}

func TestAnAnswerThatIsLateIsBad(t *testing.T) {
	a := &answers{list: []error{nil}, takes: time.Hour}
	told := play(t, a, Options{Name: "x", Interval: time.Second, Timeout: 1500 * time.Millisecond, Rise: 1, Fall: 1}, 3*time.Second)
	if diff := cmp.Diff([]string{"1.5s bad no answer within 1.5s"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestTheEndIsNoAnswer(t *testing.T) {
	a := &answers{list: []error{nil}, takes: time.Hour}
	if told := play(t, a, Options{Name: "x", Interval: time.Second, Timeout: time.Minute, Rise: 1, Fall: 1}, time.Second); told != nil {
		t.Errorf("told %v", told)
	}
}

func TestACheckThatNeverAsksIsRefused(t *testing.T) {
	if _, err := New(Options{Name: "x", Interval: time.Second, Timeout: time.Second, Rise: 1}, &answers{}); err == nil {
		t.Error("fall 0 was taken")
	}
}
