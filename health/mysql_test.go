package health

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestMySQL asks a real MariaDB server, on a socket in a directory of its own.
func TestMySQL(t *testing.T) {
	for _, tool := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s (Debian package mariadb-server-core): %v", tool, err)
		}
	}
	if os.Getuid() != 0 {
		t.Skip("mariadb-install-db --user=root needs root")
	}
	dir, err := os.MkdirTemp("", "svdb") // a socket's path must be a short one
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data, socket := filepath.Join(dir, "data"), filepath.Join(dir, "sock")
	install := exec.Command("mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db", "--datadir="+data)
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := exec.Command("mariadbd", "--no-defaults", "--user=root", "--datadir="+data, "--socket="+socket, "--skip-networking",
		"--pid-file="+filepath.Join(dir, "pid"), "--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--performance-schema=OFF")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			server.Process.Kill()
			server.Wait()
		}
	}
	t.Cleanup(stop)

	ask := func(o MySQLOptions, text string) {
		t.Helper()
		if o.DSN == "" {
			o.DSN = "root@unix(" + socket + ")/"
		}
		p, err := NewMySQL(o)
		if err != nil {
			t.Fatal(err)
		}
		want(t, p, text)
	}
	up, err := NewMySQL(MySQLOptions{DSN: "root@unix(" + socket + ")/"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for poll := time.NewTicker(50 * time.Millisecond); up.Probe(t.Context()) != nil; <-poll.C {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("the server doesn't come up: %v", up.Probe(t.Context()))
		}
	}

	on, off := true, false
	ask(MySQLOptions{}, "")
	ask(MySQLOptions{ReadOnly: &off}, "")
	ask(MySQLOptions{ReadOnly: &on}, "read_only is false")
	ask(MySQLOptions{Query: "SELECT 1", Expect: "1"}, "")
	ask(MySQLOptions{Query: "SELECT 1, 2", Expect: "2"}, `returned "1", not "2"`)
	ask(MySQLOptions{Query: "SELECT NULL", Expect: "1"}, `returned "", not "1"`)
	ask(MySQLOptions{Query: "SELECT 1 FROM mysql.user WHERE 1 = 0"}, "no row")
	ask(MySQLOptions{Query: "SELECT FROM"}, "query: ")
	ask(MySQLOptions{DSN: "nobody:s3cr3t@unix(" + socket + ")/"}, "Access denied")
	stop()
	ask(MySQLOptions{}, "connect")
}
