#!/bin/sh
# Installs what the demo and the tests use from Debian or Ubuntu, if it is missing, and says so.
# Nothing of it is needed to run solevip itself.
set -eu

# command=package
needs="ip=iproute2 nft=nftables fence_ipmilan=fence-agents ping=iputils-ping ps=procps ipmi_sim=openipmi ipmitool=ipmitool keepalived=keepalived tcpdump=tcpdump tshark=tshark
	mariadbd=mariadb-server-core mariadb=mariadb-client-core"

missing=
for need in $needs; do
	command -v "${need%%=*}" >/dev/null 2>&1 || missing="$missing ${need#*=}"
done
if ! command -v go >/dev/null 2>&1; then
	echo "setup: Go is missing: install the version that go.mod names, then try again" >&2
	exit 1
fi
if [ -z "$missing" ]; then
	echo "setup: nothing to install"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: missing:$missing; run as root, or: sudo apt-get install$missing" >&2
	exit 1
fi
echo "setup: installing from this system's package sources:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	cat "$log" >&2
	rm -f "$log"
	exit 1
fi
rm -f "$log"
# The tests start servers of their own; a system-wide one that was just installed would take etcd's port.
case $missing in
*etcd-server*) systemctl disable --now etcd >/dev/null 2>&1 || true ;;
esac
echo "setup: done"
