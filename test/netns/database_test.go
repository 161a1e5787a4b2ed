//go:build linux

package netns_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/solevip/solevip/test/lab"
)

var members = []string{"db1", "db2"}

// database is a MariaDB server on each member, each a replica of the other, with the example hook
// of packaging/examples deciding by promote and demote which of them takes writes.
type database struct {
	*cluster
	dir string
}

// install makes one data directory and copies it, so that both servers begin with the same data.
func (d database) install() {
	d.t.Helper()
	seed := filepath.Join(d.dir, "seed")
	d.run(exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal",
		"--skip-test-db", "--datadir="+seed))
	for _, n := range members {
		d.run(exec.Command("cp", "-a", seed, filepath.Join(d.dir, n)))
	}
}

func (d database) run(cmd *exec.Cmd) {
	d.t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
}

// boot starts a machine's server, read-only, as its boot would. It dies with the machine's power.
func (d database) boot(node string) {
	d.t.Helper()
	n, _ := lab.NodeNamed(node)
	out, err := os.Create(filepath.Join(d.dir, node+".log"))
	d.must(err)
	defer out.Close()
	cmd := exec.Command("ip", "netns", "exec", d.Namespace(node), "mariadbd", "--no-defaults", "--user=root",
		"--datadir="+filepath.Join(d.dir, node), "--socket="+d.socket(node), "--pid-file="+filepath.Join(d.dir, node+".pid"),
		"--bind-address=0.0.0.0", "--server-id="+strconv.Itoa(n.Priority), "--log-bin=binlog", "--log-slave-updates", "--read-only",
		"--innodb-buffer-pool-size=32M", "--innodb-log-file-size=8M", "--performance-schema=OFF",
		"--rpl-semi-sync-master-enabled=ON", "--rpl-semi-sync-slave-enabled=ON",
		"--rpl-semi-sync-master-wait-point=AFTER_SYNC", "--rpl-semi-sync-master-timeout=5000")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	d.must(cmd.Start())
	go cmd.Wait() // reaped; the machine's power ends it
	ctx, cancel := d.within()
	defer cancel()
	for {
		if _, err := d.ask(ctx, node, "SELECT 1"); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(out.Name())
			d.t.Fatalf("the server of %s did not start: %v\n%s", node, context.Cause(ctx), log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d database) socket(node string) string { return filepath.Join(d.dir, node+".sock") }

// ask runs a statement on a machine itself, past the VIP.
func (d database) ask(ctx context.Context, node, query string) (string, error) {
	out, err := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--user=root", "--socket="+d.socket(node),
		"--batch", "--skip-column-names", "--execute", query).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (d database) mustAsk(node, query string) string {
	d.t.Helper()
	ctx, cancel := d.within()
	defer cancel()
	out, err := d.ask(ctx, node, query)
	if err != nil {
		d.t.Fatalf("%s on %s: %v: %s", query, node, err, out)
	}
	return out
}

// replicate makes each server follow the other.
func (d database) replicate() {
	for _, n := range members {
		other, _ := lab.NodeNamed(lab.Other(n))
		d.mustAsk(n, fmt.Sprintf("SET sql_log_bin = 0; CREATE USER IF NOT EXISTS app@'%%' IDENTIFIED BY 'app'; "+
			"GRANT SELECT ON solevip.* TO app@'%%'; GRANT ALL ON shop.* TO app@'%%'; GRANT REPLICATION SLAVE ON *.* TO app@'%%'; CREATE DATABASE IF NOT EXISTS shop; "+
			"CREATE TABLE IF NOT EXISTS shop.orders (id INT PRIMARY KEY, epoch INT NOT NULL) ENGINE=InnoDB; "+
			"CHANGE MASTER TO master_host='%s', master_user='app', master_password='app', master_use_gtid=slave_pos, "+
			"master_connect_retry=1, master_heartbeat_period=1; START SLAVE", other.Addr))
	}
}

// shopper inserts orders 1, 2, 3, ... through the VIP, one after the other, until it is told to
// stop, and remembers which were acknowledged.
type shopper struct {
	acked   []int
	tried   int
	longest time.Duration // between two acknowledgements
}

// shop inserts with a client per connection, as applications do that reconnect on errors.
func (d database) shop(ctx context.Context) *shopper {
	s := &shopper{}
	last := time.Now()
	for ctx.Err() == nil {
		err := d.session(ctx, s, &last)
		if err != nil && ctx.Err() == nil {
			time.Sleep(20 * time.Millisecond) // a client's own pause before it connects again
		}
	}
	return s
}

// session is one connection: it inserts until an insert fails.
func (d database) session(ctx context.Context, s *shopper, last *time.Time) error {
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", d.Namespace("client"), "mariadb", "--no-defaults",
		"--host="+lab.VIP.String(), "--user=app", "--password=app", "--connect-timeout=1", "--skip-reconnect", "--unbuffered", "--batch", "--skip-column-names", "shop")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	defer cmd.Wait()
	defer in.Close()
	lines := bufio.NewScanner(out)
	for ctx.Err() == nil {
		s.tried++
		id := s.tried
		// An insert that isn't answered within 2 s is given up with its connection.
		giveUp := time.AfterFunc(2*time.Second, func() { cmd.Process.Kill() })
		_, err := fmt.Fprintf(in, "INSERT INTO orders SELECT %d, epoch FROM solevip.epoch; SELECT ROW_COUNT();\n", id)
		answered := err == nil && lines.Scan() && lines.Text() == "1"
		giveUp.Stop()
		if !answered {
			return errors.New("not acknowledged")
		}
		s.acked = append(s.acked, id)
		s.longest = max(s.longest, time.Since(*last))
		*last = time.Now()
	}
	return nil
}

// awaitOrders waits until the holder's server takes a new order.
func (d database) awaitOrders(when string) {
	d.t.Helper()
	ctx, cancel := d.within()
	defer cancel()
	holder := d.holder()
	count := func() int {
		out, _ := d.ask(ctx, holder, "SELECT COUNT(*) FROM shop.orders")
		n, _ := strconv.Atoi(out)
		return n
	}
	for before := count(); count() <= before+3; {
		select {
		case <-ctx.Done():
			d.t.Fatalf("no orders are taken %s: %v", when, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// watchWriters looks at both servers again and again, and counts how often both took writes.
func (d database) watchWriters() (stop func(), both func() int) {
	ctx, cancel := context.WithCancel(d.t.Context())
	done := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			open := 0
			for _, node := range members {
				if out, err := d.ask(ctx, node, "SELECT @@global.read_only"); err == nil && out == "0" {
					open++
				}
			}
			if open > 1 {
				n++
			}
		}
		done <- n
	}()
	return cancel, func() int { return <-done }
}

// TestDatabase writes to a real database through the VIP while its machine loses power, and while
// it is moved. Every write that was acknowledged is there in the end, and at no time both servers
// took writes.
func TestDatabase(t *testing.T) {
	for _, tool := range []string{"mariadbd", "mariadb", "mariadb-install-db"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (Debian packages mariadb-server-core, mariadb-client-core): %v", tool, err)
		}
	}
	dir, err := os.MkdirTemp("/tmp", "db") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	example, err := filepath.Abs("../../packaging/examples/mariadb.sh")
	if err != nil {
		t.Fatal(err)
	}
	hook := filepath.Join(dir, "hook.sh")
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$1\" --no-defaults --user=root --socket=%s/$SOLEVIP_NODE.sock\n", example, dir)
	if err := errors.Join(os.WriteFile(hook, []byte(script), 0o700), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	c := newClusterOff(t, func(o *lab.Options) { o.Hook = hook })
	d := database{cluster: c, dir: dir}
	d.install()
	c.must(c.Up())
	for _, n := range members {
		d.boot(n)
	}
	d.replicate()
	c.whole()

	stopWatch, twoWriters := d.watchWriters()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan *shopper, 1)
	go func() { done <- d.shop(ctx) }()
	d.awaitOrders("before anything happened")

	first := c.holder()
	second := lab.Other(first)
	within, cancel := c.within()
	defer cancel()
	c.must(c.Switchover(within, second))
	d.awaitOrders("after a planned switchover")
	c.must(c.PowerOff(second))
	c.answers(first)
	d.awaitOrders("after the holder lost its power")
	stop()
	s := <-done
	stopWatch()

	if n := twoWriters(); n > 0 {
		t.Errorf("both servers took writes, in %d of the looks at them", n)
	}
	have := map[int]bool{}
	for _, line := range strings.Fields(d.mustAsk(first, "SELECT id FROM shop.orders")) {
		id, err := strconv.Atoi(line)
		c.must(err)
		have[id] = true
	}
	lost := 0
	for _, id := range s.acked {
		if !have[id] {
			lost++
		}
	}
	t.Logf("%d inserts tried, %d acknowledged, %d lost; the longest wait for an acknowledgement was %v", s.tried, len(s.acked), lost, s.longest.Round(time.Millisecond))
	if lost > 0 || len(s.acked) < 10 {
		t.Errorf("%d of %d acknowledged inserts are lost", lost, len(s.acked))
	}
}
