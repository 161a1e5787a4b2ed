//go:build linux

package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Timeline tells one story out of what was done to the lab, what the judge saw, and what the
// daemons logged, oldest first, within a report's window.
func (l *Lab) Timeline(r Report) ([]Event, error) {
	events, err := l.Events()
	if err != nil {
		return nil, err
	}
	events = append(events, r.Events()...)
	for _, n := range Nodes {
		said, err := logged(l.Log(n.Name), n.Name)
		if err != nil {
			return nil, err
		}
		events = append(events, said...)
	}
	events = slices.DeleteFunc(events, func(e Event) bool { return e.At.Before(r.From) || e.At.After(r.To) })
	slices.SortStableFunc(events, func(a, b Event) int { return a.At.Compare(b.At) })
	return events, nil
}

// noticed is what a client would call an outage; shorter pauses are the machine's own.
const noticed = 5 * time.Millisecond

// Events are the judge's part of a story.
func (r Report) Events() []Event {
	var events []Event
	add := func(at time.Time, who, format string, args ...any) {
		if at.After(r.From) && at.Before(r.To) {
			events = append(events, Event{At: at, Who: who, Text: fmt.Sprintf(format, args...)})
		}
	}
	for _, s := range r.Holders {
		add(s.From, "judge", "%s answers for %s", s.Node, VIP)
		if s.To.Before(r.To.Add(-50 * time.Millisecond)) { // else it answers still
			add(s.To, "judge", "%s answers no more", s.Node)
		}
	}
	for _, s := range r.Links {
		add(s.From, "judge", "%s is on an interface of %s", VIP, s.Node)
		add(s.To, "judge", "%s is on no interface of %s any more", VIP, s.Node)
	}
	for _, o := range r.Overlaps {
		add(o.From.Add(time.Microsecond), "judge", "TWO HOLDERS: %s and %s, for %s", o.A, o.B, Milliseconds(o.To.Sub(o.From)))
	}
	if r.Outage.Length() > noticed {
		add(r.Outage.From, "client", "gets no answers")
	}
	if r.Outage.To.Before(r.To) && r.Outage.Length() > noticed {
		add(r.Outage.To.Add(time.Microsecond), "client", "gets answers again, after %s without", Milliseconds(r.Outage.Length()))
	}
	return events
}

// Milliseconds formats a duration as people compare it: whole milliseconds with a separator.
func Milliseconds(d time.Duration) string {
	ms := strconv.FormatInt(d.Round(time.Millisecond).Milliseconds(), 10)
	if len(ms) > 3 {
		ms = ms[:len(ms)-3] + "," + ms[len(ms)-3:]
	}
	return ms + " ms"
}

// logged reads a daemon's log as slog writes it, as text or as JSON. Lines of another form, such as
// keepalived's, have no time that is fine enough and aren't part of the story.
func logged(path, node string) ([]Event, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var events []Event
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if e, ok := parseLog(lines.Text()); ok {
			e.Who = node
			events = append(events, e)
		}
	}
	return events, lines.Err()
}

// parseLog reads one line of slog: the time, the message, and the attributes behind it, in order.
func parseLog(line string) (Event, bool) {
	pairs := textPairs(line)
	if strings.HasPrefix(line, "{") {
		pairs = jsonPairs(line)
	}
	var e Event
	var rest []string
	for _, p := range pairs {
		switch key, value := p[0], p[1]; key {
		case "time":
			e.At, _ = time.Parse(time.RFC3339Nano, value)
		case "msg":
			e.Text = value
		case "level":
			if value == "DEBUG" {
				return e, false
			}
			if value != "INFO" {
				rest = append([]string{value}, rest...)
			}
		case "component", "node":
		default:
			if strings.ContainsAny(value, " ") {
				value = strconv.Quote(value)
			}
			rest = append(rest, key+"="+value)
		}
	}
	e.Text = strings.TrimSpace(e.Text + "  " + strings.Join(rest, " "))
	return e, !e.At.IsZero()
}

// textPairs splits key=value pairs; values may be quoted.
func textPairs(line string) [][2]string {
	var pairs [][2]string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		key, rest, ok := strings.Cut(line, "=")
		if !ok || strings.Contains(key, " ") {
			return pairs
		}
		value, after, _ := strings.Cut(rest, " ")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			value, _ = strconv.Unquote(quoted)
			after = rest[len(quoted):]
		}
		pairs = append(pairs, [2]string{key, value})
		line = after
	}
	return pairs
}

// jsonPairs keeps the order in which slog wrote the attributes.
func jsonPairs(line string) [][2]string {
	dec := json.NewDecoder(strings.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	var pairs [][2]string
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return pairs
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return pairs
		}
		pairs = append(pairs, [2]string{fmt.Sprint(key), fmt.Sprint(value)})
	}
	return pairs
}
