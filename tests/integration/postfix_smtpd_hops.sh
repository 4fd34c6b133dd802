# postfix_smtpd_hops - real clients and real next hops around smtpd(8): swaks, smtp-source and a Postfix send; a Postfix (SMTP, QMQP),
# smtp-sink (LMTP) and, where they can be had, Exim and Dovecot (LMTP) receive. Bodies arrive byte for byte, 50 MB too, and each message once
. ./lib.sh
. ./lib_postfix.sh
. ./lib_smtpd.sh
. ./lib_servers.sh
need_postfix
command -v swaks >/dev/null 2>&1 || skip "needs Debian's package swaks"
command -v perl >/dev/null 2>&1 || skip "needs perl"

# the next hops. Postfix: SMTP at 2601, QMQP at 2628, both into $T/mail/box. Postfix as a client: what comes in at 2602 goes to smtpd(8)
postfix_make
mkdir "$T/mail" && chown postfix "$T/mail"
postfix_set message_size_limit=0 mailbox_size_limit=0 virtual_mailbox_limit=0 queue_minfree=0 relay_domains=via.test \
    "transport_maps=inline:{via.test=smtp:[$LO]:2515}" virtual_mailbox_domains=next.test virtual_mailbox_base="$T/mail" \
    virtual_mailbox_maps=static:box/ virtual_minimum_uid=1 "virtual_uid_maps=static:$(id -u postfix)" \
    "virtual_gid_maps=static:$(id -g postfix)" smtpd_recipient_restrictions=permit qmqpd_authorized_clients=127.0.0.0/8 \
    smtp_line_length_limit=0 smtpd_client_connection_count_limit=0
cat >>"$PF/master.cf" <<EOM
$LO:2601   inet  n - n - -  smtpd -o cleanup_service_name=cleanup2 -o smtpd_relay_restrictions=reject_unauth_destination
$LO:2602   inet  n - n - -  smtpd
$LO:2604   inet  n - n - -  smtpd -o cleanup_service_name=cleanup2 -o smtpd_authorized_xclient_hosts=127.0.0.0/8
$LO:2603   inet  n - n - -  smtpd -o cleanup_service_name=cleanup2 -o smtpd_tls_security_level=encrypt
  -o smtpd_tls_chain_files=$T/tls.pem
$LO:2628   inet  n - n - -  qmqpd
cleanup2   unix  n - n - 0  cleanup -o { virtual_alias_maps = inline:{bob@via.test=bob@next.test} }
EOM
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key.pem" -out "$T/cert.pem" -days 2 -subj /CN=mx.test >/dev/null 2>&1 ||
	fail "openssl: no certificate"
cat "$T/key.pem" "$T/cert.pem" >"$T/tls.pem"
postfix_start

smtpd_make s "queue/smtp $LO 2601" rcpt_test
smtpd_hop() { echo "$LO:$1 inet n - n - 1 smtpd -o smtpd_plugins=$T/s/etc/plugins.$1" >>"$T/s/etc/master.cf"
	printf '%s\nrcpt_test\n' "$2" >"$T/s/etc/plugins.$1"; }
sed -i -e "/^$LO:2526/d" -e "s/^$LO:2525/$LO:2515/" "$T/s/etc/master.cf"
smtpd_hop 2516 "queue/lmtp unix:$T/lmtp"
smtpd_hop 2517 "queue/qmqp $LO 2628"
smtpd_hop 2518 "queue/smtp $LO 2629"
smtpd_hop 2519 "queue/smtp $LO 2601 early 1 xclient 0 reuse 1"
smtpd_hop 2509 "queue/smtp $LO 2604 xclient 1"
smtpd_hop 2511 "queue/lmtp unix:$T/dovecot.lmtp early 1"
smtpd_hop 2510 "queue/smtp $LO 2603 starttls encrypt"
# a Postfix keeps its sessions for a while
vouch_set s message_size_limit=60000000 smtpd_client_connection_count_limit=0
vouch_start s

mkdir "$T/sink" && chown postfix "$T/sink"
ln -s sink/lmtp "$T/lmtp"
(cd "$T/sink" && exec smtp-sink -u postfix -L -d "m.%M" "unix:$T/sink/lmtp" 100) >"$T/sink.log" 2>&1 &
at_exit "stop_pid $!"
wait_for 5 test -S "$T/lmtp"
chmod 777 "$T/sink/lmtp"

# all that a careless relay changes; swaks would take a last line "." for its own end
{
	printf 'From: a@b.test\nSubject: test\n\n.\n..\n. dot\n...\nCaf\303\251 \344\366\374 \377\001\n\t\n \n'
	head -c 20000 /dev/zero | tr '\0' x
	printf '\n.%s\n\nFrom me\n.\nend\n' "$(head -c 997 /dev/zero | tr '\0' .)"
} >"$T/message"
sed '1,/^$/d' "$T/message" >"$T/body"

