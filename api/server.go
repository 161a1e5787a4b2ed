package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Node is what the handler asks; package daemon implements it.
type Node interface {
	// Status is the newest view.
	Status(ctx context.Context) (Status, error)
	// Watch hands each a Status whenever one differs from the last in more than ages and deadlines,
	// beginning with the present one, until ctx or the node ends, or each fails.
	Watch(ctx context.Context, each func(Status) error) error
	// Switchover moves a group and returns when the new holder has it.
	Switchover(ctx context.Context, r SwitchoverRequest) (SwitchoverAnswer, error)
	// FenceTest asks every fence device of a node for its power and identity; it never shoots.
	FenceTest(ctx context.Context, r FenceTestRequest) ([]DeviceCheck, error)
	// FenceOff cuts a node's power and proves it, once, with the order in the ledger first.
	FenceOff(ctx context.Context, r FenceOffRequest) (FenceOffAnswer, error)
	// Maintenance begins or ends a time in which nobody is fenced automatically.
	Maintenance(ctx context.Context, r MaintenanceRequest) error
	// FenceUnfence lets a node that came back after a fence hold groups again.
	FenceUnfence(ctx context.Context, r UnfenceRequest) error
	// FenceConfirm records an operator's word that a node is dead, unless something says otherwise.
	FenceConfirm(ctx context.Context, r ConfirmRequest) error
	LedgerNode
	// ChangeCluster gives a node a vote in the ledger, or takes it away, and returns when that is agreed.
	ChangeCluster(ctx context.Context, r ClusterRequest) (ClusterAnswer, error)
}

// Error is a request's failure with what to do about it.
type Error struct {
	What string `json:"error"`
	Hint string `json:"hint,omitempty"`
}

func (e *Error) Error() string { return e.What }

// maxBody bounds a request's body.
const maxBody = 64 << 10

// Handler serves a node's control socket.
func Handler(n Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		s, err := n.Status(r.Context())
		answer(w, s, err)
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { watch(w, r, n) })
	mux.HandleFunc("POST /v1/switchover", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[SwitchoverRequest](w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		a, err := n.Switchover(r.Context(), req)
		answer(w, a, err)
	})
	mux.HandleFunc("POST /v1/fence/test", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[FenceTestRequest](w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		checks, err := n.FenceTest(r.Context(), req)
		answer(w, checks, err)
	})
	mux.HandleFunc("POST /v1/fence/off", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[FenceOffRequest](w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		a, err := n.FenceOff(r.Context(), req)
		answer(w, a, err)
	})
	mux.HandleFunc("POST /v1/maintenance", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[MaintenanceRequest](w, r)
		if err == nil {
			err = n.Maintenance(r.Context(), req)
		}
		answer(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /v1/fence/unfence", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[UnfenceRequest](w, r)
		if err == nil {
			err = n.FenceUnfence(r.Context(), req)
		}
		answer(w, struct{}{}, err)
	})
	mux.HandleFunc("POST /v1/fence/confirm", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[ConfirmRequest](w, r)
		if err == nil {
			err = n.FenceConfirm(r.Context(), req)
		}
		answer(w, struct{}{}, err)
	})
	ledgerRoutes(mux, n)
	mux.HandleFunc("POST /v1/cluster", func(w http.ResponseWriter, r *http.Request) {
		req, err := body[ClusterRequest](w, r)
		if err != nil {
			answer(w, nil, err)
			return
		}
		a, err := n.ChangeCluster(r.Context(), req)
		answer(w, a, err)
	})
	return mux
}

func body[T any](w http.ResponseWriter, r *http.Request) (T, error) {
	var v T
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, &Error{What: fmt.Sprintf("malformed request: %v", err)}
	}
	return v, nil
}

func answer(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			e = &Error{What: err.Error()}
		}
		w.WriteHeader(http.StatusConflict)
		v = e
	}
	// The only failure left is a client that went away.
	_ = json.NewEncoder(w).Encode(v)
}

// watch streams one Status per line until the client leaves.
func watch(w http.ResponseWriter, r *http.Request, n Node) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	flush := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	told := false
	err := n.Watch(r.Context(), func(s Status) error {
		told = true
		return errors.Join(enc.Encode(s), flush.Flush())
	})
	if !told && err != nil { // else the stream's end says it all
		answer(w, nil, err)
	}
}
