#!/bin/sh
# Installs what the demo and the tests use from Debian or Ubuntu, if it is missing, and says so.
# Nothing of it is needed to run solevip itself.
set -eu
cd "$(dirname "$0")/.."

# command=package
needs="ip=iproute2 nft=nftables fence_ipmilan=fence-agents ping=iputils-ping arping=iputils-arping ps=procps ipmi_sim=openipmi ipmitool=ipmitool
	keepalived=keepalived tcpdump=tcpdump tshark=tshark mariadbd=mariadb-server-core mariadb=mariadb-client-core"
# The same, but only unpacked here, in bin/tools: to install it would start a service.
unpacked="etcd=etcd-server etcdctl=etcd-client"
PATH=$PATH:/usr/sbin:/sbin:$PWD/bin/tools/usr/bin

lacking() {
	for need in $1; do
		command -v "${need%%=*}" >/dev/null 2>&1 || printf ' %s' "${need#*=}"
	done
}

if ! command -v go >/dev/null 2>&1; then
	echo "setup: Go is missing: install the version that go.mod names, then try again" >&2
	exit 1
fi
install=$(lacking "$needs")
unpack=$(lacking "$unpacked")
if [ -z "$install$unpack" ]; then
	echo "setup: nothing to install"
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: missing:$install$unpack; run as root" >&2
	exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
quietly() {
	if ! "$@" >>"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		exit 1
	fi
}
quietly apt-get update
if [ -n "$install" ]; then
	echo "setup: installing from this system's package sources:$install"
	quietly apt-get install -y --no-install-recommends $install
fi
if [ -n "$unpack" ]; then
	echo "setup: unpacking into bin/tools:$unpack"
	mkdir -p bin/tools/deb
	for package in $unpack; do
		(cd bin/tools/deb && quietly apt-get download "$package")
		quietly dpkg-deb -x bin/tools/deb/"$package"_*.deb bin/tools
	done
	rm -rf bin/tools/deb
fi
rm -f "$log"
echo "setup: done"
