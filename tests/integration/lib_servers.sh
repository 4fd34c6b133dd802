# tests/integration/lib_servers.sh - mail servers that nobody here wrote: Exim, OpenSMTPD, Dovecot, postgrey; sourced after lib.sh
# Their Debian packages conflict with Postfix: they are downloaded and unpacked into $T, and run in a mount namespace of their own,
# in which /usr, /etc and /var are what the host has plus the packages. Nothing is installed.

# servers_fetch - packages into $T/pkg; skips the test when they cannot be had
servers_fetch() {
	need_root
	unshare -m true 2>/dev/null || skip "needs mount namespaces (unshare -m)"
	mkdir -p "$T/pkg" "$T/root" "$T/up/etc" "$T/up/var" "$T/ovl/etc" "$T/ovl/var"
	(
		cd "$T/pkg" || exit 1
		apt-get -q download exim4-daemon-light libidn12 libgnutls-dane0 libunbound8 libdb5.3 libnsl2 libtirpc3 \
		    libevent-2.1-7 opensmtpd postgrey libberkeleydb-perl libnet-server-perl libnetaddr-ip-perl libnet-dns-perl \
		    libio-multiplex-perl dovecot-core dovecot-lmtpd libexttextcat-2.0-0 liblua5.4-0 libsodium23 libstemmer0d libwrap0 libunwind8
	) >"$T/fetch.log" 2>&1 || skip "needs apt-get download: $(tail -n 1 "$T/fetch.log")"
	for servers_deb in "$T"/pkg/*.deb; do
		dpkg -x "$servers_deb" "$T/root" || fail "dpkg -x $servers_deb"
	done
	cat >"$T/enter" <<EOM
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=$T/root/usr:/usr /usr
mount -t overlay overlay -o lowerdir=/etc,upperdir=$T/up/etc,workdir=$T/ovl/etc /etc
mount -t overlay overlay -o lowerdir=/var,upperdir=$T/up/var,workdir=$T/ovl/var /var
for user in Debian-exim:9991:/var/spool/exim4 opensmtpd:9992:/var/lib/opensmtpd/empty opensmtpq:9993:/nonexistent \\
    postgrey:9994:/var/lib/postgrey ann:9995:/home/ann dovecot:9996:/nonexistent dovenull:9997:/nonexistent; do
	name=\${user%%:*} rest=\${user#*:}
	id "\$name" >/dev/null 2>&1 && continue
	echo "\$name:x:\${rest%%:*}:\${rest%%:*}::\${rest#*:}:/usr/sbin/nologin" >>/etc/passwd
	echo "\$name:x:\${rest%%:*}:" >>/etc/group
done
EOM
	echo 'exec "$@"' >>"$T/enter"
	unshare -m sh "$T/enter" true >"$T/fetch.log" 2>&1 || skip "needs overlay mounts: $(tail -n 1 "$T/fetch.log")"
}
# inside COMMAND... - in a namespace of its own, in the background; its log is $T/NAME.log
inside() {
	servers_name=$1
	shift
	unshare -m sh "$T/enter" "$@" >"$T/$servers_name.log" 2>&1 &
	at_exit "stop_pid $!"
}
# smtp_up HOST PORT - a server greets there
smtp_up() { timeout 5 "$TOOLS/smtpsay" "$1" "$2" QUIT 2>/dev/null | grep -q 220; }

# exim_start HOST PORT [MAILDIR] - mail for exim.test: ann exists, sorry@ is deferred, everybody else does not exist; what is accepted
# goes to MAILDIR, or is thrown away
exim_start() {
	mkdir -p "$T/exim/spool" "$T/exim/log"
	servers_exim="file = /dev/null"
	[ -z "${3-}" ] || servers_exim="directory = $3
  maildir_format
  create_directory"
	cat >"$T/exim/exim.conf" <<EOM
primary_hostname = mx.exim.test
domainlist local_domains = exim.test
daemon_smtp_ports = $2
local_interfaces = $1
spool_directory = $T/exim/spool
log_file_path = $T/exim/log/%slog
acl_smtp_rcpt = check_rcpt
tls_advertise_hosts =
keep_environment =
never_users =
message_size_limit = 0
check_spool_space = 0
begin acl
check_rcpt:
  defer local_parts = sorry
        message = please try again later
  require verify = recipient
  accept domains = +local_domains
  deny message = relay not permitted
begin routers
local_user:
  driver = accept
  domains = +local_domains
  local_parts = ann
  transport = nothing
begin transports
nothing:
  driver = appendfile
  $servers_exim
  user = nobody
begin retry
EOM
	chown -R 9991:9991 "$T/exim"
	inside exim sh -c "mkdir -p /etc/exim4 && cp $T/exim/exim.conf /etc/exim4/exim4.conf && exec exim4 -bdf"
	wait_for 20 smtp_up "$1" "$2"
}

# opensmtpd_start HOST PORT - mail for bsd.test: ann exists
opensmtpd_start() {
	mkdir -p "$T/bsd/home"
	chown 9995:9995 "$T/bsd/home"
	cat >"$T/bsd/smtpd.conf" <<EOM
table accounts { ann = "9995:9995:$T/bsd/home" }
listen on $1 port $2 hostname mx.bsd.test
action "keep" maildir "$T/bsd/home/mail" userbase <accounts>
match from any for domain "bsd.test" action "keep"
EOM
	inside opensmtpd sh -c "mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd /run && chmod 711 /var/spool/smtpd &&
	    rm -f /var/run/smtpd.sock && exec smtpd -d -f $T/bsd/smtpd.conf"
	wait_for 20 smtp_up "$1" "$2"
}

# dovecot_start SOCKET MAILDIR - LMTP: mail for bob@next.test goes to MAILDIR, everybody else does not exist
dovecot_start() {
	mkdir -p "$T/dovecot/run" "$2"
	chown 9995:9995 "$2"
	echo "bob@next.test:{PLAIN}x:9995:9995::$T/dovecot::userdb_mail=maildir:$2" >"$T/dovecot/users"
	cat >"$T/dovecot/dovecot.conf" <<EOM
protocols = lmtp
base_dir = $T/dovecot/run
state_dir = $T/dovecot/run
log_path = $T/dovecot/dovecot.log
ssl = no
first_valid_uid = 1
mailbox_list_index = no
default_vsz_limit = 1G
passdb {
  driver = passwd-file
  args = $T/dovecot/users
}
userdb {
  driver = passwd-file
  args = $T/dovecot/users
}
service lmtp {
  chroot =
  unix_listener $1 {
    mode = 0666
  }
}
service stats {
  chroot =
}
EOM
	inside dovecot sh -c "rm -rf /etc/dovecot && mkdir /etc/dovecot && cp $T/dovecot/dovecot.conf /etc/dovecot/ && exec dovecot -F"
	wait_for 20 test -S "$1"
}

# postgrey_start SOCKET DELAY - greylisting for Postfix: a policy service
postgrey_start() {
	mkdir -p "$T/postgrey"
	inside postgrey sh -c "touch $T/postgrey/none && chown -R postgrey $T/postgrey && chmod 755 $T/postgrey &&
	    exec postgrey --unix=$1 --delay=$2 --dbdir=$T/postgrey --user=postgrey --group=postgrey \
	    --whitelist-clients=$T/postgrey/none --whitelist-recipients=$T/postgrey/none --pidfile=$T/postgrey/pid"
	wait_for 20 test -S "$1"
	chmod 666 "$1"
}
