package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"

	"github.com/solevip/solevip/config"
	"github.com/solevip/solevip/daemon"
	"github.com/solevip/solevip/health"
)

// checks makes a group's health checks.
func (w *wiring) checks(g config.Group) ([]daemon.Check, error) {
	var out []daemon.Check
	for _, c := range g.Checks {
		p, err := w.probe(g, c)
		if err != nil {
			return nil, fmt.Errorf("check %s: %w", c.Name, err)
		}
		made, err := health.New(health.Options{
			Name: c.Name, Interval: c.Interval, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall, Weight: c.Weight,
		}, p)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

func (w *wiring) probe(g config.Group, c config.Check) (health.Probe, error) {
	switch {
	case c.Script != nil:
		return health.Script{Path: c.Script.Path, Args: c.Script.Args, Env: []string{"SOLEVIP_GROUP=" + g.Name, "SOLEVIP_NODE=" + w.node}}, nil
	case c.TCP != nil:
		return health.TCP{Address: c.TCP.Address}, nil
	case c.HTTP != nil:
		return httpProbe(c.HTTP)
	case c.TLS != nil:
		roots, err := roots(c.TLS.CAFile)
		return health.TLS{Address: c.TLS.Address, Name: c.TLS.ServerName, ValidFor: c.TLS.ValidFor, Roots: roots}, err
	case c.MySQL != nil:
		return mysqlProbe(c.MySQL)
	case c.Interface != nil:
		return health.Interface{Name: c.Interface.Name}, nil
	case c.File != nil:
		return health.File{Path: c.File.Path}, nil
	case c.Process != nil:
		return health.Process{Name: c.Process.Name, Least: c.Process.Least}, nil
	}
	return nil, errors.New("it has no kind") // config refuses it
}

func httpProbe(c *config.HTTPCheck) (health.Probe, error) {
	p := health.HTTP{URL: c.URL, Status: c.Status}
	var err error
	if c.Body != "" {
		if p.Body, err = regexp.Compile(c.Body); err != nil {
			return nil, err
		}
	}
	p.Roots, err = roots(c.CAFile)
	return p, err
}

func mysqlProbe(c *config.MySQLCheck) (health.Probe, error) {
	o := health.MySQLOptions{DSN: c.DSN.Reveal(), Query: c.Query, Expect: c.Expect}
	if c.ReadOnly != "any" {
		on := c.ReadOnly == "on"
		o.ReadOnly = &on
	}
	return health.NewMySQL(o)
}

// roots are the certificates of a file; nil, which is the system's, when no file is named.
func roots(file string) (*x509.CertPool, error) {
	pem, err := authority(file)
	if err != nil || pem == nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}
