package api

import (
	"context"
	"encoding/json"
	"net/http"
)

// LedgerNode is what an operator may ask of a ledger that must be looked after.
type LedgerNode interface {
	// LedgerGC removes what is left of nodes and groups that the file doesn't name.
	LedgerGC(ctx context.Context) (LedgerGCAnswer, error)
	// LedgerConfirm takes an operator's word that a ledger which went back may be acted on.
	LedgerConfirm(ctx context.Context, r LedgerConfirmRequest) error
	// ExportLedger is a backup of the ledger as it is now or, when stale is enough, as it was seen last.
	ExportLedger(ctx context.Context, stale bool) (LedgerBackup, error)
}

// BackupFormat is the format of backups that this version writes and reads.
const BackupFormat = 1

// LedgerBackup is the ledger, to begin it anew from.
type LedgerBackup struct {
	Format  int             `json:"format"`
	Cluster string          `json:"cluster"`
	Node    string          `json:"node"`    // that was asked
	At      string          `json:"at"`      // RFC 3339, its wall clock
	Current bool            `json:"current"` // a majority agreed that it was so; false: what the node saw last
	Record  json.RawMessage `json:"record"`
}

// LedgerGCAnswer is what a clean-up of the ledger found.
type LedgerGCAnswer struct {
	Removed []string `json:"removed"` // "node db3", "group mysql"
	Kept    []string `json:"kept"`    // with the reason
}

// LedgerConfirmRequest is an operator's word that a ledger which went back may be acted on.
type LedgerConfirmRequest struct {
	Operator string `json:"operator"`
	Reason   string `json:"reason"`
}

func ledgerRoutes(mux *http.ServeMux, n LedgerNode) {
	mux.HandleFunc("GET /v1/ledger/export", func(w http.ResponseWriter, r *http.Request) {
		b, err := n.ExportLedger(r.Context(), r.URL.Query().Has("stale"))
		answer(w, b, err)
	})
	mux.HandleFunc("POST /v1/ledger/gc", func(w http.ResponseWriter, r *http.Request) {
		found, err := n.LedgerGC(r.Context())
		answer(w, found, err)
	})
	mux.HandleFunc("POST /v1/ledger/confirm", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[LedgerConfirmRequest](w, r)
		if err == nil {
			err = n.LedgerConfirm(r.Context(), req)
		}
		answer(w, struct{}{}, err)
	})
}

// LedgerGC removes what the ledger has of nodes and groups that the file doesn't name.
func (c *Client) LedgerGC(ctx context.Context) (LedgerGCAnswer, error) {
	return call[LedgerGCAnswer](ctx, c, http.MethodPost, "/v1/ledger/gc", nil)
}

// LedgerExport asks for a backup of the ledger.
func (c *Client) LedgerExport(ctx context.Context, stale bool) (LedgerBackup, error) {
	path := "/v1/ledger/export"
	if stale {
		path += "?stale"
	}
	return call[LedgerBackup](ctx, c, http.MethodGet, path, nil)
}

// LedgerConfirm records an operator's word that a ledger which went back may be acted on.
func (c *Client) LedgerConfirm(ctx context.Context, r LedgerConfirmRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/ledger/confirm", r)
	return err
}
