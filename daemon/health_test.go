package daemon_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/claim"
	"github.com/solevip/solevip/daemon"
	"github.com/solevip/solevip/health"
)

// service is what a check asks about: up or down, as the story says.
type service struct {
	mu  sync.Mutex
	err error
}

func (s *service) Probe(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *service) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// checked gives both nodes a check with a service each.
func checked(c *cluster, o health.Options) map[string]*service {
	services := map[string]*service{"db1": {}, "db2": {}}
	c.checks = func(node string) []daemon.Check {
		made, err := health.New(o, services[node])
		if err != nil {
			c.t.Fatal(err)
		}
		return []daemon.Check{made}
	}
	return services
}

// nginx is the check of a proxy: every 3 s, and two bad answers cost 150 of the priority.
var nginx = health.Options{Name: "nginx", Interval: 3 * time.Second, Timeout: time.Second, Fall: 2, Rise: 3, Weight: -150}

func TestAWeightMovesAVRRPGroupAndBack(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		services := checked(c, nginx)
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second)
		time.Sleep(10 * time.Second)
		c.want("up on db1", c.upOn("db1"), true)

		services["db1"].set(errors.New("nginx is not running"))
		broken := c.now()
		c.awaitFrom(broken, "db2 binds db", 11*time.Second) // two runs, and db2's down timer or the next adverts
		if took := c.now() - broken; took < 3*time.Second {
			t.Errorf("moved after %v, before two runs failed", took)
		}
		c.awaitFrom(broken, "db1 unbinds db", 15*time.Second)
		c.want("check", c.db("db1").Checks[0].Reason, "nginx is not running")
		c.want("state", c.db("db1").Checks[0].State, "bad")

		services["db1"].set(nil)
		mended := c.now()
		c.awaitFrom(mended, "db1 binds db", 16*time.Second) // three runs, and db1 preempts
		c.awaitFrom(mended, "db2 unbinds db", 20*time.Second)
		c.want("state", c.db("db1").Checks[0].State, "good")
	})
}

func TestASmallWeightMovesNothing(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		o := nginx
		o.Weight = -50
		services := checked(c, o)
		c.start("db1", "db2")
		c.await("db1 announces db", 4*time.Second)
		services["db1"].set(errors.New("slow"))
		time.Sleep(time.Minute)
		c.want("up on db1", c.upOn("db1"), true)
		c.want("binds on db2", c.tape.count("db2 binds"), 0)
	})
}

// fault is a check without a weight.
var fault = health.Options{Name: "disk", Interval: time.Second, Timeout: time.Second, Fall: 2, Rise: 2}

func TestAFaultHandsAVRRPGroupOver(t *testing.T) {
	plainVRRP(t, 2, func(t *testing.T, c *cluster) {
		services := checked(c, fault)
		c.start("db1", "db2")
		c.await("db1 announces db", 5*time.Second)
		time.Sleep(5 * time.Second)
		services["db1"].set(errors.New("disk is full"))
		broken := c.now()
		c.awaitFrom(broken, "db2 binds db", 4*time.Second)
		want := []string{"db1 demote db epoch 1", "db1 unbinds db", "db1 sends priority 0 for 50", "db1 sends priority 0 for 51"}
		if diff := cmp.Diff(want, c.tape.ordered("db1 demote", "db1 unbinds", "db1 sends priority 0")); diff != "" {
			t.Error(diff)
		}
		c.want("role", c.db("db1").Role, "fault")
		c.want("reason", c.db("db1").Reason, "check disk: disk is full")
		time.Sleep(time.Minute)
		c.want("up on db1, still broken", c.upOn("db1"), false)

		services["db1"].set(nil)
		c.await("db1 binds db", 10*time.Second) // it preempts
		c.want("reason", c.db("db1").Reason != "check disk: disk is full", true)
	})
}

func TestAFaultReleasesAProtectedGroupInOrder(t *testing.T) {
	for _, protection := range []arbiter.Protection{arbiter.ProtectLease, arbiter.ProtectFence} {
		t.Run(string(protection), func(t *testing.T) {
			story(t, func(t *testing.T, c *cluster) {
				c.protection = protection
				services := checked(c, fault)
				c.held()
				services["db1"].set(errors.New("disk is full"))
				broken := c.now()
				c.awaitFrom(broken, "db2 binds db", 5*time.Second)
				order := c.tape.ordered("db1 demote", "db1 unbinds", "db2 promote", "db2 binds")
				if diff := cmp.Diff([]string{"db1 demote db epoch 1", "db1 unbinds db", "db2 promote db epoch 2", "db2 binds db epoch 2"}, order[:4]); diff != "" {
					t.Error(diff)
				}
				c.want("role", c.db("db1").Role, "fault")
				c.want("reason", c.db("db1").Reason, "check disk: disk is full")
				c.want("evidence", c.db("db2").Evidence, "released")
				c.want("shots", c.tape.count("db1 has no power"), 0)

				services["db1"].set(nil)
				time.Sleep(2 * takeover)
				c.want("role, mended", c.db("db1").Role, "backup")
				c.kill("db2") // and can be relied on again
				c.await("db1 binds db", 2*takeover+5*time.Second)
			})
		})
	}
}

func TestNobodyFitNobodyHolds(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		services := checked(c, fault)
		for _, s := range services {
			s.set(errors.New("no disk"))
		}
		c.start("db1", "db2")
		time.Sleep(5 * takeover)
		c.want("binds", c.tape.count("db1 binds")+c.tape.count("db2 binds"), 0)
		c.want("role", c.db("db2").Role, "fault")
		services["db2"].set(nil)
		c.await("db2 binds db", 2*takeover)
	})
}

func TestTheFirstAnswerIsWaitedFor(t *testing.T) {
	plainVRRP(t, 1, func(t *testing.T, c *cluster) {
		c.checks = func(string) []daemon.Check { return []daemon.Check{slowly{}} }
		c.start("db1")
		time.Sleep(9 * time.Second)
		c.want("role", c.db("db1").Role, "fault")
		c.want("reason", c.db("db1").Reason, "check slow has not answered yet")
		c.await("db1 binds db", 6*time.Second)
	})
}

func TestARestartedHolderKeepsTheGroupUntilItKnowsBetter(t *testing.T) {
	story(t, func(t *testing.T, c *cluster) {
		services := checked(c, fault)
		c.held()
		c.kill("db1")
		time.Sleep(100 * time.Millisecond)
		c.start("db1")
		time.Sleep(claim.Beat(ttl))
		c.want("times that it came up", len(c.machine["db1"].kernel.history()), 1)
		services["db1"].set(errors.New("disk is full"))
		c.await("db2 binds db", 6*time.Second)
	})
}

// slowly answers after ten seconds.
type slowly struct{}

func (slowly) Options() health.Options { return health.Options{Name: "slow"} }

func (slowly) Run(ctx context.Context, tell func(health.Standing)) {
	select {
	case <-time.After(10 * time.Second):
		tell(health.Standing{Name: "slow", State: health.Good, Count: 1})
	case <-ctx.Done():
	}
	<-ctx.Done()
}
