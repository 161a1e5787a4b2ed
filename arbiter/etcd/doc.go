// Package etcd keeps the ledger (package arbiter) on an etcd cluster, v3 API, server 3.4 and later.
//
// It owns the layout of the keys, the transactions, the connections to the endpoints, and the doubt
// whether this etcd is still the one it was. It doesn't know what the commands mean (arbiter),
// judges nobody by time (claim), and uses no etcd lease: a lease expires by a server's clock, is
// prolonged by every change of leader, and deposed leaders were seen to acknowledge renewals.
//
// # A command
//
// A command is applied to a copy of the ledger (arbiter.Apply), and the difference is written in one
// transaction, if no key that the command's outcome depends on (needsOf) has changed since. So a
// beat depends on its own node's key only, and beats of two nodes never meet. Otherwise the
// transaction's answer brings the change along, and the command is applied again. A refusal is
// believed only of a ledger that was read, linearizably, after the command was proposed.
//
// An attempt that isn't answered in time is made again at another endpoint, with the same
// conditions. That is safe, because its own writes break them: at most one of them is carried out,
// and once one was answered, the others never will be. Each value names the operations that wrote it
// last, which tells whether the lost one was carried out.
//
// # Keys
//
// Everything is JSON, below <prefix><cluster>/v1/ (the prefix is /solevip/ unless set otherwise):
//
//	meta          the schema, the ledger's id, the etcd cluster that it was made on, confirmations
//	node/<name>   {"boot":{...},"beat":1234,"fenced":false,"ops":[...]}
//	group/<name>  {"epoch":7,"holder":{...},"suspect":{...},"protection":"fence",...,"ops":[...]}
//	shared/<name> {"shared":"...","ops":[...]}: what the node's registration said of its file
//	device/<name> {"devices":{...},"ops":[...]}: whose power the node's fence devices cut
//	fence/<n>     {"target":{...},"by":{...},"state":"off",...,"ops":[...]}; n counts up, with leading zeros
//
// etcdctl get --prefix /solevip/orders/v1/ shows all of it. What is written by hand, or isn't
// understood, makes every node refuse with the name of the key.
//
// A beat is a write of some 200 bytes, and etcd keeps every revision until it is compacted: run it with
// --auto-compaction-mode=periodic --auto-compaction-retention=1h, or whatever else relies on it does it.
// A leader's death costs etcd up to two election time-outs (1 s each by default), which ttl - beat -
// margin must cover: 4 s is the least ttl to go with the defaults, 3 s with --election-timeout=500.
//
// A record's index is the revision that it was read at, plus meta's base, which only a confirmation
// moves.
//
// # A ledger that went back
//
// An etcd that is restored from a backup, or emptied, forgets beats, holders and epochs that nodes
// have acted on. Each node remembers, in memory and in Dir/etcd.json, what it saw last; when a
// linearizable read shows an older beat or epoch, a smaller revision, another ledger's id or another
// etcd cluster, it proposes and shows nothing more, so that every holder stops at its deadline, and
// says so until an operator confirms ([Ledger.Confirm]). A confirmation makes every former holder,
// as the ledger or this node's own memory has it, a suspect, and raises the epochs beyond any that
// may have been given out. The other nodes follow a confirmed ledger by themselves.
//
// A node that meets a ledger for the first time waits a little longer than the ttl before its first
// Take: if the ledger is new because etcd was emptied, whoever held something has stopped by then.
package etcd
