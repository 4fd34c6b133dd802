# smtpcbd - a client in Perl in the manner of qpsmtpd's plugin, smtpcbd, verify and probe, scripted mail servers: verdicts on one
# connection and on 200 at once, one probe for 500 who ask the same, odd clients, reload, stop
. ./lib.sh
. ./lib_probe.sh
command -v perl >/dev/null || skip "needs perl"
perl -MIO::Socket::INET -e 1 2>/dev/null || skip "needs perl's IO::Socket::INET"

P=$LO:4571
# cb one|many ADDRESS... - what the client prints, in $CB
cb() {
	cb_mode=$1
	shift
	CB=$(perl smtpcbd_client.pl "$cb_mode" "$P" "$@" 2>&1) || fail "client: $CB"
}
# cb_want LINE PATTERN - a line of $CB
cb_want() { want "reply $1" "$(printf '%s\n' "$CB" | sed -n "$1p")" "$2"; }
# raw TEXT - send it, end our side, print what comes back
raw() {
	printf "$1" | perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 60) or die "connect: $@\n";
		local $/; print $s <STDIN>; $s->flush; shutdown $s, 1; $SIG{ALRM} = sub { die "no end\n" }; alarm 60; print <$s>;' "$P" 2>&1
}

dnsd_start "good.test MX 10 mx1.good.test" "mx1.good.test A $LO" "null.test MX 0 ." "dead.test MX 10 mx.dead.test" \
    "mx.dead.test A 127.0.0.99" "slow.test MX 10 mx.slow.test" "mx.slow.test A 127.0.0.98" "never.test MX 10 mx1.good.test"
mxd_start a "$LO" 2525 -r 'bad=550 5.1.1 no: such user' -r 'grey=450 4.2.0 greylisted' -r 'mute=silent' -r 'same=+1000 250 2.1.5 Ok'
vouch_make p address_verify_hold_time=2500ms smtpcbd_wait=3s smtpcbd_prefork_limit=1 probe_never_destinations=never.test
vouch_probe p probe_dns_servers="$DNS" probe_smtp_port=2525 probe_reject_reserved_mx=no probe_domain_rate_limit=0 \
    probe_provider_rate_limit=0 smtp_tls_security_level=none probe_host_concurrency_limit=20 \
    probe_destination_concurrency_limit=20 probe_provider_concurrency_limit=20 probe_provider_unknown_limit=1000000
echo "$P inet n - n - 1 smtpcbd" >>"$T/p/etc/master.cf"
vouch_start p

# each kind of answer, fresh, in sequence on one connection; then again, from the cache
for round in fresh known; do
	cb one ann@good.test bad@good.test grey@good.test x@null.test x@nowhere.test x@dead.test mute@good.test x@never.test \
	    postmaster '' 'odd"x@good.test'
	note "$CB"
	cb_want 1 'ann@good.test OK 250 2.1.5 Ok|ann@good.test|*|*'
	cb_want 2 "bad@good.test FAIL 550 5.1.1 no; such user|bad@good.test|mx1.good.test\[$LO\]|*"
	cb_want 3 "grey@good.test TEMPFAIL 450 4.2.0 greylisted|grey@good.test|mx1.good.test\[$LO\]|*"
	cb_want 4 'x@null.test FAIL Domain null.test does not accept mail (nullMX)|x@null.test|*'
	cb_want 5 'x@nowhere.test FAIL Host or domain name not found. *|x@nowhere.test|*'
	cb_want 6 'x@dead.test TEMPFAIL connect to mx.dead.test\[127.0.0.99\];2525; Connection refused|x@dead.test|*'
	cb_want 7 'mute@good.test TEMPFAIL address verification in progress|mute@good.test|*'
	cb_want 8 'x@never.test TEMPFAIL probing of never.test is turned off|x@never.test|*'
	cb_want 9 'postmaster OK our own address|postmaster@*'
	cb_want 10 ' OK null sender||*'
	cb_want 11 'odd"x@good.test OK 250 2.1.5 Ok|"odd\\"x"@good.test|*'
done
since=$(printf '%s\n' "$CB" | sed -n '2s/.*|\([0-9]*\)|[0-9]*$/\1/p')
now=$(date +%s)
[ "$since" -le "$now" ] && [ "$since" -gt $((now - 60)) ] || fail "since: $since, now $now"

