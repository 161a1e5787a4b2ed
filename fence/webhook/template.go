package webhook

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/solevip/solevip/fence"
)

// template is a URL with places to fill in.
type template struct {
	raw   string
	shown string // without user and query values
}

var place = regexp.MustCompile(`\{[^{}]*\}`)

// parseTemplate checks a URL as if it were filled in, and that what is filled in can't change
// where the request goes.
func parseTemplate(raw string) (template, error) {
	if raw == "" {
		return template{}, errors.New("missing")
	}
	for _, p := range place.FindAllString(raw, -1) {
		if p != "{action}" && p != "{target}" && p != "{epoch}" {
			return template{}, fmt.Errorf("%s isn't known; there are {action}, {target} and {epoch}", p)
		}
	}
	sample, err := url.Parse(place.ReplaceAllString(raw, "a"))
	if err != nil {
		return template{}, errors.New("not a URL (it isn't shown, as it may hide a password)")
	}
	other, err := url.Parse(place.ReplaceAllString(raw, "b"))
	switch {
	case err != nil || sample.Host != other.Host || sample.Scheme != other.Scheme || sample.User.String() != other.User.String():
		return template{}, errors.New("only the path and the query can be filled in")
	case sample.Scheme != "http" && sample.Scheme != "https":
		return template{}, fmt.Errorf("scheme %q; it is https or http", sample.Scheme)
	case sample.Host == "":
		return template{}, errors.New("no host")
	case sample.Fragment != "":
		return template{}, errors.New("a fragment (#) is never sent; write %23")
	}
	return template{raw: raw, shown: redact(raw)}, nil
}

// fill puts the facts in.
func (t template) fill(action string, s fence.Shot) string {
	return strings.NewReplacer(
		"{action}", escape(action),
		"{target}", escape(s.Target),
		"{epoch}", strconv.FormatUint(s.Epoch, 10),
	).Replace(t.raw)
}

// String is the template without what it hides.
func (t template) String() string { return t.shown }

// escape keeps only unreserved characters (RFC 3986 §2.3), so that the same text is safe in a
// path and in a query.
func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

var (
	userinfo = regexp.MustCompile(`^([a-z]+://)[^/?#]*@`)
	value    = regexp.MustCompile(`=[^&{}]+`)
)

// redact hides the user and the literal values of the query.
func redact(raw string) string {
	raw = userinfo.ReplaceAllString(raw, "${1}***@")
	path, query, has := strings.Cut(raw, "?")
	if !has {
		return path
	}
	if strings.Contains(query, "=") {
		return path + "?" + value.ReplaceAllString(query, "=***")
	}
	return path + "?***"
}

// hidden is what redact hides, as it is written and as the server sees it.
func (t template) hidden() []string {
	u, err := url.Parse(t.raw)
	if err != nil {
		return nil
	}
	var all []string
	if password, has := u.User.Password(); has {
		all = append(all, password)
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if !place.MatchString(v) {
				all = append(all, v, url.QueryEscape(v))
			}
		}
	}
	return all
}

// ParseHeaders reads a file of headers: a "Name: value" on each line; blank lines and lines that
// begin with # are skipped. Errors name the line, never the value.
func ParseHeaders(text []byte) (http.Header, error) {
	headers := http.Header{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !found || !httpguts.ValidHeaderFieldName(name):
			return nil, fmt.Errorf("headers line %d: want Name: value", n)
		case !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("headers line %d: the value of %s has a character that can't be sent", n, name)
		}
		headers.Add(name, value)
	}
	return headers, nil
}
