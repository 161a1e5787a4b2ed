#!/bin/sh
# host NAME get power | set power 0|1
# The built-in simulated host: a session that runs the script boot, with its id in the file pid.
# Cutting its power kills every process of the session.
home=$(dirname "$0")

running() {
	pid=$(cat "$home/pid.host" 2>/dev/null) && [ -n "$pid" ] && pgrep -s "$pid" >/dev/null
}

case "$2 $3 $4" in
"get power ") if running; then echo power:1; else echo power:0; fi ;;
"set power 0")
	running && pkill -KILL -s "$pid"
	rm -f "$home/pid.host"
	;;
"set power 1")
	running && exit 0
	setsid sh -c 'echo $$ >"$1/pid.host"; exec "$1/boot"' sh "$home" </dev/null >>"$home/console" 2>&1 &
	until [ -s "$home/pid.host" ]; do sleep 0.01; done
	;;
*) exit 1 ;;
esac
exit 0
