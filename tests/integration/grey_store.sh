# grey_store.sh - greylisting records of two hosts and one database: what one defers the other passes, with the database there and away
# limit: 240
. ./lib.sh
. ./lib_pg.sh
. ./lib_grey.sh

# expect NAME SENDER REASON [RECIPIENT] - one request, and its reason
expect() {
	grey "$1" "ask 192.0.2.25 unknown $2 ${4:-bob@example.com}"
	[ "${GREY% *}" = "$3" ] || fail "$1: $2: got \"$GREY\", want $3"
}
reason() { grey "$1" "ask 192.0.2.25 unknown $2 bob@example.com"; [ "${GREY% *}" = "$3" ]; }
grey_rows() { [ "$(sql one "SELECT count(*) FROM vouch_greylist WHERE $1")" = "$2" ]; }
# aged SECOND - what had begun by then has waited for its delay, on any clock: time(2) is up to a tick behind date. young SECOND - what
# began then or later has not
aged() { [ $(($(date +%s) - $1)) -gt 3 ]; }
young() { [ "$(date +%s)" -le "$1" ]; }

pg_make one
for h in a b; do
	vouch_pg $h one greylist_delay=3s greylist_retry_window=1m greylist_cache_size=4M address_verify_sync_interval=200ms \
	    greylist_auto_allow_domain_count=0 greylist_expire_time=1h address_verify_cache_cleanup_interval=2s
done
grey_start a a
wait_for 20 is_db a up
secret() { [ "$(sql one "SELECT members FROM vouch_greylist WHERE id = '!secret'")" = "$(cat "$T/$1"/data/greylist_secret 2>/dev/null)" ]; }
wait_for 10 secret a
grey_start b b
wait_for 20 is_db b up
wait_for 10 secret b
want "mode of the secret" "$(stat -c %a "$T/a/data/greylist_secret")" 600

# deferred on one host, early on the other, then good there, known on the first
expect a one@x.test new
begun=$(date +%s)
wait_for 5 grey_rows "id LIKE 'T%' AND sender = 'one@x.test' AND recipient = 'bob@example.com' AND client = '192.0.2.0/24'" 1
expect b one@x.test early
wait_for 10 aged "$begun"
expect b one@x.test retry
wait_for 5 reason a one@x.test known-sender
wait_for 5 grey_rows "id LIKE 'T%' AND passed > 0 AND tries = 3" 1
wait_for 5 grey_rows "id LIKE 'C%'" 1
want "kinds" "$(sql one "SELECT string_agg(left(id, 1), '' ORDER BY id) FROM vouch_greylist WHERE id > 'A'")" CST

# one host, two workers; two hosts at the same moment
grey_start aa a
wait_for 20 is_db aa up
tell a "ask 192.0.2.25 unknown two@x.test bob@example.com"
tell aa "ask 192.0.2.25 unknown two@x.test bob@example.com"
hear a
first=${GREY% *}
hear aa
case $first${GREY% *} in newearly | earlynew) ;; *) fail "two workers: $first and $GREY" ;; esac
tell a "ask 192.0.2.25 unknown three@x.test bob@example.com"
tell b "ask 192.0.2.25 unknown three@x.test bob@example.com"
hear a
first=${GREY% *}
hear b
case $first${GREY% *} in newnew | newearly | earlynew) ;; *) fail "two hosts: $first and $GREY" ;; esac
wait_for 5 grey_rows "id LIKE 'T%' AND sender = 'three@x.test'" 1
wait_for 5 is_clean a
wait_for 5 is_clean b

# the database goes away
expect a four@x.test new
begun=$(date +%s)
wait_for 5 is_clean a
pg_stop one immediate
wait_for 10 is_db a down
wait_for 10 is_db b down
reason b four@x.test 'store-unavailable' || [ "${GREY% *}" = early ] || fail "b: four: $GREY"	# it may have been pulled in time
expect b five@x.test store-unavailable
wait_for 10 aged "$begun"
expect a four@x.test retry
expect a four@x.test known-sender
expect a one@x.test known-sender
expect b one@x.test known-sender
expect b six@x.test store-unavailable
begun=$(date +%s)
grey b count
[ "${GREY##*dirty=}" -ge 2 ] || fail "nothing is kept for the database: $GREY"
# a worker that is killed now takes nothing with it
eval "kill -9 \$grey_pid_b"
grey_stop b
grep -q 'greylisting: the database is out of reach: what this host does not know passes' "$T/b/log/grey.log" || fail "no warning"
want "one warning" "$(grep -c 'database is out of reach' "$T/b/log/grey.log")" 1