# body FILE - without the header; arrived N - so many messages; same WHAT FILE - that one message is the one that was sent
# swaks sends an empty line more at the end, and smtp-sink keeps one more than it gets: $more
body() { sed '1,/^\r*$/d' "$1"; }
arrived() { [ "$(find "$box" -type f -size +0 ! -path "$box/tmp/*" 2>/dev/null | wc -l)" = "$1" ]; }
same() {
	wait_for 20 arrived 1
	file=$(find "$box" -type f ! -path "$box/tmp/*")
	body "$file" >"$T/got"
	printf "$more" | cat "$2" - | cmp - "$T/got" >"$T/cmp" 2>&1 ||
		fail "$1: the message has changed: $(cat "$T/cmp"), $(wc -c <"$T/got") bytes instead of $(wc -c <"$2")"
	rm -f "$file"
}
swaks_to() {
	swaks --server "$LO:$1" --from a@b.test --to "$2" --data "@$T/message" >"$T/swaks.out" 2>&1 ||
		fail "swaks to $1: $(grep '<\*\*\|<-' "$T/swaks.out" | tail -n 3)"
}
mailer() { perl "$HERE/mailer.pl" "$LO" "$@" >"$T/told" 2>"$T/mailer.log" || fail "mailer: $(cat "$T/mailer.log")"; }
# large PORT RCPT - 50 MB
perl "$HERE/mailer.pl" - - - 0 50000000 >"$T/large"
large() {
	large_ms=$(now_ms)
	mailer "$1" 1 1 50000000 "$2"
	want "50 MB to $1" "$(cat "$T/told")" "0 250 *"
	note "50 MB through $1: accepted after $(($(now_ms) - large_ms)) ms"
	same "50 MB to $1" "$T/large"
}

box=$T/mail/box more='\n'
for port in 2515 2517 2519 2510; do
	swaks_to $port bob@next.test
	same "swaks to $port" "$T/body"
done
# XCLIENT: the next hop sees our client's HELO
swaks --server "$LO:2509" --helo told.test --from a@b.test --to bob@next.test --data "@$T/message" >"$T/swaks.out" 2>&1 ||
	fail "swaks to 2509: $(grep '<\*\*\|<-' "$T/swaks.out" | tail -n 3)"
wait_for 20 arrived 1
want "XCLIENT" "$(grep -h -m 1 -A 2 '^Received: from' "$(find "$box" -type f ! -path "$box/tmp/*")" | tr '\n' ' ')" \
	"Received: from told.test (*by mx.verify.test (Postfix)*"
same "swaks with XCLIENT" "$T/body"
more=
large 2515 bob@next.test
large 2517 bob@next.test
large 2510 bob@next.test

# each once: 200 messages of ours by number, 200 of smtp-source by count
once() {
	find "$box" -type f ! -path "$box/tmp/*" -exec grep -h -a '^X-Number:' {} + | sort | uniq -c >"$T/numbers"
	[ "$(wc -l <"$T/numbers")" = "$1" ] && ! grep -q -v '^ *1 ' "$T/numbers" ||
		fail "of $1 messages $(wc -l <"$T/numbers") arrived; more than once: $(grep -c -v '^ *1 ' "$T/numbers")"
	find "$box" -type f -exec rm -f {} +
}
for port in 2515 2517 2510; do
	mailer $port 10 200 3000 bob@next.test
	[ "$(grep -c '^[0-9]* 250 ' "$T/told")" = 200 ] || fail "not accepted: $(grep -v ' 250 ' "$T/told" | head -n 3)"
	wait_for 30 arrived 200
	once 200
	smtp-source -s 10 -m 200 -l 4000 -f a@b.test -t bob@next.test "inet:$LO:$port" || fail "smtp-source to $port: $?"
	wait_for 30 arrived 200
	find "$box" -type f -exec rm -f {} +
done

# a Postfix sends through us: 40 messages over as many sessions as it likes
mailer 2602 4 40 3000 bob@via.test
wait_for 30 arrived 40
once 40
# its smtp(8) says so when the message may have arrived already, and another process writes it to the log
all_sent() { [ "$(grep -c "relay=$LO\\[$LO\\]:2515.*status=sent" "$PFLOG")" = 40 ]; }
try_for 10 all_sent || fail "Postfix's log: $(grep ':2515' "$PFLOG" | tail -n 3)"

# what the next hop refuses, the client hears; nothing is left there
say=$(says 2515 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<x@nowhere.test>' DATA . QUIT)
want "refused by the next hop" "$(reply 6 "$say")" "554 5.7.1 *Relay access denied*"
say=$(says 2519 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<bob@next.test>' 'RCPT TO:<bob@next.test>' RSET QUIT)
want "live" "$(reply 4 "$say")" "250 2.1.5 *"

# LMTP
box=$T/sink more='\n\n'
swaks_to 2516 bob@next.test
same "swaks over LMTP" "$T/body"
more='\n'
large 2516 bob@next.test
mailer 2516 10 200 3000 bob@next.test
[ "$(grep -c '^[0-9]* 250 ' "$T/told")" = 200 ] || fail "not accepted: $(grep -v ' 250 ' "$T/told" | head -n 3)"
wait_for 10 arrived 200
once 200

# Exim and Dovecot, unpacked beside it
log_clean "$(vouch_log s)"
if (servers_fetch) >"$T/exim.why" 2>&1; then
	box=$T/eximbox more='\n'
	mkdir -m 777 "$box"
	exim_start "$LO" 2629 "$box"
	swaks_to 2518 ann@exim.test
	same "swaks to Exim" "$T/body"
	more=
	large 2518 ann@exim.test
	# Exim delivers no more than 10 messages of a session at once (smtp_accept_queue_per_connection)
	mailer 2518 5 50 3000 ann@exim.test
	wait_for 30 arrived 50
	once 50
	mailer 2518 1 1 3000 nobody@exim.test
	want "unknown to Exim" "$(cat "$T/told")" "0 550 *"

	box=$T/dovecot/mail/new more='\n'
	dovecot_start "$T/dovecot.lmtp" "$T/dovecot/mail"
	swaks_to 2511 bob@next.test
	same "swaks to Dovecot" "$T/body"
	more=
	large 2511 bob@next.test
	mailer 2511 5 50 3000 bob@next.test
	wait_for 30 arrived 50
	once 50
	mailer 2511 1 1 3000 eve@next.test
	want "unknown to Dovecot" "$(cat "$T/told")" "0 550 5.1.1 *"
else
	note "without Exim and Dovecot: $(tail -n 1 "$T/exim.why")"
fi
log_clean "$(vouch_log s)"
