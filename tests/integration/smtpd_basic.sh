# smtpd_basic - real clients through smtpd(8) into a maildir (the example plugin): bodies byte for byte, exactly once; a plugin that
# crashes takes its worker's sessions and no others; bad plugins files are refused before anything is harmed; reload, TLS
. ./lib.sh
. ./lib_smtpd.sh
command -v swaks >/dev/null 2>&1 || skip "needs Debian's package swaks"

mkdir -m 700 "$T/box"
smtpd_make s "rcpt_test time_limit 4s" "queue_maildir $T/box"
vouch_start s

# smtpd -t shows the order, in the file's
"$LIBEXEC/smtpd" -c "$T/s/etc" -t >"$T/order" || fail "smtpd -t: $?"
want "smtpd -t" "$(tr -s ' ' <"$T/order" | tr '\n' ',')" "rcpt rcpt_test,queue queue_maildir,"

# the first plugin in PLUGIN_README compiles, and does what it says
sed -n '/^    #include <vouch_plugin.h>/,/^    \$ cc/p' "$HERE/../../README_FILES/PLUGIN_README" | sed -e '/^    \$ cc/d' -e 's/^    //' >"$T/hello.c"
${CC:-cc} -shared -fPIC -Wall -Wextra -Werror -I"$HERE/../../daemons/smtpd" -o "$T/plugins/hello.so" "$T/hello.c" || fail "PLUGIN_README's hello.c"
chmod 755 "$T/plugins/hello.so"
smtpd_plugins s "hello" "rcpt_test time_limit 4s" "queue_maildir $T/box"
"$LIBEXEC/smtpd" -c "$T/s/etc" -t | grep -q '^rcpt  *hello rcpt_test$' || fail "hello is not asked"
vouch_reload s >"$T/reload.log" 2>&1 || fail "reload: $(cat "$T/reload.log")"
greets() { says 2525 'EHLO c.test' 'MAIL FROM:<>' 'RCPT TO:<c@d.test>' 'RCPT TO:<e@d.test>' QUIT | grep -q '^550 5.5.3 A bounce'; }
wait_for 10 greets

# delivered N - so many messages are in the box
delivered() { [ "$(find "$T/box/new" -type f 2>/dev/null | wc -l)" = "$1" ]; }

# swaks: what is sent is what arrives: dots, long lines, 8-bit, a last line that is only a dot
{
	printf 'From: a@b.test\nSubject: test\n\n.\n..\n. dot\nCaf\303\251 \344\366\374\n'
	head -c 20000 /dev/zero | tr '\0' x
	printf '\n\nend\n'
} >"$T/message"
swaks --server "$LO:2525" --from a@b.test --to c@d.test --data "@$T/message" >"$T/swaks.out" 2>&1 ||
    fail "swaks: $(grep '<\*\*\|<-' "$T/swaks.out" | tail -n 3)"
