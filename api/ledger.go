package api

import (
	"context"
	"net/http"
)

// LedgerNode is what an operator may ask of a ledger that must be looked after.
type LedgerNode interface {
	// LedgerGC removes what is left of nodes and groups that the file doesn't name.
	LedgerGC(ctx context.Context) (LedgerGCAnswer, error)
	// LedgerConfirm takes an operator's word that a ledger which went back may be acted on.
	LedgerConfirm(ctx context.Context, r LedgerConfirmRequest) error
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

// LedgerConfirm records an operator's word that a ledger which went back may be acted on.
func (c *Client) LedgerConfirm(ctx context.Context, r LedgerConfirmRequest) error {
	_, err := call[struct{}](ctx, c, http.MethodPost, "/v1/ledger/confirm", r)
	return err
}