# and is back: what was recorded meanwhile is in it, a retry passes on any host
pg_start one
grey_start b b
wait_for 20 is_db b up
wait_for 20 is_db a up
wait_for 20 is_clean a
wait_for 20 is_clean b
wait_for 5 grey_rows "id LIKE 'T%' AND passed = 0 AND seen > 0" 4	# two, three, five, six
wait_for 10 aged "$begun"
expect a six@x.test retry
expect b five@x.test retry
wait_for 5 reason b four@x.test known-sender

# with greylist_fallback_action = greylist this host decides alone
grey_stop b
vouch_set b greylist_fallback_action=greylist
pg_stop one immediate
grey_start b b
wait_for 10 is_db b down
expect b seven@x.test new
begun=$(date +%s)
expect b seven@x.test early
wait_for 10 aged "$begun"
expect b seven@x.test retry
pg_start one
wait_for 20 is_db b up
wait_for 20 is_db a up
wait_for 20 is_clean b
wait_for 10 grep -q 'greylisting: the database is back, [0-9]* requests' "$T/b/log/grey.log"

# a sender is forgotten alone, its triplet that has passed is not: this one passes, another begins
expect b flip@x.test new
begun=$(date +%s)
wait_for 10 aged "$begun"
expect b flip@x.test retry
wait_for 5 is_clean b
sql one "UPDATE vouch_greylist SET begun = 0, seen = 0, forgot = $(date +%s) + 1, changed = $(date +%s%6N), origin = 0 WHERE id LIKE 'S%' AND sender = 'flip@x.test'"
wait_for 10 reason b flip@x.test known-triplet
expect b flip@x.test new carol@example.com

# the database freezes: what is known is decided as always, what is not passes within the time limit
pg_signal one STOP
before=$(now_ms)
expect a one@x.test known-sender
expect a seven@y.test store-unavailable
[ $(($(now_ms) - before)) -lt 3000 ] || fail "answered after $(($(now_ms) - before)) ms"
note "a frozen database: both answers after $(($(now_ms) - before)) ms"
pg_signal one CONT
wait_for 20 is_db a up
wait_for 20 is_db b up
wait_for 20 is_clean a

# vouch greylist: what it says, and what it changes on every host
command() {
	command_host=$1
	shift
	"$BIN/vouch" -c "$T/$command_host/etc" greylist "$@" >"$T/out" 2>&1 || fail "vouch greylist $*: $(cat "$T/out")"
}
begun=$(date +%s)
expect a eight@x.test new
wait_for 5 grey_rows "sender = 'eight@x.test'" 1
command b show 192.0.2.200 eight@x.test bob@example.com
grep -q '^now  *early: deferred, a retry passes in ' "$T/out" || ! young "$begun" || fail "show: $(cat "$T/out")"
command b list --sender Eight@x.test
grep -q '^triplet pending .* 192.0.2.0/24  eight@x.test  bob@example.com$' "$T/out" || fail "list: $(cat "$T/out")"
command b list --known --client 192.0.2.77 --json
grep -q '"kind":"sender","state":"known",.*"sender":"one@x.test"' "$T/out" || fail "list: $(cat "$T/out")"
grep -q '"state":"pending"' "$T/out" && fail "list --known: $(cat "$T/out")"
command b list --older 1d
want "nothing is so old" "$(cat "$T/out")" ""
want "show changes nothing" "$(sql one "SELECT tries FROM vouch_greylist WHERE sender = 'eight@x.test'")" 1
command b show 127.0.0.1 eight@x.test bob@example.com --json
grep -q '"reason":"exempt-network"' "$T/out" || fail "show: $(cat "$T/out")"
command b allow 192.0.2.1 eight@x.test
wait_for 5 reason a eight@x.test known-sender
command b forget --sender eight@x.test
grep -q '^vouch: 2 records forgotten' "$T/out" || fail "forget: $(cat "$T/out")"
forgotten() { grey a "ask 192.0.2.25 unknown eight@x.test carol@example.com"; [ "${GREY% *}" != known-sender ]; }
wait_for 5 forgotten
expect a eight@x.test new
tell a "ask 198.51.100.1 unknown nine@x.test bob@example.com"
hear a
want "a stranger" "${GREY% *}" new
command b allow 198.51.100.200
client_known() { grey a "ask 198.51.100.1 unknown ten@x.test bob@example.com"; [ "${GREY% *}" = known-client ]; }
wait_for 5 client_known
"$BIN/vouch" -c "$T/b/etc" greylist forget >"$T/out" 2>&1
want "forget everything?" $? 2
command b list --local
grep -q '^sender ' "$T/out" || fail "list --local: $(cat "$T/out")"