wait_for 5 delivered 1
echo >>"$T/message"			# swaks sends an empty line more
sed '1,/^\t.*(UTC)$\|^\t[A-Z][a-z][a-z], .*[0-9]$/d' "$T"/box/new/* | cmp - "$T/message" >"$T/cmp" 2>&1 ||
    { sed -n '1,12p' "$T"/box/new/* | cut -c1-100; fail "the message has changed: $(cat "$T/cmp")"; }
grep -q '^Delivered-To: c@d.test$' "$T"/box/new/* || fail "no header of the plugin"
rm -f "$T"/box/new/*

# refusals, with the plugin's words
said=$(says 2525 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<nobody@d.test>' 'RCPT TO:<later@d.test>' 'RCPT TO:<c@d.test>' QUIT)
want "greeting" "$(reply 1 "$said")" "220 mx.test ESMTP*"
want "refused" "$(reply 4 "$said")" "550 5.1.1 No such user"
want "refused for now" "$(reply 5 "$said")" "450 4.2.1 Come back later"
want "accepted" "$(reply 6 "$said")" "250 2.1.5 *"

# smtp-source: 200 messages over 10 connections, each exactly once
if command -v smtp-source >/dev/null 2>&1; then
	smtp-source -s 10 -m 200 -l 4000 -f a@b.test -t c@d.test "inet:$LO:2525" || fail "smtp-source: $?"
	wait_for 5 delivered 200
	rm -f "$T"/box/new/*
	large=$(now_ms)
	smtp-source -s 2 -m 4 -l 5000000 -f a@b.test -t c@d.test "inet:$LO:2525" || fail "smtp-source, large: $?"
	wait_for 5 delivered 4
	note "4 messages of 5 MB: $(($(now_ms) - large)) ms"
	[ -z "$(ls "$T/s/data" | grep body)" ] || fail "spool files are left: $(ls "$T/s/data")"
	rm -f "$T"/box/new/*
fi

# counters
counter_is() { [ "$(vouch_stat s "$1")" -ge "$2" ]; }
wait_for 5 counter_is smtpd_messages 1
wait_for 5 counter_is smtpd_refused 1
plugin_is() { "$BIN/vouch" -c "$T/s/etc" stats | grep -q "^plugin $1  *$2  *[1-9]"; }
wait_for 5 plugin_is rcpt_test ok
wait_for 5 plugin_is rcpt_test denysoft
wait_for 5 plugin_is queue_maildir ok
"$BIN/vouch" -c "$T/s/etc" stats --json | grep -q '"queue_maildir": *{"ok": *[1-9]' || fail "stats --json"
"$BIN/vouch" -c "$T/s/etc" stats --prometheus | grep -q '^vouch_smtpd_plugin_total{plugin="rcpt_test",verdict="deny"} 1$' ||
    fail "stats --prometheus"

# a plugin that crashes: the session on the other worker goes on, a new worker takes over
"$TOOLS/smtpsay" "$LO" 2526 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<hang@d.test>' 'RCPT TO:<c@d.test>' QUIT >"$T/other.out" 2>&1 &
other=$!
waits() { [ "$(wc -l <"$T/other.out")" -ge 3 ]; }
wait_for 5 waits
says 2525 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<crash@d.test>' QUIT >"$T/crash.out" 2>&1
[ "$(wc -l <"$T/crash.out")" -le 4 ] || fail "no crash: $(cat "$T/crash.out")"
serves() { says "$1" 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<c@d.test>' QUIT | grep -q '^250 2.1.5'; }
wait_for 20 serves 2525
wait $other || fail "the other worker's session: $(cat "$T/other.out")"
want "the other worker's session" "$(sed -n 5p "$T/other.out" | sed 's/^[0-9]* //')" "250 2.1.5 *"
want "the time limit" "$(sed -n 4p "$T/other.out" | sed 's/^[0-9]* //')" "450 4.7.1 No plugin has decided*"
grep -q 'smtpd.*killed by signal 6' "$(vouch_log s)" || fail "the crash is not in the log"

# plugins files that are no good: named with line and cause, and a reload keeps what there is
refused() {
	smtpd_plugins s "$2"
	"$LIBEXEC/smtpd" -c "$T/s/etc" -t >"$T/bad.out" 2>&1 && fail "accepted: $2"
	want "$2" "$(tail -n 1 "$T/bad.out")" "smtpd: fatal: $T/s/etc/plugins, line 1: $1"
}
refused "no plugin nosuch: *" nosuch
refused "queue_maildir: use: queue_maildir /directory" queue_maildir
refused "*a quote is not closed" 'queue_maildir "/x'
refused "*other_abi.so: made for plugin interface *: compile it again" other_abi
refused "rcpt_test: takes no arguments*" 'rcpt_test now'
refused "rcpt_test: reject_type maybe: use *" 'rcpt_test reject_type maybe'
chmod 775 "$T/plugins/rcpt_test.so"
refused "*others can change this file*" rcpt_test
chmod 755 "$T/plugins/rcpt_test.so"
smtpd_plugins s "rcpt_test time_limit 4s" "queue_maildir $T/box"

# vouch check and reload ask smtpd, too: with a file that is no good the old workers stay
smtpd_plugins s nosuch
"$BIN/vouch" -c "$T/s/etc" check >"$T/check.out" 2>&1 && fail "vouch check finds nothing"
grep -q "master.cf: line [0-9]*: service $LO:2525: $T/s/etc/plugins, line 1: no plugin nosuch" "$T/check.out" || fail "$(cat "$T/check.out")"
vouch_reload s >"$T/reload.log" 2>&1 && fail "reloaded with a bad plugins file"
serves 2525 || fail "no service after a reload that was refused"
smtpd_plugins s "rcpt_test time_limit 4s" "queue_maildir $T/box"

# reload in the middle of a session: it comes to its end
"$TOOLS/smtpsay" "$LO" 2526 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<hang@d.test>' 'RCPT TO:<c@d.test>' DATA . >"$T/reload.out" 2>&1 &
other=$!
waits() { [ "$(wc -l <"$T/reload.out")" -ge 3 ]; }
wait_for 5 waits
vouch_reload s >"$T/reload.log" 2>&1 || fail "reload: $(cat "$T/reload.log")"
wait $other || fail "a session over a reload: $(cat "$T/reload.out")"
want "a session over a reload" "$(tail -n 1 "$T/reload.out" | sed 's/^[0-9]* //')" "250 2.6.0 *"
serves 2526 || fail "no service after the reload"

# connections of one client are counted on all workers
vouch_set s smtpd_client_connection_count_limit=1
vouch_reload s >"$T/reload.log" 2>&1 || fail "reload: $(cat "$T/reload.log")"
wait_for 10 serves 2525
# stays - a session that is open for some seconds; not when the client who has just left is still counted
stays() {
	: >"$T/stays.out"
	"$TOOLS/smtpsay" "$LO" 2526 'EHLO c.test' 'MAIL FROM:<a@b.test>' 'RCPT TO:<hang@d.test>' QUIT >"$T/stays.out" 2>&1 &
	other=$!
	until [ "$(wc -l <"$T/stays.out")" -ge 3 ]; do
		! gone $other || return 1
		sleep 0.05
	done
}
wait_for 5 stays
want "a second connection" "$(says 2525 QUIT | head -n 1)" "421 4.7.0 *"
wait $other
wait_for 5 serves 2525
vouch_set s smtpd_client_connection_count_limit=20

# STARTTLS
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/key.pem" -out "$T/cert.pem" -days 2 -subj /CN=mx.test >/dev/null 2>&1 ||
    fail "openssl: no certificate"
vouch_set s smtpd_tls_security_level=may smtpd_tls_cert_file="$T/cert.pem" smtpd_tls_key_file="$T/key.pem"
vouch_reload s >"$T/reload.log" 2>&1 || fail "reload: $(cat "$T/reload.log")"
offers() { says 2525 'EHLO c.test' QUIT | grep -q STARTTLS; }
wait_for 10 offers
rm -f "$T"/box/new/*
swaks --tls --server "$LO:2525" --from a@b.test --to c@d.test --data "@$T/message" >"$T/swaks.out" 2>&1 ||
    fail "swaks --tls: $(grep '<\*\*\|\*\*\*' "$T/swaks.out" | tail -n 3)"
wait_for 5 delivered 1
grep -q 'with ESMTPS id' "$T"/box/new/* || fail "no ESMTPS in Received: $(grep -A4 Received "$T"/box/new/*)"
grep -q 'using TLSv1' "$T"/box/new/* || fail "no TLS version in Received"
! grep -E 'fatal:|panic:|killed by signal ([^6]|6.)' "$(vouch_log s)" || fail "complaints in the log"
