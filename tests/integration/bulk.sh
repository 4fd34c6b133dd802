# bulk - vouch verify: 10,000 addresses over probe(8) and a scripted MX host; killed in the middle and continued; the service
# reloaded, stopped and started under it; every answer right, in order, none lost, none twice
. ./lib.sh
. ./lib_probe.sh

dnsd_start "good.test MX 10 mx.good.test" "mx.good.test A $LO"
mxd_start a "$LO" 2525 -p -d 10 -r 'bad=550 5.1.1 no such user'
vouch_make v address_verify_hold_time=1s
vouch_probe v probe_dns_servers="$DNS" probe_smtp_port=2525 probe_reject_reserved_mx=no smtp_tls_security_level=none \
    relayhost="[$LO]:2525" address_verify_pending_request_limit=20000 probe_own_host_concurrency_limit=50 \
    probe_own_destination_concurrency_limit=50
verify() { "$BIN/vouch" -c "$T/v/etc" verify "$@"; }
verify_bg() { exec "$BIN/vouch" -c "$T/v/etc" verify "$@"; }	# with "&"; $! is its own process

# small ones first: each form of a list, from a file and from standard input, and the exit status of each kind of answer
vouch_start v
printf 'good@good.test\n' >"$T/list"
verify -f "$T/list" >"$T/out" 2>"$T/err" || fail "exit $?: $(cat "$T/err")"
want "answers" "$(cat "$T/out")" "address,status,code,reason
good@good.test,deliverable,0,250 2.1.5 Ok"
printf 'name,email\n"Doe, Ann",good@good.test\nBob,bad@good.test\nNobody,\n' | verify -f - --json >"$T/out" 2>"$T/err"
want "exit status" $? 1
want "bad line said" "$(head -n 1 "$T/err")" "vouch: -:4: no address"
want "summary" "$(tail -n 1 "$T/err")" "vouch: addresses=3 deliverable=1 deferred=0 undeliverable=1 in_progress=0 malformed=1 refused=0 no_answer=0 known_before=0"
want "answers" "$(cat "$T/out")" '{"address":"good@good.test","status":"deliverable","code":0,"reason":"250 2.1.5 Ok"}
{"address":"bad@good.test","status":"undeliverable","code":2,"reason":"host *550 5.1.1 no such user*"}
{"address":"Nobody,","status":"malformed","code":-2,"reason":"-:4: no address"}'
printf '{"email":"good@good.test"}\n{"email":7}\n' | verify -f - >"$T/out" 2>/dev/null
want "exit status" $? 1
want "answers" "$(tail -n 1 "$T/out")" '"{""email"":7}",malformed,-2,-:2: the address is no string'
verify -f "$T/nowhere" >"$T/out" 2>&1
want "no list: exit status" $? 1
want "no list" "$(cat "$T/out")" "vouch: $T/nowhere: No such file or directory"
verify -f "$T/list" -o "$T/list" >"$T/out" 2>&1
want "list is output: exit status" $? 1
want "list" "$(cat "$T/list")" good@good.test
verify -f "$T/list" -p 0 >"$T/out" 2>&1
want "usage: exit status" $? 2
printf 'x,y\n1,2\n' | verify -f - --column z -o "$T/none" >"$T/out" 2>&1
want "no column: exit status" $? 1
want "no column" "$(cat "$T/out")" "vouch: -:1: no column 'z' in the header"
if [ -w /dev/full ]; then
	verify -f "$T/list" >/dev/full 2>"$T/err"
	want "full disk: exit status" $? 75
	grep -q 'standard output: No space left' "$T/err" || fail "full disk: $(cat "$T/err")"
fi

# the list: every fourth does not exist, every tenth stands there twice, some lines are no addresses
awk 'BEGIN {
	for (i = 1; i <= 9000; i++) {
		a = (i % 4 == 0 ? "bad" : "u") i "@good.test"
		print a
		if (i % 10 == 0) print a
		if (i % 90 == 0) print "line " i " is no address"
	}
}' >"$T/list"
want "lines" "$(wc -l <"$T/list")" 10000
awk '/ / { print $0 ",malformed,-2"; next } /^bad/ { print $0 ",undeliverable,2"; next } { print $0 ",deliverable,0" }' \
    "$T/list" >"$T/right"
