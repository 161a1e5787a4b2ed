// Package raftnode keeps the ledger (package arbiter) on embedded Raft: one durable log per node,
// a proposal from any node, a push of every change to every node.
//
// It owns the agreement and its storage: the log and what happens when the disk stalls or is lost,
// the one port between the nodes and who may say what on it, the forming of a cluster, the
// re-admission of a voter without its disk, and where leadership sits. It doesn't know what the
// commands mean (arbiter), judges nobody by time (claim), and reads no file but its own.
//
// Nothing here is decided by a leadership check or by a clock: a proposal is agreed when it is
// committed, a read goes through a committed barrier. Raft's VerifyLeader is not used; a deposed
// leader was seen to pass it.
//
// Consensus is hashicorp/raft v1.7.3 with raft-boltdb/v2 v2.3.1, the newest official pair that
// builds: raft v1.8.0 needs a go-metrics without the package that raft-boltdb v2.3.1 imports.
package raftnode
