// Package surprise is in no table and uses a module that is in none.
package surprise

import (
	"example.org/new/thing"
	"github.com/google/go-cmp/cmp"
)
