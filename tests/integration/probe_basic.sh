# probe_basic - vouch without Postfix: MX look-up with a real resolver, scripted MX hosts, verdicts, reload, kill -9
. ./lib.sh
. ./lib_probe.sh

dnsd_start "good.test MX 10 mx1.good.test" "good.test MX 20 mx2.good.test" "mx1.good.test A $LO" "mx2.good.test A $LO" \
    "implicit.test A $LO" "null.test MX 0 ." "dead.test MX 10 mx.dead.test" "mx.dead.test A 127.0.0.99" \
    "broken.test SERVFAIL" "big.test MX 10 mx1.good.test" "big.test TRUNCATE" "many.test MX 10 mx1.good.test" \
    "slow.test MX 10 mx.slow.test" "mx.slow.test A 127.0.0.98"
mxd_start a "$LO" 2525 -r 'bad=550 5.1.1 no such user' -r 'grey=450 4.2.0 greylisted' -r 'policy=550 5.7.1 blocked'
vouch_make p address_verify_hold_time=2500ms
vouch_probe p probe_dns_servers="$DNS" probe_smtp_port=2525 probe_reject_reserved_mx=no probe_domain_rate_limit=0 \
    probe_provider_rate_limit=0 smtp_tls_security_level=none
vouch_start p

verdict p ann@good.test 10 'deliverable (250 2.1.5 Ok)'
verdict p bad@good.test 10 "undeliverable (host mx?.good.test\[$LO\] said: 550 5.1.1 no such user (in reply to RCPT TO command))"
verdict p grey@good.test 10 "*(host mx?.good.test\[$LO\] said: 450 4.2.0 greylisted (in reply to RCPT TO command))"
verdict p ann@implicit.test 10 'deliverable (250 2.1.5 Ok)'
verdict p ann@null.test 10 'undeliverable (Domain null.test does not accept mail (nullMX))'
verdict p ann@nowhere.test 10 'undeliverable (Host or domain name not found. Name service error for name=nowhere.test type=A: Host not found)'
verdict p ann@dead.test 10 '*(connect to mx.dead.test\[127.0.0.99\]:2525: Connection refused)'
verdict p ann@broken.test 15 '*(Host or domain name not found. Name service error for name=broken.test type=MX: Host not found, try again*)'
verdict p ann@big.test 10 'deliverable (250 2.1.5 Ok)'
verdict p 'ann smith@good.test' 10 'deliverable (250 2.1.5 Ok)'
verdict p ann@good.test. 10 'deliverable (250 2.1.5 Ok)'
grep -q 'category=unknown, rule=no-such-address,.* status=undeliverable (host ' "$(vouch_log p)" || fail "no log line for a probe"

# a result that is about us is no verdict; what follows is answered without asking, until the suspension ends
verdict p policy@good.test 10 '*said: 550 5.7.1 blocked*'
verdict p other@good.test 10 '*probing of good.test suspended until *blocked*'
wait_for 5 counted p probe_suspended 1
mxd_stop a
is data "$FIGURES" | grep -qx 0 || fail "DATA was said: $FIGURES"
is odd "$FIGURES" | grep -qx 0 || fail "odd commands: $FIGURES"

# reload while a dialogue is open: it comes to its end, in the old process; the new one serves at once
mxd_start b "$LO" 2525 -d 1500
vouch_set p address_verify_hold_time=0s
vouch_stop p
vouch_start p
"$BIN/vouch" -c "$T/p/etc" query slow1@many.test | grep -q progress || fail "not in progress"
"$BIN/vouch" -c "$T/p/etc" reload || fail "reload"
verdict p slow2@implicit.test 10 'deliverable*'
verdict p slow1@many.test 10 'deliverable*'
[ "$(grep -c 'to=<slow1@many.test>' "$(vouch_log p)")" = 1 ] || fail "asked twice over a reload"
mxd_stop b

# kill -9 with thousands of probes open: the successor takes them over, and every address has its verdict
mxd_start c "$LO" 2525 -d 50 -p
vouch_set p relayhost="[$LO]:2525" address_verify_pending_request_limit=20000 probe_own_host_concurrency_limit=50 \
    probe_own_destination_concurrency_limit=50
vouch_stop p
vouch_start p
vload -s "$(verify_socket p)" -c 8 -n 5000 -K 5000 -A 'k%@own.test' -t 30 || fail "vload: $LOAD"
wait_for 20 counted p probe_received 5000
probe_pid() { pgrep -n -P "$(tr -d " " <"$T/p/queue/pid/master.pid")" -x probe; }
first=$(probe_pid)
open=$(($(counter p probe_received) - $(counter p probe_ok)))
note "kill -9 with $open probes open"
[ "$open" -ge 1000 ] || fail "too few probes open for this test"
kill -9 "$first"
taken_over() { [ "$(grep -c "[0-9][0-9][0-9] probes taken over" "$(vouch_log p)")" -ge 1 ]; }
wait_for 15 taken_over
grep 'probes taken over' "$(vouch_log p)"
begin=$(now_ms)
known() {
	vload -s "$(verify_socket p)" -c 8 -n 5000 -K 5000 -A 'k%@own.test' -t 30
	[ "$(is todo "$LOAD")" = 0 ]
}
wait_for 60 known
note "all 5000 have their verdict $(($(now_ms) - begin)) ms later: $LOAD"
[ "$(is ok "$LOAD")" = 5000 ] || fail "not all are deliverable: $LOAD"
vouch_stop p
log_clean "$(vouch_log p)" 'killed by signal [^9]'