# 200 connections at once, each kind of answer among them
ask=
for i in $(seq 40); do
	ask="$ask many$i@good.test bad$i@good.test grey$i@good.test d$i@dead.test s$i@slow.test"
done
vouch_set p smtp_connect_timeout=30s
# shellcheck disable=SC2086
cb many $ask
want "replies" "$(printf '%s\n' "$CB" | wc -l)" 200
for kind in "many OK" "bad FAIL" "grey TEMPFAIL" "d TEMPFAIL" "s TEMPFAIL"; do
	n=$(printf '%s\n' "$CB" | grep -c "^${kind% *}[0-9]*@[a-z.]* ${kind#* } ")
	[ "$n" = 40 ] || fail "$n of 40 replies are $kind: $(printf '%s\n' "$CB" | grep "^${kind% *}[0-9]*@" | head -n 5)"
done

# 500 who ask the same: one probe
ask=
for i in $(seq 500); do
	ask="$ask same@good.test"
done
# shellcheck disable=SC2086
cb many $ask
[ "$(printf '%s\n' "$CB" | grep -c '^same@good.test OK 250')" = 500 ] || fail "not 500 times OK: $(printf '%s\n' "$CB" | sort | uniq -c)"
want "probes for 500 who ask the same" "$(grep -c 'to=<same@good.test>' "$(vouch_log p)")" 1
[ "$(grep -c 'addr=<same@good.test>.* from=probe' "$(vouch_log p)")" -ge 100 ] || fail "they did not wait together"
[ "$(printf '%s\n' "$CB" | cut -d ' ' -f 2- | sort -u | wc -l)" = 1 ] || fail "not all got the same line"

# other clients
want "by hand" "$(raw 'ann@good.test')" 'OK:250 2.1.5 Ok:ann@good.test:*'
want "HTTP" "$(raw 'GET / HTTP/1.0\r\nHost: x\r\n\r\n')" 'TEMPFAIL:bad request::*'
want "TLS" "$(raw '\026\003\001\002\000\001\000')" 'TEMPFAIL:bad request::*'
want "1 MB without an end" "$(perl -e 'print "a" x 1048576' | perl -MIO::Socket::INET -e '$SIG{PIPE} = "IGNORE"; local $/; my $d = <STDIN>;
    my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0]); print $s $d; print <$s>' "$P" 2>/dev/null; echo .)" "*."
want "100,000 requests of one who reads later" "$(perl -MIO::Socket::INET -e '$SIG{PIPE} = "IGNORE"; alarm 60;
    my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or die;
    if (!fork) { my ($d, $o) = ("<>\n" x 100000, 0); while ($o < length $d) { $o += syswrite($s, $d, length($d) - $o, $o) || last }
        shutdown $s, 1; exit }
    sleep 1; my $n = 0; while (<$s>) { $n++ } print $n' "$P" 2>&1)" 100000
want "a connection without a word" "$(raw '')" ''
want "still there" "$(raw '<ann@good.test>\n<bad@good.test>\n')" 'OK:250*ann@good.test*FAIL:550*'

# a reload in the middle of a wait: told, not dropped; the new process has the next
pid=$(workers "$T/p/queue" smtpcbd) had=$(counter p probe_received)
raw '<mute2@good.test>\n' >"$T/held" &
held=$!
wait_for 5 counted p probe_received $((had + 1))
vouch_reload p || fail "reload"
wait $held
want "a request that waits while we are reloaded" "$(cat "$T/held")" 'TEMPFAIL:address verification in progress:mute2@good.test:*'
wait_for 10 gone "$pid"
want "after the reload" "$(raw '<ann@good.test>\n')" 'OK:250 2.1.5 Ok:ann@good.test:*'

# killed, restarted
kill -9 "$(workers "$T/p/queue" smtpcbd)"
served() { [ "$(raw '<ann@good.test>\n' | cut -c 1-3)" = OK: ]; }
wait_for 10 served

[ "$(counter p smtpcbd_malformed)" -ge 3 ] || fail "smtpcbd_malformed is $(counter p smtpcbd_malformed)"
vouch_stop p
mxd_stop a
log_clean "$(vouch_log p)" 'smtpcbd.*(warning: timeout)'
grep -q 'smtpcbd\[[0-9]*\]: [0-9A-F.]*: client=.*, addr=<bad@good.test>, code=FAIL, from=probe, wait=[0-9]*ms (host mx1' "$(vouch_log p)" ||
	fail "no log line for a request"
