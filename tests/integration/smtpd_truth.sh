# smtpd_truth - the next hop dies at each step of the hand-over, over SMTP, LMTP and QMQP; a client is told that its message was
# accepted if, and only if, the next hop had answered that it has it
. ./lib.sh
. ./lib_smtpd.sh
command -v perl >/dev/null 2>&1 || skip "needs perl"

# hop_start PROTOCOL STEP - a next hop on a port of its own: $HOP_PORT, what it took is in $T/kept
hop_start() {
	rm -rf "$T/kept" "$T/hop.out" && mkdir "$T/kept"
	perl "$HERE/hopd.pl" "$1" "$LO" "${HOP_PORT:-0}" "$T/kept" "$2" >"$T/hop.out" 2>"$T/hop.log" &
	HOP=$!
	at_exit "stop_pid $HOP"
	wait_for 5 grep -q ready "$T/hop.out"
	HOP_PORT=$(sed -n 's/^ready //p' "$T/hop.out")
}
hop_stop() {
	stop_pid "$HOP"
	wait "$HOP" 2>/dev/null
}
kept() { find "$T/kept" -type f ! -name '*.*.*' | wc -l; }
# send_one PORT BYTES - one message; the client's last reply
send_one() { perl "$HERE/mailer.pl" "$LO" "$1" 1 1 "$2" | sed 's/^0 //'; }

# one worker for each protocol: plugins files of their own
hop_start smtp none
hop_stop
smtpd_make s "queue/smtp $LO $HOP_PORT timeout 20" rcpt_test
for way in lmtp:2526 qmqp:2527 early:2528; do
	sed "s,^queue/.*,queue/${way%:*} $LO $HOP_PORT timeout 20," "$T/s/etc/plugins" >"$T/s/etc/plugins.${way%:*}"
done
sed "s,^queue/.*,queue/smtp $LO $HOP_PORT timeout 20 early 1," "$T/s/etc/plugins" >"$T/s/etc/plugins.early"
sed -i "/^$LO:2526/d" "$T/s/etc/master.cf"
for way in lmtp:2526 qmqp:2527 early:2528; do
	echo "$LO:${way#*:} inet n - n - 1 smtpd -o smtpd_plugins=$T/s/etc/plugins.${way%:*}" >>"$T/s/etc/master.cf"
done
vouch_start s

# PORT PROTOCOL STEPS AT WHICH IT DIES
while read -r port protocol steps; do
	for step in $steps; do
		# a small message leaves in one piece; a large one is still being sent when the next hop dies amid it
		sizes=2000
		case $step in
		body|dot|none)	sizes="2000 3000000" ;;
		esac
		for bytes in $sizes; do
			hop_start "$protocol" "$step"
			told=$(send_one "$port" "$bytes")
			hop_stop
			case $step in
			none|answered)	want "port $port, $step, $bytes bytes" "$told" "250 2.6.0 stored"
					[ "$(kept)" = 1 ] || fail "$protocol, $step: told 250, kept $(kept) times" ;;
			*)		want "port $port, $step, $bytes bytes" "$told" "4[0-9][0-9] 4.*" ;;
			esac
			[ "$step" = stored ] || [ "$step" = answered ] || [ "$step" = none ] || [ "$(kept)" = 0 ] ||
				fail "$protocol, $step: told $told, but it was kept"
		done
	done
done <<EOM
2525 smtp none connect greeting ehlo mail rcpt data body dot stored answered
2526 lmtp none connect greeting ehlo mail rcpt data body dot stored answered
2527 qmqp none connect body dot stored answered
2528 smtp none mail rcpt data body dot stored answered
EOM

# a second message goes in the session of the first, as long as that is there; when the next hop has been started afresh
# in between, nobody notices
hop_start smtp none
want "first" "$(send_one 2525 2000)" "250 *"
want "second" "$(send_one 2525 2000)" "250 *"
hop_stop
hop_start smtp none
want "after a restart of the next hop" "$(send_one 2525 2000)" "250 *"
hop_stop
want "next hop away" "$(send_one 2525 2000)" "451 4.4.1 *"

# dies at any time: 300 messages over 10 connections, the sessions of the next hop are killed as they come
hop_start smtp none
perl "$HERE/mailer.pl" "$LO" 2525 10 300 20000 >"$T/told" 2>"$T/mailer.log" &
mailer=$!
killed=0
while kill -0 $mailer 2>/dev/null && [ $killed -lt 60 ]; do
	victim=$(ps -o pid= --ppid "$HOP" | head -n 1)
	[ -z "$victim" ] || { kill -9 "$victim" 2>/dev/null && killed=$((killed + 1)); }
	sleep 0.02
done
wait $mailer || fail "mailer: $?"
find "$T/kept" -type f ! -name '*.*.*' -exec grep -h -a '^X-Number:' {} + | tr -d '\r' | sed 's/^X-Number: //' | sort >"$T/stored"
sed -n 's/^\([0-9]*\) 250 .*/\1/p' "$T/told" | sort >"$T/yes"
[ "$(wc -l <"$T/told")" = 300 ] || fail "of 300 messages only $(wc -l <"$T/told") have an answer"
! grep -q -v '^[0-9]* \(250\|4[0-9][0-9]\) ' "$T/told" || fail "answers: $(grep -v '^[0-9]* \(250\|4[0-9][0-9]\) ' "$T/told" | head -n 3)"
uniq "$T/stored" | comm -13 - "$T/yes" >"$T/lost"
[ ! -s "$T/lost" ] || fail "accepted, and the next hop does not have it: $(tr '\n' ' ' <"$T/lost")"
[ "$(uniq -d "$T/stored" | wc -l)" = 0 ] || fail "twice: $(uniq -d "$T/stored" | tr '\n' ' ')"
note "300 messages, $killed sessions of the next hop killed: $(wc -l <"$T/yes") accepted, $(wc -l <"$T/stored") kept, each once"
[ "$killed" -ge 5 ] && [ "$(wc -l <"$T/yes")" -ge 10 ] || fail "that was no test: $killed killed, $(wc -l <"$T/yes") accepted"
wait_for 5 counted s smtpd_hop_reused 1
wait_for 5 counted s smtpd_hop_unsure 3
wait_for 5 counted s smtpd_hop_failed 1
log_clean "$(vouch_log s)"
