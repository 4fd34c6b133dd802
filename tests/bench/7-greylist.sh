# 7-greylist - decisions of greylisting without the protocol around them, and how long removing 100,000 expired records holds one up
. ../integration/lib.sh
. ../integration/lib_pg.sh
. ../integration/lib_grey.sh
. ./lib.sh

N=${BENCH_GREYLIST_RECORDS:-100000}
vouch_make m greylist_delay=1s greylist_retry_window=1m greylist_expire_time=1h greylist_pending_limit=0 greylist_map=
pg_make one
vouch_pg d one greylist_delay=1s greylist_retry_window=1m greylist_expire_time=1h greylist_pending_limit=0 \
    address_verify_cache_cleanup_interval=1s

# known WORKER - one sender has passed
known() {
	grey "$1" "ask 192.0.2.25 unknown known@known.test bob.builder@example.com"
	passes() { grey "$1" "ask 192.0.2.25 unknown known@known.test bob.builder@example.com"; case $GREY in retry* | known*) ;; *) return 1 ;; esac }
	wait_for 5 passes "$1"
}
figures() { printf '  %-50s %10s %8s %8s %10s\n' "$1" "$(is rate "$GREY")" "$(is us_p50 "$GREY")" "$(is us_p99 "$GREY")" "$(is us_max "$GREY")"; }

grey_start a m
known a
printf '\n%-52s %10s %8s %8s %10s\n' "decisions of one worker, without the protocol" "per s" "p50 us" "p99 us" "max us"
grey a "load known 200000"
figures "known sender"
grey a "load new $N"
figures "new triplets, no database"

# without a pause, lines for the log come faster than a disk takes them, and each of its halts would count: without a log from here on
grey_stop a
GREY_LOG=/dev/null
grey_start a m

# local: all of them expire at the same time, a minute later
expired() { [ $(($(date +%s) - begun)) -gt 62 ]; }
begun=$(date +%s)
wait_for 90 expired
# worse WORKER - load, and remember the longest time, and the longest processor time of a turn: what it took, and what it would
# take on a machine that has nothing else to do
worse() {
	grey "$1" "load known 100000"
	worst=$(printf '%s\n' "$worst" "$(is us_house_max "$GREY")" "$(is us_max "$GREY")" | sort -n | tail -n 1)
	worst_cpu=$(printf '%s\n' "$worst_cpu" "$(is us_house_cpu_max "$GREY")" | sort -n | tail -n 1)
}
worst=0 worst_cpu=0
cleared() {
	worse a
	grey a count
	[ "$(is pending "$GREY")" -lt 1000 ]
}
wait_for 300 cleared
printf '  %-50s %10s %8s %8s %10s   %s\n' "while $N expired records are removed here" "" "" "" "$worst" "$(at_most "$worst" 10000), cpu $worst_cpu"
grey_stop a

# in the database
sql one "INSERT INTO vouch_greylist (id, begun, seen, tries, passed, forgot, changed, origin, members, client, sender, recipient)
    SELECT 'T' || rpad('x' || n, 22, 'x'), 1, 1, 1, 0, 0, n, 1, '', '192.0.2.0/24', 'sender@example.org', 'recipient@example.com'
    FROM generate_series(1, $N) AS n"
grey_start b d
wait_for 20 is_db b up
known b
worst=0 worst_cpu=0
rows_gone() { [ "$(sql one "SELECT count(*) FROM vouch_greylist WHERE id LIKE 'Tx%'")" = 0 ]; }
removed() {
	worse b
	rows_gone
}
wait_for 120 removed
printf '  %-50s %10s %8s %8s %10s   %s\n' "while $N expired rows are removed from the database" "" "" "" "$worst" "$(at_most "$worst" 10000), cpu $worst_cpu"
grey b "load new 2000"
figures "new triplets, one after the other, with the database"
