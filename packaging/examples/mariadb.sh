#!/bin/sh
# Promote and demote hook for MariaDB behind a solevip group. What follows the stage goes to the client.
#
#   hooks:
#     promote: {path: /etc/solevip/mariadb.sh, args: [--defaults-extra-file=/etc/solevip/hook.cnf], timeout: 60s}
#     demote: {path: /etc/solevip/mariadb.sh, args: [--defaults-extra-file=/etc/solevip/hook.cnf]}
#
# The server must start read-only (my.cnf: read_only = ON), so that a machine which was fenced and boots again is
# never writable by itself. With semi-synchronous replication, what a client was told is committed is also on the
# other node when it is promoted.
set -eu

stage=${1:?usage: mariadb.sh promote|demote [client options]}
shift

sql() {
	query=$1
	shift
	mariadb "$@" --batch --skip-column-names --execute "$query"
}

case $stage in
promote)
	# A machine that boots starts its server meanwhile. The hook's time-out is the limit.
	until sql "SELECT 1" "$@" >/dev/null 2>&1; do
		sleep 0.1
	done
	# The former primary was proved harmless before this hook ran: nothing more comes from it. What did
	# come is applied first, so that nothing acknowledged is lost. A broken applier fails the hook.
	sql "STOP SLAVE IO_THREAD" "$@" 2>/dev/null || true
	while :; do
		applier=$(sql "SELECT state FROM information_schema.processlist WHERE user = 'system user' AND command = 'Slave_SQL'" "$@")
		case $applier in
		*"has read all relay log"*) break ;;
		"")
			if sql "SHOW SLAVE STATUS" "$@" | grep -q .; then
				echo "the replica's applier does not run: mend it before this node may be promoted" >&2
				exit 1
			fi
			break
			;;
		esac
		sleep 0.05
	done
	# The epoch is the fencing token: data that has seen a later one must not be opened by this one.
	sql "CREATE DATABASE IF NOT EXISTS solevip;
	     CREATE TABLE IF NOT EXISTS solevip.epoch (name VARCHAR(64) PRIMARY KEY, epoch BIGINT UNSIGNED NOT NULL)" "$@"
	seen=$(sql "SELECT COALESCE(MAX(epoch), 0) FROM solevip.epoch WHERE name = '$SOLEVIP_GROUP'" "$@")
	if [ "$seen" -gt "$SOLEVIP_EPOCH" ]; then
		echo "the data has seen epoch $seen of $SOLEVIP_GROUP, and this is $SOLEVIP_EPOCH" >&2
		exit 1
	fi
	sql "REPLACE INTO solevip.epoch VALUES ('$SOLEVIP_GROUP', $SOLEVIP_EPOCH)" "$@"
	sql "SET GLOBAL read_only = OFF" "$@"
	[ "$(sql "SELECT @@global.read_only" "$@")" = 0 ]
	;;
demote)
	# Idempotent. Setting read_only waits for commits that are under way, so their clients are cut off
	# meanwhile. Replication goes on.
	sql "SET GLOBAL read_only = ON" "$@" &
	setting=$!
	for id in $(sql "SELECT id FROM information_schema.processlist
	                 WHERE user NOT IN ('system user', 'event_scheduler') AND command NOT LIKE 'Binlog Dump%'
	                 AND id <> CONNECTION_ID() AND COALESCE(info, '') NOT LIKE 'SET GLOBAL read_only%'" "$@"); do
		sql "KILL $id" "$@" 2>/dev/null || true
	done
	wait "$setting"
	[ "$(sql "SELECT @@global.read_only" "$@")" = 1 ]
	# The other node is the primary now: follow it again, from where this one's data ends.
	sql "START SLAVE" "$@" 2>/dev/null || true
	;;
esac
