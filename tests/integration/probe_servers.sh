# probe_servers - the verdicts of real servers: Postfix's smtpd (also with STARTTLS required, and greylisting), Exim, OpenSMTPD
# limit: 300
. ./lib.sh
. ./lib_postfix.sh
. ./lib_probe.sh
. ./lib_servers.sh
need_postfix
servers_fetch

# every server at an address of its own, port 2525, so that they are found through MX records
rest=${LO#127.}
EXIM=127.$((${rest%%.*} + 64)).${rest#*.} BSD=127.$((${rest%%.*} + 128)).${rest#*.}

postgrey_start "$T/postgrey/socket" 3
postfix_make
# smtpd of remote.test on port 2525, where MX look-ups lead; two more for own routes
sed -i "s/^$LO:2525 .*/$LO:2524 inet n - n - - smtpd/; s/^$LO:2526 /$LO:2525 /" "$PF/master.cf"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=mx.tls.test -keyout "$PF/key.pem" \
    -out "$PF/cert.pem" >/dev/null 2>&1 || fail "openssl req"
cat >>"$PF/master.cf" <<EOM
$LO:2528   inet  n - n - -  smtpd
  -o smtpd_tls_security_level=encrypt -o smtpd_tls_cert_file=$PF/cert.pem -o smtpd_tls_key_file=$PF/key.pem
  -o mydestination= -o relay_domains=tls.test -o smtpd_relay_restrictions=
  -o { smtpd_recipient_restrictions = check_recipient_access regexp:$PF/remote, reject }
$LO:2529   inet  n - n - -  smtpd
  -o mydestination= -o relay_domains=grey.test -o smtpd_relay_restrictions= -o smtpd_delay_reject=yes
  -o { smtpd_recipient_restrictions = check_policy_service unix:$T/postgrey/socket, check_recipient_access regexp:$PF/remote, reject }
$LO:2530   inet  n - n - -  smtpd
  -o mydestination=local.test -o { local_recipient_maps = inline:{ {ann = x} } } -o smtpd_relay_restrictions=
  -o { smtpd_recipient_restrictions = reject_unauth_destination }
EOM
postfix_start
wait_for 10 smtp_up "$LO" 2525
exim_start "$EXIM" 2525
opensmtpd_start "$BSD" 2525

dnsd_start "remote.test MX 10 mx.remote.test" "mx.remote.test A $LO" "exim.test MX 10 mx.exim.test" "mx.exim.test A $EXIM" \
    "bsd.test MX 10 mx.bsd.test" "mx.bsd.test A $BSD" "lost.test MX 10 mx.exim.test" "lost2.test MX 5 mx.bsd.test"
vouch_make p address_verify_hold_time=2500ms
vouch_probe p probe_dns_servers="$DNS" probe_smtp_port=2525 probe_reject_reserved_mx=no probe_domain_rate_limit=0 \
    probe_provider_rate_limit=0 smtp_tls_security_level=may probe_greylist_schedule=5s \
    address_verify_transport_maps="inline:{ {tls.test = smtp:[$LO]:2528}, {grey.test = smtp:[$LO]:2529}, {local.test = smtp:[$LO]:2530} }"
vouch_start p

note "Postfix, by MX"
verdict p good1@remote.test 10 'deliverable (250 2.1.5 Ok)'
verdict p bad1@remote.test 10 "undeliverable (host mx.remote.test\[$LO\] said: 550 5.1.1 <bad1@remote.test>: Recipient address rejected: No such user here (in reply to RCPT TO command))"
verdict p temp1@remote.test 10 "deferred (host mx.remote.test\[$LO\] said: 450 4.2.0 <temp1@remote.test>: Recipient address rejected: Try again later (in reply to RCPT TO command))"
note "Postfix, its own local recipients, own route"
verdict p ann@local.test 10 'deliverable (250 2.1.5 Ok)'
verdict p nobody@local.test 10 'undeliverable (host *550 5.1.1 <nobody@local.test>: Recipient address rejected: User unknown in local recipient table*'
note "Postfix, STARTTLS required"
verdict p good1@tls.test 10 'deliverable (250 2.1.5 Ok)'
verdict p bad1@tls.test 10 'undeliverable (*550 5.1.1 *'
grep 'to=<good1@tls.test>' "$(vouch_log p)" | grep -q 'tls=TLSv1.[23],' || fail "not through TLS"
note "Postfix with postgrey"
verdict p good1@grey.test 10 'deferred (*450 4.2.0 <good1@grey.test>: Recipient address rejected: Greylisted*'
passed() { grep -q 'to=<good1@grey.test>.* again=yes, status=deliverable' "$(vouch_log p)"; }
wait_for 20 passed
verdict p good1@grey.test 10 'deliverable (250 2.1.5 Ok)'
note "Exim, by MX"
verdict p ann@exim.test 10 'deliverable (250 Accepted)'
verdict p nobody@exim.test 10 "undeliverable (host mx.exim.test\[$EXIM\] said: 550 Unrouteable address (in reply to RCPT TO command))"
verdict p sorry@exim.test 10 'deferred (*451 please try again later*'
verdict p ann@lost.test 10 'undeliverable (*550 *'
note "OpenSMTPD, by MX"
verdict p ann@bsd.test 10 'deliverable (250 2.1.5 Destination address valid: Recipient ok)'
verdict p nobody@bsd.test 10 "undeliverable (host mx.bsd.test\[$BSD\] said: 550 Invalid recipient: <nobody@bsd.test> (in reply to RCPT TO command))"
verdict p ann@lost2.test 10 'undeliverable (*550 Invalid recipient*'

# not one of them may think that a mail was begun and lost
! grep -E 'improper command pipelining|lost connection after (RCPT|DATA)|non-SMTP command' "$PFLOG" || fail "Postfix complains"
[ -z "$(find "$PFQ/incoming" "$PFQ/active" "$PFQ/deferred" -type f 2>/dev/null)" ] || fail "mail was left in Postfix's queue"
vouch_stop p
log_clean "$(vouch_log p)"
