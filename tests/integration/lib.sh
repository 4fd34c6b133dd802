# tests/integration/lib.sh - what the integration tests share; sourced by each of them
# A test has a directory of its own, $T, that goes away with everything started in it. It listens on $LO, a loopback address
# that no other test uses (the whole of 127/8 is local), so fixed ports do no harm. Nothing is waited for with a bare sleep.

set -u
umask 022
PATH=$PATH:/usr/sbin:/sbin
BIN=${VOUCH_BIN:?} LIBEXEC=${VOUCH_LIBEXEC:?} TOOLS=${VOUCH_TOOLS:?}
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d "${TMPDIR:-/tmp}/vouch-it.XXXXXXXX") || exit 1
chmod 755 "$T"				# mail_owner must be able to pass
LO=127.$((64 + $$ / 65536 % 64)).$(($$ / 256 % 256)).$(($$ % 256))

# at_exit COMMAND - run at the end, last one first
at_exit_commands=
at_exit() { at_exit_commands="$1
$at_exit_commands"; }
lib_exit() {
	lib_status=$?
	trap '' TERM INT HUP PIPE
	trap - EXIT
	if [ $lib_status != 0 ] && [ $lib_status != 77 ]; then
		lib_show_logs
		eval "${TEST_ON_FAIL-}"		# to look around before all is taken down
	fi
	eval "$at_exit_commands"
	rm -rf "$T"
	exit $lib_status
}
trap lib_exit EXIT
trap 'exit 143' TERM INT HUP PIPE

lib_show_logs() {
	for lib_log in "$T"/*.log "$T"/*/*.log "$T"/*/log/*.log; do
		[ -s "$lib_log" ] || continue
		echo "--- the end of $lib_log"
		tail -n "${TEST_LOG_LINES:-25}" "$lib_log"
	done
}

fail() { echo "FAIL: $*"; exit 1; }
skip() { echo "$*"; exit 77; }
note() { echo "$*"; }

# need_root, need_postfix - what a test cannot do without
need_root() { [ "$(id -u)" = 0 ] || skip "needs root"; }
need_postfix() {
	need_root
	command -v postfix >/dev/null 2>&1 && command -v smtp-sink >/dev/null 2>&1 || skip "needs Debian's package postfix"
	id postfix >/dev/null 2>&1 || skip "needs the user postfix"
}

# wait_for SECONDS COMMAND... - until the command succeeds; fails the test when it does not in time
wait_for() {
	lib_wait_s=$1
	shift
	try_for "$lib_wait_s" "$@" || fail "not within $lib_wait_s s: $*"
}
# try_for - the same, returning 1 instead
try_for() {
	lib_deadline=$(($(now_ms) + $1 * 1000))
	shift
	until "$@"; do
		[ "$(now_ms)" -lt $lib_deadline ] || return 1
		sleep 0.05
	done
}
now_ms() { date +%s%3N; }

# is FIGURE LINE - the value of FIGURE in a line of name=value
is() { printf '%s\n' "$2" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p"; }

# want WHAT GOT PATTERN - a shell pattern
want() {
	# shellcheck disable=SC2254
	case $2 in
	$3)	;;
	*)	fail "$1: got \"$2\", want \"$3\"" ;;
	esac
}

# gone PID - it has ended
gone() { ! kill -0 "$1" 2>/dev/null; }
# stop_pid PID - end it, with force after 5 s
stop_pid() {
	[ "$1" != 0 ] && kill "$1" 2>/dev/null || return 0
	try_for 5 gone "$1" || kill -9 "$1" 2>/dev/null
}

# vload ARGUMENT... - the load generator; the line of figures is in $LOAD
vload() {
	LOAD=$("$TOOLS/vload" "$@")
	lib_vload=$?
	LOAD=$(printf '%s\n' "$LOAD" | tail -n 1)
	return $lib_vload
}
# ask SOCKET ADDRESS - one query: "STATUS TEXT"
ask() { "$TOOLS/vload" -s "$1" -A "$2" -p -t "${3:-5}" | head -n 1; }
# answers SOCKET ADDRESS PATTERN - whether one query's answer matches; for wait_for
answers() {
	lib_answer=$(ask "$1" "$2")
	# shellcheck disable=SC2254
	case $lib_answer in
	$3)	return 0 ;;
	esac
	return 1
}

# log_clean LOG [PATTERN] - no process has ended as it should not, nor does a line match PATTERN; a sanitizer's find shows as
# an exit status
log_clean() {
	! grep -E "fatal:|panic:|exit status|killed by signal ([^9]|9.)${2:+|$2}" "$1" || fail "complaints in $1"
}

# ---- a private vouch ----
# vouch_make NAME [PARAMETER=VALUE...] - an instance in $T/NAME that replies at once, not started; its log: vouch_log
vouch_make() {
	lib_name=$1
	shift
	"$BIN/vouch" init "$T/$lib_name" >"$T/$lib_name.init" 2>&1 || fail "vouch init: $(cat "$T/$lib_name.init")"
	# no probe(8): tests take the probes themselves, or call vouch_probe
	sed -i '/^cleanup[ 	]/d' "$T/$lib_name/etc/master.cf"
	sed -i '/^cleanup_prefork_limit/d' "$T/$lib_name/etc/main.cf"
	vouch_set "$lib_name" address_verify_hold_time=0s "$@"
}
# vouch_set NAME PARAMETER=VALUE... - change its main.cf
vouch_set() {
	lib_cf=$T/$1/etc/main.cf
	shift
	for lib_setting do
		sed -i "/^${lib_setting%%=*} *=/d" "$lib_cf"
		echo "${lib_setting%%=*} = ${lib_setting#*=}" >>"$lib_cf"
	done
}
# vouch_probe NAME [PARAMETER=VALUE...] - with probe(8) as its submitter; before it is started
vouch_probe() {
	echo 'cleanup    unix    n       -       n       -       1       probe' >>"$T/$1/etc/master.cf"
	vouch_set "$1" cleanup_prefork_limit=1
	vouch_set "$@"
}
# vouch_workers NAME N - exactly so many verify workers, also when they are crowded
vouch_workers() {
	vouch_set "$1" verify_prefork_limit="$2"
	sed -i "s/^\\(verify .*[^0-9]\\)[0-9][0-9]*\\([^0-9]*verify\\)\$/\\1$2\\2/" "$T/$1/etc/master.cf"
	grep -q "^verify .*[^0-9]$2[^0-9]*verify\$" "$T/$1/etc/master.cf" || fail "master.cf: no process limit to change"
}
vouch_log() { echo "$T/$1/log/vouch.log"; }
vouch_start() {
	at_exit "vouch_stop $1"
	"$BIN/vouch" -c "$T/$1/etc" start >"$T/$1.start" 2>&1 || fail "vouch start: $(cat "$T/$1.start")"
}
vouch_stop() {
	"$BIN/vouch" -c "$T/$1/etc" status >/dev/null 2>&1 || return 0
	"$BIN/vouch" -c "$T/$1/etc" stop >/dev/null 2>&1 || "$BIN/vouch" -c "$T/$1/etc" abort >/dev/null 2>&1
}
vouch_reload() { "$BIN/vouch" -c "$T/$1/etc" reload; }
# vouch_stat NAME COUNTER - from vouch stats; a counter of the cache file is called cache_...
vouch_stat() { "$BIN/vouch" -c "$T/$1/etc" stats | awk -v name="$2" '$1 == name { print $2 }'; }
# counted NAME COUNTER N - a counter has reached N; for wait_for
counted() { [ "$(vouch_stat "$1" "$2")" -ge "$3" ]; }
# verify_socket NAME - its verify service
verify_socket() { echo "$T/$1/queue/private/verify"; }

# workers QUEUE_DIRECTORY NAME - pids of programs of this name that run in this queue directory, chrooted or not
workers() {
	for lib_proc in $(find /proc/[0-9]* -maxdepth 1 -name exe \( -lname "*/$2" -o -lname "*/$2 (deleted)" \) 2>/dev/null); do
		lib_proc=${lib_proc%/exe}
		[ "$(readlink "$lib_proc/cwd" 2>/dev/null)" != "$1" ] || echo "${lib_proc#/proc/}"
	done
}

# ---- a scripted cleanup service ----
# cleanupd_start NAME LOG OPTION... - serves public/cleanup of vouch instance NAME; probes go to $T/LOG.probes, results back to NAME
cleanupd_start() {
	lib_name=$1 lib_probes=$T/$2.probes
	shift 2
	: >"$lib_probes"
	: >"$T/cleanupd.out"			# or the "ready" of the one before is taken for ours
	"$TOOLS/cleanupd" --log "$lib_probes" --verify "$(verify_socket "$lib_name")" "$@" \
	    "$T/$lib_name/queue/public/cleanup" >"$T/cleanupd.out" 2>>"$T/cleanupd.log" &
	CLEANUPD=$!
	at_exit "stop_pid $CLEANUPD"
	wait_for 5 grep -q ready "$T/cleanupd.out"
}
cleanupd_stop() {
	stop_pid "$CLEANUPD"
	wait "$CLEANUPD" 2>/dev/null
}
# probed LOG ADDRESS TIMES - so many probes for the address have arrived; for wait_for
probed() { [ "$(cut -d ' ' -f 2 "$T/$1.probes" | grep -c -x -F -e "$2")" -ge "$3" ]; }
probed_in_all() { [ "$(wc -l <"$T/$1.probes")" -ge "$2" ]; }
