package api

import "time"

// SetPatience is how long the client waits for a status.
func (c *Client) SetPatience(d time.Duration) { c.patience = d }
