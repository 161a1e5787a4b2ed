package health

import (
	"context"
	"fmt"

	"github.com/solevip/solevip/proc"
)

// Script runs a program: exit status 0 is good. There is no shell, and at the time limit its whole process group is killed.
type Script struct {
	Path string // absolute
	Args []string
	Env  []string // beside [proc.Env]'s
}

func (s Script) Probe(ctx context.Context) error {
	res, err := proc.Run(ctx, proc.Command{Path: s.Path, Args: s.Args, Env: proc.Env(s.Env...)})
	switch {
	case err != nil:
		return err
	case res.Code != 0 && res.LastLine() != "":
		return fmt.Errorf("%s: exit status %d: %s", s.Path, res.Code, res.LastLine())
	case res.Code != 0:
		return fmt.Errorf("%s: exit status %d", s.Path, res.Code)
	}
	return nil
}
