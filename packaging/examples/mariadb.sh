#!/bin/sh
# Promote and demote hook for MariaDB or MySQL behind a solevip group.
#
#   hooks: {promote: /etc/solevip/mariadb.sh, demote: /etc/solevip/mariadb.sh}
#
# The server must start read-only (my.cnf: read_only=ON, and skip_slave_start or skip_replica_start), so
# that a machine which was fenced and boots again is never writable by itself.
# The client's account comes from SOLEVIP_MYSQL_DEFAULTS (an option file), or from the socket's peer.
set -eu

sql() {
	mariadb ${SOLEVIP_MYSQL_DEFAULTS:+--defaults-extra-file="$SOLEVIP_MYSQL_DEFAULTS"} \
		${SOLEVIP_MYSQL_SOCKET:+--socket="$SOLEVIP_MYSQL_SOCKET"} --batch --skip-column-names -e "$1"
}

case ${1:?usage: mariadb.sh promote|demote} in
promote)
	# Stop replicating from the former primary: it was proved harmless before this hook ran. First
	# let what was received be applied, so that nothing acknowledged here is lost.
	sql "STOP SLAVE IO_THREAD" 2>/dev/null || true
	while [ "$(sql "SELECT COUNT(*) FROM information_schema.processlist WHERE user='system user' AND command='Slave_SQL' AND state LIKE 'Reading event%'")" != 0 ]; do
		sleep 0.1
	done
	sql "STOP SLAVE"
	# The epoch is the fencing token: a promote with an older one than the data has seen is late.
	sql "CREATE DATABASE IF NOT EXISTS solevip;
	     CREATE TABLE IF NOT EXISTS solevip.epoch (name VARCHAR(64) PRIMARY KEY, epoch BIGINT UNSIGNED NOT NULL)"
	seen=$(sql "SELECT COALESCE(MAX(epoch), 0) FROM solevip.epoch WHERE name = '$SOLEVIP_GROUP'")
	if [ "$seen" -gt "$SOLEVIP_EPOCH" ]; then
		echo "the data has seen epoch $seen of $SOLEVIP_GROUP, and this is $SOLEVIP_EPOCH" >&2
		exit 1
	fi
	sql "REPLACE INTO solevip.epoch VALUES ('$SOLEVIP_GROUP', $SOLEVIP_EPOCH)"
	sql "SET GLOBAL read_only = OFF"
	[ "$(sql "SELECT @@global.read_only")" = 0 ]
	;;
demote)
	# Idempotent. New writes first, then everybody who may have one open, then make sure.
	sql "SET GLOBAL read_only = ON" &
	locking=$!
	for id in $(sql "SELECT id FROM information_schema.processlist
	                 WHERE user <> 'system user' AND command <> 'Binlog Dump' AND id <> CONNECTION_ID()
	                 AND info NOT LIKE 'SET GLOBAL read_only%'"); do
		sql "KILL $id" 2>/dev/null || true
	done
	wait "$locking"
	[ "$(sql "SELECT @@global.read_only")" = 1 ]
	;;
esac
