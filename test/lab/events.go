//go:build linux

package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"time"
)

// Event is something that was done to a lab, or seen in it.
type Event struct {
	At   time.Time `json:"at"`
	Who  string    `json:"who"` // "lab", "client", "bmc", or a machine
	Node string    `json:"node,omitempty"`
	Text string    `json:"text"`
}

// tell writes down what is about to be done. One short write to a file opened for appending is
// whole, whichever process makes it.
func (l *Lab) tell(node, text string) { l.tellAs("lab", node, text) }

func (l *Lab) tellAs(who, node, text string) {
	line, err := json.Marshal(Event{At: time.Now(), Who: who, Node: node, Text: text})
	if err != nil {
		return
	}
	f, err := os.OpenFile(l.path("events"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // the story is for the reader; the fault happens all the same
	}
	defer f.Close()
	f.Write(append(line, '\n'))
}

// Events are all that was done to the lab, oldest first.
func (l *Lab) Events() ([]Event, error) {
	f, err := os.Open(l.path("events"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var events []Event
	for s := bufio.NewScanner(f); s.Scan(); {
		var e Event
		if json.Unmarshal(s.Bytes(), &e) == nil {
			events = append(events, e)
		}
	}
	return events, nil
}