# rows that cannot be records: said, decided without them, mended by the next result, and not written again and again
spoil() { sql one "UPDATE vouch_greylist SET members = members || '$2' WHERE $1"; }
mended() { grey_rows "$1 AND members ~ '^([0-9a-f]{8},)*\$' AND (left(id, 1) IN ('C', 'D')) = (members <> '')" 1; }
network="id LIKE 'C%' AND client = '203.0.113.0/24'"
ask_spoilt() { grey "$1" "ask 203.0.113.9 unknown $2 bob@example.com"; [ "${GREY% *}" = "$3" ]; }
# spoilt_row NAME CHANGE - a row of a's, changed before b has heard of it: another one where b's regular look was faster
spoilt_row() {
	for spoilt_n in 1 2 3 4 5 6 7 8 9; do
		spoilt=$1$spoilt_n@x.test
		triplet="id LIKE 'T%' AND sender = '$spoilt'"
		ask_spoilt a "$spoilt" new || fail "$spoilt: $GREY"
		begun=$(date +%s)
		wait_for 5 is_clean a
		sql one "UPDATE vouch_greylist SET $2 WHERE $triplet"
		! ask_spoilt b "$spoilt" new || return 0
		[ "${GREY% *}" = early ] || fail "$spoilt: $GREY"
	done
	fail "b knows everything before it is asked"
}
spoilt_row spoilt "members = '00000001,'"
wait_for 5 mended "$triplet"
wait_for 5 is_clean b
wait_for 10 aged "$begun"
wait_for 5 ask_spoilt b "$spoilt" retry
wait_for 5 mended "$network"
spoil "$network" x
ask_spoilt b other@x2.test new || fail "$GREY"
begun=$(date +%s)
wait_for 10 aged "$begun"
wait_for 5 ask_spoilt b other@x2.test retry
wait_for 5 mended "$network"
spoilt_row never 'passed = -1'	# the first time stays
wait_for 5 is_clean b
grep -q 'warning: database vouch at .*: row T.* of vouch_greylist cannot be a record: it is ignored' "$T/b/log/grey.log" ||
    fail "nothing said about a bad row"

# a row with as many members as there is room for: our own cannot get there, and nothing waits for ever
ask_spoilt b other@x3.test new || fail "$GREY"
sql one "UPDATE vouch_greylist SET members = '00000001,00000002,00000003,00000004,00000005,00000006,00000007,00000008,' WHERE $network"
begun=$(date +%s)
wait_for 10 aged "$begun"
wait_for 5 ask_spoilt b other@x3.test retry
wait_for 5 grey_rows "id LIKE 'S%' AND sender = 'other@x3.test'" 1
wait_for 5 is_clean b

# what has expired is removed, and what was never retried is counted; not while a clock is doubtful
if [ "$(cut -d . -f 1 /proc/uptime)" -gt 3700 ]; then
	sql one "INSERT INTO vouch_greylist (id, begun, seen, tries, passed, forgot, changed, origin, members, client, sender, recipient)
	    SELECT 'T' || rpad('x' || n, 22, 'x'), 1, 1, 1, 0, 0, n, 1, '', '', '', '' FROM generate_series(1, 5000) AS n"
	for w in a aa b; do		# whoever does the housework asks at most once a minute whether it is due
		grey_stop $w
	done
	due() { [ "$(sql one "SELECT done < $(date +%s%6N) - 2500000 FROM vouch_lease WHERE name = 'greylist'")" = t ]; }
	wait_for 10 due
	grey_start a a
	wait_for 90 grey_rows "id LIKE 'Tx%'" 0	# its next question may be a minute away
	logs() { cat "$T"/[ab]/log/grey.log; }
	never() { logs | grep -q 'greylist=expired never_retried=50[0-9][0-9]'; }
	wait_for 10 never
	grey_rows "id LIKE 'S%' AND sender = 'six@x.test'" 1 || fail "a known sender was removed"
	grey_rows "id = '!secret'" 1 || fail "the secret was removed"
else
	note "the machine was started less than an hour ago: removal is not tested"
fi
log_clean "$T/a/log/grey.log"
log_clean "$T/b/log/grey.log"
