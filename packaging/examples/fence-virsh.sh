#!/bin/sh
# Fence device for virtual machines under libvirt, reached over ssh.
#
#   fencing: {db1: {levels: [[{script: {path: /etc/solevip/fence-virsh.sh, args: [hypervisor1, db1-domain]}}]]}}
#
# Run as: fence-virsh.sh HOST DOMAIN off|on|status. Exit code 0: done (status: on); 2 from status: off; anything
# else: unknown. "destroy" pulls the plug; a shutdown that the guest may refuse proves nothing.
set -eu
host=$1 domain=$2 action=$3

virsh() { ssh -o BatchMode=yes -o ConnectTimeout=3 "$host" virsh --connect qemu:///system "$@"; }

case $action in
off)
	virsh destroy "$domain" >/dev/null
	;;
on)
	virsh start "$domain" >/dev/null
	;;
status)
	# Only the literal answer counts: a host that can't be reached has not said "off".
	case $(virsh domstate "$domain") in
	"shut off") exit 2 ;;
	running | paused | "in shutdown" | idle | pmsuspended) exit 0 ;;
	*) exit 1 ;;
	esac
	;;
*)
	exit 1
	;;
esac