right() {
	want "lines of output" "$(wc -l <"$1")" 10001
	tail -n +2 "$1" | cut -d , -f 1-3 | cmp -s - "$T/right" || fail "$1: wrong answers: $(tail -n +2 "$1" | cut -d , -f 1-3 |
	    diff - "$T/right" | head -n 5)"
}

# killed twice in the middle, a half line at the end, reloaded, the service killed: the output is what one run would have made
lines() { [ -f "$T/out.csv" ] && [ "$(wc -l <"$T/out.csv")" -ge "$1" ]; }
begin=$(now_ms)
for at in 1000 4000; do
	verify_bg -f "$T/list" -o "$T/out.csv" -p 50 2>"$T/err" &
	verify=$!
	wait_for 30 lines $at
	kill -9 $verify
	wait $verify 2>/dev/null
	[ "$(wc -l <"$T/out.csv")" -lt 10001 ] || fail "too late to kill it"
	truncate -s -7 "$T/out.csv"
	at=$(wc -l <"$T/out.csv")
	note "killed with $at lines written"
done
verify_bg -f "$T/list" -o "$T/out.csv" -p 50 2>"$T/err" &
verify=$!
wait_for 30 lines 6000
vouch_reload v >/dev/null || fail "reload"
kill -9 $(workers "$T/v/queue" verify) 2>/dev/null
wait $verify
status=$?
note "$(($(now_ms) - begin)) ms in all: $(tail -n 1 "$T/err")"
want "exit status" $status 1
right "$T/out.csv"
known=$(is known_before "$(tail -n 1 "$T/err")")
want "known before" "$known" "$((at - 1))"
[ "$(is no_answer "$(tail -n 1 "$T/err")")" = 0 ] || fail "some got no answer"

# once more: nothing is asked again, nothing changes
cp "$T/out.csv" "$T/kept"
before=$(vouch_stat v queries)
verify -f "$T/list" -o "$T/out.csv" 2>"$T/err"
want "exit status" $? 1
cmp -s "$T/out.csv" "$T/kept" || fail "a complete output was changed"
want "known before" "$(is known_before "$(tail -n 1 "$T/err")")" 10000

# the service goes away for good: stops with 75, what is written is right, and it can be continued
mkfifo "$T/half"
verify_bg -f - -o "$T/json" --json -p 50 -t 2 <"$T/half" 2>"$T/err" &
verify=$!
exec 9>"$T/half"
head -n 5000 "$T/list" >&9
jlines() { [ -s "$T/json" ]; }
wait_for 30 jlines
vouch_stop v
tail -n +5001 "$T/list" >&9 2>/dev/null
exec 9>&-
wait $verify
want "service gone: exit status" $? 75
grep -q "see 'vouch status'" "$T/err" || fail "service gone: $(cat "$T/err")"
! grep -q '"no answer"' "$T/json" || fail "answers were made up"
verify -f "$T/list" -o "$T/json" --json 2>"$T/err"
want "service not there: exit status" $? 75
vouch_start v
verify -f "$T/list" -o "$T/json" --json 2>"$T/err"
want "service back: exit status" $? 1
want "lines of JSON" "$(wc -l <"$T/json")" 10000
sed 's/^{"address":"\([^"]*\)","status":"\([^"]*\)","code":\([-0-9]*\),.*/\1,\2,\3/' "$T/json" | cmp -s - "$T/right" ||
    fail "wrong answers in JSON"

# standard input that comes slowly is waited for, and answers are written as they come
mkfifo "$T/fifo"
verify_bg -f - <"$T/fifo" >"$T/out" 2>"$T/err" &
verify=$!
exec 8>"$T/fifo"
echo u1@good.test >&8
first() { grep -q '^u1@good.test,deliverable' "$T/out"; }
wait_for 10 first
kill -TERM $verify
wait $verify
want "stopped by a signal: exit status" $? 75
exec 8>&-

# memory does not grow with the list (what a sanitizer makes needs more than this from the start)
limited() { sh -c 'ulimit -v 60000; exec "$@"' sh "$BIN/vouch" -c "$T/v/etc" "$@"; }
if limited -h >/dev/null 2>&1; then
	seq 400000 | sed 's/.*/u1@good.test/' >"$T/long"
	limited verify -f "$T/long" -o "$T/long.out" 2>"$T/err" || fail "exit $?: $(cat "$T/err")"
	want "lines" "$(wc -l <"$T/long.out")" 400001
fi
vouch_stop v
log_clean "$(vouch_log v)" 'killed by signal [^9]'
