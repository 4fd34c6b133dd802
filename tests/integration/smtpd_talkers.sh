# smtpd_talkers - earlytalker on real sockets: who talks before the greeting or before the reply to DATA is told so, whole, and by each
# kind of refusal; who hangs up has not talked; who has passed is not tested again
. ./lib.sh
. ./lib_smtpd.sh
command -v perl >/dev/null || skip "needs perl"

# talk TEXT [AFTER_MS [ENOUGH]] - connect, say it after so long, print what comes until the end, or until it has a line that begins
# with ENOUGH; "ms=N" is when the first byte came, counted from before the connection: the server does not begin to wait earlier
talk() {
	perl -MIO::Socket::INET -MIO::Select -MTime::HiRes=time,sleep -e '
		my ($to, $text, $after, $enough) = @ARGV;
		my ($begin, $first, $got) = (time, undef, "");
		my $s = IO::Socket::INET->new(PeerAddr => $to) or die "connect: $!\n";
		$text =~ s/\\r/\r/g; $text =~ s/\\n/\n/g;
		sleep $after / 1000 if $after;
		$SIG{PIPE} = "IGNORE";
		syswrite $s, $text if length $text;
		my $sel = IO::Select->new($s);
		while ($got !~ /^$enough.*\n/m && $sel->can_read(20) && sysread $s, $got, 4096, length $got) { $first //= time - $begin }
		$got =~ s/\r//g; $got =~ s/\n/ \/ /g;
		printf "%sms=%d\n", $got, 1000 * ($first // 0);' "$LO:2525" "$1" "${2:-0}" "${3:-NOTHING}" 2>&1
}
# when LINE - after how many ms the first byte came
when() { echo "${1##*ms=}"; }
refused="You have sent something before it was your turn"
start() {
	smtpd_plugins s "$1" rcpt_test queue/discard
	vouch_start s
}
again() {
	vouch_stop s
	start "$1"
}

smtpd_make s
start "earlytalker wait 5s cache 0"
silent=$(talk '' 0 220)
want "silent" "$silent" "220 mx.test ESMTP*"
[ "$(when "$silent")" -ge 4900 ] || fail "greeted after $(when "$silent") ms"
want "talks at once" "$(talk 'EHLO c.test\r\n')" "554 5.5.1 $refused / ms=*"
early=$(talk 'EHLO c.test\r\n' 700)
want "talks in the middle" "$early" "554 5.5.1 $refused / ms=*"
[ "$(when "$early")" -lt 4900 ] || fail "told after $(when "$early") ms only: not at once"
grep -q 'plugin=earlytalker client=127.* talks early: hook=connect after_ms=[0-9]* bytes=13 "EHLO c.test\\x0d\\x0a"' "$(vouch_log s)" ||
	fail "what it has said is not in the log"
want "100 kB at once" "$(talk "$(head -c 100000 /dev/zero | tr '\0' x)")" "554 5.5.1 $refused / ms=*"

# hangs up in the middle: neither reply nor a word in the log
had=$(grep -c 'talks early' "$(vouch_log s)")
perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0]) or die; close $s' "$LO:2525"
left() { grep -q 'disconnect from .* why=lost connection' "$(vouch_log s)"; }
wait_for 10 left
want "clients that hang up" "$(grep -c 'talks early' "$(vouch_log s)")" "$had"

again "earlytalker wait 5 reject_type temp cache 0"
want "reject_type temp" "$(talk 'x')" "421 4.5.1 $refused / ms=*"
again "earlytalker wait 5 defer-reject 1 cache 0"
want "deferred" "$(talk 'MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nQUIT\r\n')" \
    "220 mx.test ESMTP*550 5.5.1 $refused / 503 5.5.1 *221 2.0.0 *"
again "earlytalker wait 700ms check-at DATA cache 0"
# every command in its turn: the wait is between DATA and its reply
said=$("$TOOLS/smtpsay" "$LO" 2525 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<c@d.test>' DATA . QUIT 2>&1)
want "patient at DATA" "$(printf '%s\n' "$said" | sed -n 5p)" "* 354 *"
again "earlytalker wait 3 cache 1d"
first=$(talk '' 0 220)
second=$(talk '' 0 220)
[ "$(when "$first")" -ge 2900 ] && [ "$(when "$second")" -lt 2900 ] || fail "cache: $(when "$first") ms, then $(when "$second") ms"
want "who has passed may talk" "$(talk 'NOOP\r\n' 0 250)" "220 mx.test ESMTP* / 250 *"
vouch_stop s
log_clean "$(vouch_log s)"
