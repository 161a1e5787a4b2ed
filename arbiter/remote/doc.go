// Package remote keeps the ledger of a cluster with the arbiters of another: three or five nodes
// that run the embedded Raft (raftnode) and serve many clusters, each in a space of its own.
//
// It owns the connections to every arbiter, the choice of whom to ask, and the memory of which
// ledger this node has been part of. It has no part in the agreement, stores nothing of it, and
// judges nobody by time (claim). Which space is this node's is not for it to say: the arbiters read
// it from its certificate.
//
// A node is connected to all arbiters, and each tells it regularly whether it leads. It asks the one
// that does; where it can't reach that one, another asks on its behalf. An arbiter that stands still
// is left after one heartbeat.
package remote
