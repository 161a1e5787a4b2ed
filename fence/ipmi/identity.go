package ipmi

import (
	"context"
	"fmt"

	"github.com/bougou/go-ipmi/pkg/client"
	"github.com/bougou/go-ipmi/pkg/types"

	"github.com/solevip/solevip/fence"
)

// invalidCommand is the completion code of a BMC without the command (IPMI 2.0 §5.2, C1h).
const invalidCommand = 0xc1

// Identity is the system's GUID (IPMI 2.0 §22.14), read as an SMBIOS UUID: what
// /sys/class/dmi/id/product_uuid shows on the machine itself, where BMC and firmware agree.
func (d *Device) Identity(ctx context.Context) (string, error) {
	var raw [16]byte // stays blank with a BMC that has none
	err := d.session(ctx, func(c *client.Client) error {
		answer, err := c.GetSystemGUID(ctx)
		if refused, ok := types.IsResponseError(err); ok && refused.CompletionCode() == invalidCommand {
			return nil
		}
		if err != nil {
			return fmt.Errorf("system GUID: %w", err)
		}
		raw = answer.GUID
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case blank(raw):
		return "", fmt.Errorf("the BMC has no system GUID: %w", fence.ErrNoIdentity)
	}
	id, err := types.ParseGUID(raw[:], types.GUIDModeSMBIOS)
	if err != nil {
		return "", fmt.Errorf("system GUID % x: %w", raw, err)
	}
	return id.String(), nil
}

// blank reports whether a GUID was never set: all zeros or all ones.
func blank(guid [16]byte) bool {
	for _, b := range guid {
		if b != guid[0] {
			return false
		}
	}
	return guid[0] == 0 || guid[0] == 0xff
}
