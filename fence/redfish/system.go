package redfish

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/solevip/solevip/fence"
)

// system is what matters here of a ComputerSystem resource.
type system struct {
	path string // where it was read

	ID         string `json:"Id"`
	UUID       string
	PowerState string
	Status     struct{ State string }
	Actions    struct {
		Reset struct {
			Target    string   `json:"target"`
			Allowable []string `json:"ResetType@Redfish.AllowableValues"`
		} `json:"#ComputerSystem.Reset"`
	}
}

// on are the states of power that aren't off. One that is neither here nor Off is unknown.
var on = []string{"On", "PoweringOn", "PoweringOff", "Paused"}

// power is what the system's answer is worth.
func (s system) power() (fence.PowerState, error) {
	switch {
	case s.Status.State == "Absent":
		// An empty slot of a chassis reads Off; where the machine went it doesn't say.
		return fence.PowerUnknown, fmt.Errorf("%s is absent: its power says nothing about a machine", s.path)
	case s.PowerState == "Off":
		return fence.PowerOff, nil
	case slices.Contains(on, s.PowerState):
		return fence.PowerOn, nil
	}
	return fence.PowerUnknown, fmt.Errorf("%s: PowerState %q says neither on nor off", s.path, s.PowerState)
}

// forcible says why a system can't be asked for ForceOff, or nil.
func (s system) forcible() error {
	may := s.Actions.Reset.Allowable
	switch {
	case s.Actions.Reset.Target == "":
		return fmt.Errorf("%s has no Reset action: this user or this BMC can't switch its power", s.path)
	case len(may) > 0 && !slices.Contains(may, "ForceOff"):
		return fmt.Errorf("%s can't do ForceOff, only %s", s.path, strings.Join(may, ", "))
	}
	return nil
}

// is compares the system with what the options say of it.
func (s system) is(d *Device) error {
	if d.system != "" && s.ID != "" && s.ID != d.system {
		return fmt.Errorf("%w: %s has the id %q, want %q", ErrSystem, s.path, s.ID, d.system)
	}
	if d.uuid == "" {
		return nil
	}
	if got, err := parseUUID(s.UUID); err != nil || got != d.uuid {
		return fmt.Errorf("%w: %s has the UUID %q, want %s", ErrSystem, s.path, s.UUID, d.uuid)
	}
	return nil
}

// find reads the system that is meant: where it was the last time, else by its id, else among all.
func (e *errand) find() (system, error) {
	if at := e.found.Load(); at != nil {
		s, err := e.read(*at)
		if r, ok := errors.AsType[*refusal](err); !errors.Is(err, ErrSystem) && (!ok || r.code != notFound) {
			return s, err
		}
		e.found.Store(nil) // it moved, perhaps with new firmware
	}
	paths, err := e.candidates()
	if err != nil {
		return system{}, err
	}
	s, err := e.choose(paths)
	if err == nil {
		e.found.Store(&s.path)
	}
	return s, err
}

// candidates are the paths of the systems among which the options choose.
func (e *errand) candidates() ([]string, error) {
	all, err := e.list()
	if err != nil || e.system == "" {
		return all, err
	}
	for _, path := range all {
		if lastPart(path) == e.system {
			return []string{path}, nil
		}
	}
	return nil, fmt.Errorf("%w: the BMC has no system %q, only %s", ErrSystem, e.system, ids(all))
}

// choose reads candidates until it has seen the one that is meant, and no second one.
func (e *errand) choose(paths []string) (system, error) {
	switch {
	case len(paths) == 0:
		return system{}, fmt.Errorf("%w: the BMC has no system", ErrSystem)
	case len(paths) == 1:
		return e.read(paths[0])
	case e.uuid == "":
		return system{}, fmt.Errorf("%w: the BMC has %d: %s; say which, by system or uuid", ErrSystem, len(paths), ids(paths))
	}
	var meant []system
	var unread error // an empty slot may answer with an error; it is told only when ours isn't found
	for _, path := range paths {
		s, err := e.read(path)
		_, refused := errors.AsType[*refusal](err)
		switch {
		case err == nil:
			meant = append(meant, s)
		case refused:
			unread = err
		case !errors.Is(err, ErrSystem):
			return system{}, err
		}
	}
	switch {
	case len(meant) == 1:
		return meant[0], nil
	case len(meant) == 0 && unread != nil:
		return system{}, fmt.Errorf("%w: none of %s that could be read has the UUID %s: %w", ErrSystem, ids(paths), e.uuid, unread)
	}
	return system{}, fmt.Errorf("%w: %d of %s have the UUID %s", ErrSystem, len(meant), ids(paths), e.uuid)
}

// read reads one system, and compares it with what is meant.
func (e *errand) read(path string) (system, error) {
	s := system{path: path}
	if err := e.get(path, &s); err != nil {
		return system{}, err
	}
	return s, s.is(e.Device)
}

const (
	systems    = "/redfish/v1/Systems"
	maxSystems = 256
)

// list is the paths of all systems.
func (e *errand) list() ([]string, error) {
	var paths []string
	for next := systems; next != ""; {
		var page struct {
			Members []struct {
				Path string `json:"@odata.id"`
			}
			Next string `json:"Members@odata.nextLink"`
		}
		if err := e.get(next, &page); err != nil {
			return nil, err
		}
		for _, m := range page.Members {
			paths = append(paths, m.Path)
		}
		if next = page.Next; len(paths) > maxSystems || next != "" && len(page.Members) == 0 {
			return nil, fmt.Errorf("%s has more than %d members, or no end", systems, maxSystems)
		}
	}
	return paths, nil
}

func lastPart(path string) string {
	path = strings.TrimRight(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

func ids(paths []string) string {
	var all []string
	for _, p := range paths {
		all = append(all, lastPart(p))
	}
	if len(all) == 0 {
		return "none"
	}
	return strings.Join(all, ", ")
}

// forceOff sends the command, if it may still be sent.
func (e *errand) forceOff(s system, allowed func() error) error {
	if err := s.forcible(); err != nil {
		if power, _ := s.power(); power == fence.PowerOff {
			return nil // some BMCs offer only what makes sense in the present state
		}
		return err
	}
	body, err := json.Marshal(map[string]string{"ResetType": "ForceOff"})
	if err != nil {
		return err
	}
	if err := allowed(); err != nil {
		return err
	}
	return e.post(s.Actions.Reset.Target, body)
}

// parseUUID writes a UUID in lower case.
func parseUUID(text string) (string, error) {
	plain := strings.ToLower(strings.TrimSpace(text))
	digits := strings.ReplaceAll(plain, "-", "")
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != 32 || len(plain) != 36 {
		return "", fmt.Errorf("uuid %q isn't like 4c4c4544-0042-3510-8052-b4c04f4e4d32", text)
	}
	if strings.Trim(digits, "0") == "" || strings.Trim(digits, "f") == "" {
		return "", fmt.Errorf("uuid %q is one that was never set", text)
	}
	return plain, nil
}
