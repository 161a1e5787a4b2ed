// Package arbiter looks up.
package arbiter

import (
	. "time"

	"github.com/solevip/solevip/claim"
)
