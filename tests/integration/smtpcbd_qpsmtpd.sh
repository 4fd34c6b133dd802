# smtpcbd_qpsmtpd - the real qpsmtpd (unpacked, not installed) with conf/qpsmtpd_vouch_sender: senders are refused with their reason,
# for now where that is not known, the same for every recipient; smtpcbd away: for now, or let through, as configured
. ./lib.sh
. ./lib_probe.sh
need_root
command -v perl >/dev/null || skip "needs perl"

mkdir -p "$T/pkg" "$T/q/config" "$T/q/plugins"
(cd "$T/pkg" && apt-get -q download qpsmtpd libnet-dns-perl libmailtools-perl libtimedate-perl libdigest-hmac-perl libnet-ip-perl) \
    >"$T/fetch.log" 2>&1 || skip "needs apt-get download: $(tail -n 1 "$T/fetch.log")"
for deb in "$T"/pkg/*.deb; do
	dpkg -x "$deb" "$T/root" || fail "dpkg -x $deb"
done
[ -f "$T/root/usr/bin/qpsmtpd-forkserver" ] || skip "the package qpsmtpd has no qpsmtpd-forkserver"

dnsd_start "good.test MX 10 mx1.good.test" "mx1.good.test A $LO"
mxd_start a "$LO" 2599 -r 'bad=550 5.1.1 no: such user' -r 'later=450 4.2.0 later'
vouch_make p address_verify_hold_time=2500ms smtpcbd_prefork_limit=1
vouch_probe p probe_dns_servers="$DNS" probe_smtp_port=2599 probe_reject_reserved_mx=no probe_domain_rate_limit=0 \
    probe_provider_rate_limit=0 smtp_tls_security_level=none
echo "$LO:4571 inet n - n - 1 smtpcbd" >>"$T/p/etc/master.cf"
vouch_start p

# qpsmtpd: our plugin, one that accepts recipients, nothing that keeps mail
cp "$HERE/../../conf/qpsmtpd_vouch_sender" "$T/q/plugins/vouch_sender"
printf 'use Qpsmtpd::Constants;\nsub hook_rcpt { return OK }\n' >"$T/q/plugins/accept"
echo "$T/q/plugins" >"$T/q/config/plugin_dirs"
echo 4 >"$T/q/config/loglevel"
echo mx.test >"$T/q/config/me"
mkdir -m 700 "$T/q/spool" && chown nobody "$T/q/spool"
echo "$T/q/spool" >"$T/q/config/spool_dir"
chmod -R a+rX "$T/q" "$T/root"
# qp_start PORT ARGUMENTS - qpsmtpd with our plugin's arguments
qp_start() {
	printf 'vouch_sender %s\naccept\n' "$2" >"$T/q/config/plugins"
	(cd "$T/q" && QPSMTPD_CONFIG=$T/q/config exec perl -T -I"$T/root/usr/share/perl5" "$T/root/usr/bin/qpsmtpd-forkserver" \
	    -l "$LO" -p "$1" -u nobody -H) >"$T/qpsmtpd.$1.log" 2>&1 &
	at_exit "stop_pid $!"
	try_for 10 qp_up "$1" || skip "qpsmtpd does not start here: $(tail -n 2 "$T/qpsmtpd.$1.log" | tr '\n' ' ')"
}
qp_up() { timeout 5 "$TOOLS/smtpsay" "$LO" "$1" QUIT 2>/dev/null | grep -q ' 220'; }
# rcpt PORT SENDER N - the reply to the N-th recipient
rcpt() {
	"$TOOLS/smtpsay" "$LO" "$1" 'EHLO c.test' "MAIL FROM:<$2>" 'RCPT TO:<one@d.test>' 'RCPT TO:<two@d.test>' QUIT 2>&1 |
		sed -n "$(($3 + 3))p" | sed 's/^[0-9]* //'
}

qp_start 2530 "server $LO:4571 wait 10"
want "good sender" "$(rcpt 2530 ann@good.test 1)" "250 *"
for n in 1 2; do
	want "bad sender, recipient $n" "$(rcpt 2530 bad@good.test $n)" \
	    "550 *Sender address <bad@good.test> refused by mx1.good.test\[$LO\]: 550 5.1.1 no; such user*"
	want "unknown for now, recipient $n" "$(rcpt 2530 later@good.test $n)" \
	    "450 *Sender address <later@good.test> cannot be verified now: 450 4.2.0 later*"
done
want "null sender" "$(rcpt 2530 '' 1)" "250 *"
# quoted by qpsmtpd in its own way, and understood
want "a colon in the local part" "$(rcpt 2530 'odd:x@good.test' 1)" "250 *"
grep -q 'smtpcbd.*addr=<"odd:x"@good.test>, code=OK' "$(vouch_log p)" || fail "not asked about \"odd:x\"@good.test"

vouch_stop p
qp_start 2531 "server $LO:4571 wait 10 unavailable pass"
want "smtpcbd away" "$(rcpt 2530 ann2@good.test 1)" "450 *cannot be verified now: service unavailable*"
want "smtpcbd away, pass" "$(rcpt 2531 ann2@good.test 1)" "250 *"
