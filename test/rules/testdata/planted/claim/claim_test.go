package claim

import (
	"os"
	"time"

	"github.com/google/go-cmp/cmp"
)

func waits() { go time.Sleep(1) }
