#!/bin/sh
# chassis NAME get PARM... | set PARM VALUE ...
# What ipmi_sim calls (its chassis_control): applies the faults that are files beside this
# script, logs commands, and hands the rest to the power program.
home=$(dirname "$0") name=$1 op=$2
shift 2

power() {
	[ -e "$home/stuck" ] && return 0
	[ -e "$home/refuse" ] && exit 1
	if [ -e "$home/slow" ]; then
		(sleep "$(cat "$home/slow")" && eval "$(cat "$home/program") \"\$name\" set power $1") </dev/null >/dev/null 2>&1 &
	else
		eval "$(cat "$home/program") \"\$name\" set power $1" >/dev/null || exit 1
	fi
}

case $op in
get)
	for parm; do
		case $parm in
		power) eval "$(cat "$home/program") \"\$name\" get power" || exit 1 ;;
		boot) echo boot:default ;;
		*) echo "unknown parameter $parm" && exit 1 ;;
		esac
	done
	;;
set)
	while [ $# -gt 1 ]; do
		echo "set $1 $2" >>"$home/commands"
		case $1 in
		power) power "$2" ;;
		reset) power 0 && power 1 ;;
		boot | identify | shutdown) ;; # a request to the operating system, which ignores it
		*) echo "unknown parameter $1" && exit 1 ;;
		esac
		shift 2
	done
	;;
*) exit 1 ;; # ipmi_sim's "check": no result of an earlier command is pending
esac
