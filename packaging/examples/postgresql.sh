#!/bin/sh
# Promote and demote hook for PostgreSQL behind a solevip group. Runs as root, works as the server's user.
#
#   hooks:
#     promote: {path: /etc/solevip/postgresql.sh, timeout: 60s}
#     demote: {path: /etc/solevip/postgresql.sh, timeout: 2s}
#
# A standby is promoted. A primary is stopped at once and marked as a standby, so that it can only come back by
# following the new primary (after pg_rewind, if it must); the unit must not start it writable at boot.
set -eu

PGDATA=${PGDATA:-/var/lib/postgresql/15/main}
PGBIN=${PGBIN:-/usr/lib/postgresql/15/bin}
PGUSER=${PGUSER:-postgres}

as() { setpriv --reuid="$PGUSER" --regid="$PGUSER" --init-groups "$@"; }

case ${1:?usage: postgresql.sh promote|demote} in
promote)
	if [ "$(as psql -XAtqc 'SELECT pg_is_in_recovery()')" = t ]; then
		as psql -XAtqc 'SELECT pg_promote(wait => true)' | grep -q t
	fi
	[ "$(as psql -XAtqc 'SELECT pg_is_in_recovery()')" = f ]
	;;
demote)
	# Idempotent: a server that is down, or a standby already, is demoted.
	if as "$PGBIN/pg_ctl" -D "$PGDATA" status >/dev/null 2>&1 &&
		[ "$(as psql -XAtqc 'SELECT pg_is_in_recovery()')" = f ]; then
		as "$PGBIN/pg_ctl" -D "$PGDATA" stop -m immediate
	fi
	as touch "$PGDATA/standby.signal"
	;;
esac
