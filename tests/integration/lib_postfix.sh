# tests/integration/lib_postfix.sh - a private instance of Debian's Postfix; sourced after lib.sh

# postfix_make - configuration, queue and data in $T/postfix; PF is its configuration directory, PFQ its queue, PFLOG its log.
# smtpd on $LO:2525 verifies recipients and senders at *.verify.test; $LO:2526 is "the remote site" remote.test, the same
# programs under another name: good* is accepted, temp* refused with 450, everything else with 550. dead.test has no server.
postfix_make() {
	PF=$T/postfix/etc PFQ=$T/postfix/queue PFLOG=$T/postfix/mail.log
	mkdir -p "$PF" "$PFQ" "$T/postfix/data"
	chown postfix "$T/postfix/data"
	cat >"$PF/main.cf" <<EOM
compatibility_level = 3.6
queue_directory = $PFQ
data_directory = $T/postfix/data
maillog_file = $PFLOG
maillog_file_prefixes = $T
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
myhostname = mx.verify.test
mydestination = local.test
local_recipient_maps =
alias_maps =
alias_database =
biff = no
recipient_delimiter = +
relay_domains = remote.test, dead.test
smtp_dns_support_level = disabled
transport_maps = inline:{remote.test=smtp:[$LO]:2526, dead.test=smtp:[$LO]:2527}
smtpd_recipient_restrictions = reject_unverified_sender, reject_unverified_recipient
smtpd_delay_reject = yes
unverified_recipient_reject_code = 550
unverified_sender_reject_code = 551
address_verify_poll_count = 4
address_verify_poll_delay = 3s
address_verify_map =
smtpd_peername_lookup = no
smtputf8_enable = no
EOM
	cat >"$PF/remote" <<EOM
/^good/		OK
/^temp/		450 4.2.0 Try again later
/./		550 5.1.1 No such user here
EOM
	cat >"$PF/master.cf" <<EOM
$LO:2525   inet  n - n - -  smtpd
$LO:2526   inet  n - n - -  smtpd
  -o myhostname=mx.remote.test -o mydestination= -o relay_domains=remote.test -o smtpd_relay_restrictions=
  -o { smtpd_recipient_restrictions = check_recipient_access regexp:$PF/remote, reject }
pickup     unix  n - n 60 1 pickup
cleanup    unix  n - n - 0  cleanup
qmgr       unix  n - n 300 1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n - -  trivial-rewrite
bounce     unix  - - n - 0  bounce
defer      unix  - - n - 0  bounce
trace      unix  - - n - 0  bounce
verify     unix  - - n - 1  verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n - -  proxymap
smtp       unix  - - n - -  smtp
relay      unix  - - n - -  smtp
showq      unix  n - n - -  showq
error      unix  - - n - -  error
retry      unix  - - n - -  error
discard    unix  - - n - -  discard
local      unix  - n n - -  local
virtual    unix  - n n - -  virtual
anvil      unix  - - n - 1  anvil
scache     unix  - - n - 1  scache
postlog    unix-dgram n - n - 1 postlogd
EOM
}
# postfix_set NAME=VALUE... - change main.cf; postfix_service ... - change master.cf (postconf -M, -F, -P)
postfix_set() { postconf -c "$PF" -e "$@" && postfix_cool; }
postfix_service() { postconf -c "$PF" "$@" && postfix_cool; }
# postfix_verify_ours CHROOT MAXPROC - the one line of master.cf that makes our verify Postfix's
# The command is relative to daemon_directory; an absolute path does not work there.
postfix_verify_ours() {
	ln -sfn "$LIBEXEC/verify" "$T/verify"
	postfix_service -M "verify/unix=verify unix - - $1 - $2 \
	    $(postconf -c "$PF" -xh daemon_directory | sed 's,/[^/]*,../,g')${T#/}/verify"
}
# Postfix waits up to two seconds for a main.cf that was changed just now
postfix_cool() { touch -d '1 minute ago' "$PF/main.cf"; }
postfix_start() {
	postfix_cool
	at_exit 'postfix_stop'
	postfix -c "$PF" start >"$T/postfix/start.log" 2>&1 || fail "postfix start: $(cat "$T/postfix/start.log")"
	PFPID=$(tr -d ' ' <"$PFQ/pid/master.pid")
	wait_for 10 postfix_serves
}
postfix_serves() { "$TOOLS/smtpsay" "$LO" 2525 QUIT >/dev/null 2>&1; }
postfix_reload() { postfix_cool; postfix -c "$PF" reload; }
postfix_stop() { stop_pid "${PFPID:-0}"; }
# postfix_queue - the files in the mail queue
postfix_queue() { find "$PFQ/maildrop" "$PFQ/incoming" "$PFQ/active" "$PFQ/deferred" "$PFQ/hold" "$PFQ/corrupt" -type f; }
postfix_queue_empty() { [ -z "$(postfix_queue)" ]; }
# rcpt SENDER RECIPIENT - one mail transaction up to RCPT TO; the reply to it is in $REPLY, without the time; that in $TOOK_MS
rcpt() {
	REPLY=$("$TOOLS/smtpsay" "$LO" 2525 "EHLO client.test" "MAIL FROM:<$1>" "RCPT TO:<$2>" QUIT | sed -n 4p)
	TOOK_MS=${REPLY%% *}
	REPLY=${REPLY#* }
}

# postfix_dialogue TAG - verification as a remote client sees it: recipients and senders that are good, bad and in doubt.
# TAG makes the addresses new. All are asked at the same time, then all again: the second answers must come from the
# cache, that is without a poll, and no probe may go out. Afterwards no mail is left in the queue.
postfix_dialogue() {
	postfix_rows="
rcpt-local	-			daemon+$1@local.test	250 2.1.5 Ok
rcpt-unknown	-			nobody$1@local.test	550 5.1.1 <nobody$1@local.test>: Recipient address rejected: undeliverable address: unknown user: \"nobody$1\"
rcpt-good	-			good$1@remote.test	250 2.1.5 Ok
rcpt-bad	-			bad$1@remote.test	550 5.1.1 <bad$1@remote.test>: Recipient address rejected: undeliverable address: host $LO* said: 550 5.1.1 *No such user here*
rcpt-temp	-			temp$1@remote.test	450 4.1.1 <temp$1@remote.test>: Recipient address rejected: unverified address: host $LO* said: 450 4.2.0 *Try again later*
rcpt-dead	-			x$1@dead.test		450 4.1.1 <x$1@dead.test>: Recipient address rejected: unverified address: connect to $LO*:2527: Connection refused
send-local	daemon+s$1@local.test	daemon+$1@local.test	250 2.1.5 Ok
send-unknown	nobodys$1@local.test	daemon+$1@local.test	551 5.1.7 <nobodys$1@local.test>: Sender address rejected: undeliverable address: unknown user: \"nobodys$1\"
send-good	goods$1@remote.test	daemon+$1@local.test	250 2.1.5 Ok
send-bad	bads$1@remote.test	daemon+$1@local.test	551 5.1.7 <bads$1@remote.test>: Sender address rejected: undeliverable address: host $LO* said: 550 5.1.1 *
send-temp	temps$1@remote.test	daemon+$1@local.test	450 4.1.7 <temps$1@remote.test>: Sender address rejected: unverified address: host $LO* said: 450 4.2.0 *
send-dead	xs$1@dead.test		daemon+$1@local.test	450 4.1.7 <xs$1@dead.test>: Sender address rejected: unverified address: connect to $LO*:2527: Connection refused
"
	postfix_ask_rows
	wait_for 10 postfix_queue_empty
	try_for 10 postfix_probed 12 || fail "only $(postfix_probes) probes in the log"
	postfix_before=$(postfix_probes)
	postfix_ask_rows 2900
	[ "$(postfix_probes)" = "$postfix_before" ] || fail "an address whose status is known was probed again"
	postfix_queue_empty || fail "left in the queue: $(postfix_queue)"
}
# postfix_ask_rows [MS] - ask all rows at once; each answer must match and, when MS is given, take less than that
postfix_ask_rows() {
	rm -rf "$T/rows" && mkdir "$T/rows"
	postfix_pids=
	while read -r postfix_row postfix_sender postfix_rcpt _; do
		[ -n "$postfix_row" ] || continue
		[ "$postfix_sender" != - ] || postfix_sender=
		"$TOOLS/smtpsay" "$LO" 2525 "EHLO client.test" "MAIL FROM:<$postfix_sender>" "RCPT TO:<$postfix_rcpt>" \
		    QUIT >"$T/rows/$postfix_row" 2>&1 &
		postfix_pids="$postfix_pids $!"
	done <<EOM
$postfix_rows
EOM
	# shellcheck disable=SC2086
	wait $postfix_pids
	while read -r postfix_row _ _ postfix_want; do
		[ -n "$postfix_row" ] || continue
		postfix_got=$(sed -n 4p "$T/rows/$postfix_row")
		want "$postfix_row" "${postfix_got#* }" "$postfix_want"
		[ -z "${1-}" ] || [ "${postfix_got%% *}" -lt "$1" ] ||
			fail "$postfix_row: the second answer took ${postfix_got%% *} ms, it cannot come from the cache"
	done <<EOM
$postfix_rows
EOM
}
# postfix_probes - how many probes the queue manager has seen
postfix_probes() { grep -c 'qmgr.*from=<double-bounce@.*queue active' "$PFLOG"; }
# postfix_probed N - at least so many
postfix_probed() { [ "$(postfix_probes)" -ge "$1" ]; }
