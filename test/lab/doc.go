// Package lab is a cluster in network namespaces on one machine, to try solevip and to test it
// with real packets: two members, an arbiter, a client, and a simulated BMC for each member, on
// one Ethernet switch that is a namespace of its own, so that the machine's own network gets
// nothing but the names of the namespaces.
//
// It owns the topology ([Create], [Open], [Lab.Destroy]), the power of the simulated machines and
// what happens to the daemons on them ([Lab.PowerOff], [Lab.Kill], [Lab.Freeze]), the faults of
// the network ([Lab.Cut]), and the judge: an [Observer] that asks every node, by its own MAC
// address, whether it answers for the VIP, and that asks as a client does. The judge shares no code with
// solevip and never looks at what a daemon says about itself.
//
// A lab's state is in files, so that each command of cmd/solevip-lab, a BMC's power switch and a test see
// the same one. It does not know how solevip decides anything; it runs its binary, or keepalived's, by the
// command line that users have. It runs on Linux, as root.
package lab
