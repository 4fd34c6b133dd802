# nodisk.sh - directories on file systems that are full, or read-only: refused in one clear line, nothing half-started
. ./lib.sh
. ./lib_policy.sh
need_root

vouch_make d address_verify_cache_size=1M
V="$BIN/vouch -c $T/d/etc"
at_exit 'kill -9 $(workers "$T/d/queue" master) 2>/dev/null'
mkdir "$T/try"
mount -t tmpfs -o size=16k none "$T/try" 2>/dev/null || skip "may not mount anything here"
umount "$T/try"
# on DIRECTORY OPTIONS - a file system of its own there, for as long as "off" is not said
on() {
	mount -t tmpfs -o "$2,mode=$(stat -c %a "$T/d/$1")" none "$T/d/$1" || fail "mount"
	at_exit "umount -l '$T/d/$1' 2>/dev/null"
}
off() { umount "$T/d/$1" || fail "$1: still in use"; }
# refused CASE TEXT COMMAND... - exit 1, the text in one line, and no master is there
refused() {
	refused_case=$1 refused_text=$2
	shift 2
	timeout 30 "$@" >"$T/said" 2>&1
	want "$refused_case: exit status ($(cat "$T/said"))" $? 1
	grep -F -q -e "$refused_text" "$T/said" || fail "$refused_case: \"$refused_text\" is not in: $(cat "$T/said")"
	note "$refused_case: $(grep -F -e "$refused_text" "$T/said")"
	want "$refused_case: masters" "$(workers "$T/d/queue" master)" ""
}

on queue size=16k
mkdir "$T/d/queue/pid"
dd if=/dev/zero of="$T/d/queue/fill" bs=1k count=100 2>/dev/null
refused "full queue" "no room for a pid: No space left on device; make room in queue_directory $T/d/queue" $V start
rm "$T/d/queue/fill"
$V start >"$T/said" 2>&1 || fail "room was made: $(cat "$T/said")"
$V stop >"$T/said" 2>&1 || fail "stop: $(cat "$T/said")"
off queue
on data size=512k
refused "small disk" "address_verify_cache_size: 1024k more are needed" $V start
off data
on data size=4M
mount -o remount,ro "$T/d/data"
refused "read-only data" "$T/d/data: Read-only file system: mount it for writing" $V check
refused "read-only data" "$T/d/data: Read-only file system: mount it for writing" $V start
off data
on queue size=1M
mount -o remount,ro "$T/d/queue"
refused "read-only queue" "$T/d/queue: Read-only file system: mount it for writing" $V start
off queue

# a log that cannot be written stops nothing
on log size=64k
dd if=/dev/zero of="$T/d/log/fill" bs=1k count=100 2>/dev/null
$V start >"$T/said" 2>&1 || fail "full log: $(cat "$T/said")"
$V update a@example.com ok 250 || fail "full log: update"
want "full log: answer" "$($V query a@example.com)" "a@example.com: deliverable (250)"
$V stop >"$T/said" 2>&1 || fail "full log: stop: $(cat "$T/said")"
off log

# neither does one that is larger than a file may be
yes "a line" | head -c 25000000 >"$(vouch_log d)"
(ulimit -f 20000; exec $V start) >"$T/said" 2>&1 || fail "log at its limit: $(cat "$T/said")"
want "log at its limit: answer" "$($V query a@example.com)" "a@example.com: deliverable (250)"
(ulimit -f 20000; exec $V logrotate) >"$T/said" 2>&1 || fail "log at its limit: logrotate: $(cat "$T/said")"
$V reload >"$T/said" 2>&1 || fail "log at its limit: reload: $(cat "$T/said")"
$V stop >"$T/said" 2>&1 || fail "log at its limit: stop: $(cat "$T/said")"
grep -q 'bytes of log lines could not be written: File too large' "$(vouch_log d)" || fail "log at its limit: nothing is said"

# a file of shared memory that cannot be used costs its use, and the cause is named
rm -f "$T/d/data/verify_cache.vouch"
mkdir "$T/d/data/verify_cache.vouch"
policy_service d policy unix
$V start >"$T/said" 2>&1 || fail "no table: $(cat "$T/said")"
policy_want 'DEFER_IF_PERMIT *' "$T/d/queue/private/policy" client_address=192.0.2.1 client_name=unknown sender=a@x.test recipient=b@x.test
grep -q 'policy.*warning: verify_cache.vouch: cannot be opened: Is a directory: nothing is counted' "$(vouch_log d)" ||
    fail "no table: the cause is not in the log"
$V stop >"$T/said" 2>&1 || fail "no table: stop: $(cat "$T/said")"
