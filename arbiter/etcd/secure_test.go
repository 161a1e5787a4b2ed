package etcd

import (
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/solevip/solevip/arbiter"
	"github.com/solevip/solevip/arbiter/arbitertest"
	"github.com/solevip/solevip/cert"
)

// A user that may do nothing but read and write its ledger's prefix, over mutual TLS.
func TestTLSAndAUserOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := cert.Init(dir, "orders"); err != nil {
		t.Fatal(err)
	}
	server, err := cert.Issue(dir, "etcd", "127.0.0.1", "localhost")
	if err != nil {
		t.Fatal(err)
	}
	client, err := cert.Issue(dir, "a")
	if err != nil {
		t.Fatal(err)
	}
	e := startEtcdAt(t, "https", &TLS{CA: client.CA, Cert: client.Cert, Key: client.Key}, debianEtcd(t),
		"--cert-file", server.Cert, "--key-file", server.Key, "--trusted-ca-file", server.CA, "--client-cert-auth")
	root := e.client()
	enableAuth(t, root)

	o := testOptions(t, e, longTTL, "orders", "a")
	o.TLS, o.User, o.Password = e.tls, "solevip", "secret"
	l := opened(t, o)
	must(t, l, arbiter.Register{Boot: arbitertest.Boot("a")})
	r := must(t, l, arbiter.Beat{Boot: arbitertest.Boot("a")})
	for got := range l.Watch(t.Context()) {
		if got.Index >= r.Index {
			break
		}
	}
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"a wrong password":         {func(o *Options) { o.Password = "guess" }, "authentication failed"},
		"no user":                  {func(o *Options) { o.User, o.Password = "", "" }, "user"},
		"another cluster's prefix": {func(o *Options) { o.Cluster = "payments" }, "readwrite permission"},
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			o.Dir = t.TempDir()
			c.change(&o)
			l, err := Open(t.Context(), o)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "guess") {
				t.Errorf("%v: want it to say %q, and no password", err, c.want)
			}
		})
	}
	t.Run("no certificate", func(t *testing.T) {
		o := o
		o.Dir, o.TLS = t.TempDir(), &TLS{CA: client.CA}
		l, err := Open(t.Context(), o)
		if err != nil {
			return
		}
		defer l.Close()
		if _, err := try(l, arbiter.Beat{Boot: arbitertest.Boot("a")}, time.Second); err == nil {
			t.Error("a node without a certificate was heard")
		}
	})
}

// enableAuth makes a user solevip that may use /solevip/orders/ only.
func enableAuth(t *testing.T, c *clientv3.Client) {
	t.Helper()
	ctx := t.Context()
	var errs []error
	do := func(_ any, err error) { errs = append(errs, err) }
	do(c.RoleAdd(ctx, "root"))
	do(c.UserAdd(ctx, "root", "toor"))
	do(c.UserGrantRole(ctx, "root", "root"))
	do(c.RoleAdd(ctx, "orders"))
	do(c.RoleGrantPermission(ctx, "orders", "/solevip/orders/", clientv3.GetPrefixRangeEnd("/solevip/orders/"), clientv3.PermissionType(clientv3.PermReadWrite)))
	do(c.UserAdd(ctx, "solevip", "secret"))
	do(c.UserGrantRole(ctx, "solevip", "orders"))
	do(c.AuthEnable(ctx))
	for _, err := range errs {
		if err != nil {
			t.Fatalf("enable authentication: %v", err)
		}
	}
}
