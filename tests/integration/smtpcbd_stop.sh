# smtpcbd_stop - smtpcbd is stopped in the middle of a wait: who waits is told, whole; who comes then is refused, or told to try
# later for a moment, as smtpcbd_on_stop says
. ./lib.sh
command -v perl >/dev/null || skip "needs perl"
perl -MIO::Socket::INET -e 1 2>/dev/null || skip "needs perl's IO::Socket::INET"

P=$LO:4571
# raw TEXT - send it, end our side, print what comes back; "refused" when nobody listens
raw() {
	printf "$1" | perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 60) or do { print "refused\n"; exit };
		local $/; $SIG{PIPE} = "IGNORE"; print $s <STDIN>; $s->flush; shutdown $s, 1; $SIG{ALRM} = sub { die "no end\n" }; alarm 60;
		print <$s>;' "$P" 2>&1
}
is_refused() { [ "$(raw '<>\n')" = refused ]; }
is_told() { case $(raw '<a@b.test>\n') in "TEMPFAIL:service is being stopped::"*) return 0 ;; esac; return 1; }
served() { [ "$(raw '<>\n' | cut -c 1-3)" = OK: ]; }

vouch_make p smtpcbd_prefork_limit=1
echo "$P inet n - n - 1 smtpcbd" >>"$T/p/etc/master.cf"
for how in refuse tempfail; do
	vouch_set p smtpcbd_on_stop=$how
	vouch_start p
	wait_for 10 served
	had=$(vouch_stat p queries)
	held=
	for i in $(seq 20); do
		raw "<$how$i@wait.test>\\n" >"$T/held.$i" &
		held="$held $!"
	done
	wait_for 5 counted p queries $((had + 20))	# verify was asked: they wait now
	pid=$(workers "$T/p/queue" smtpcbd)
	"$BIN/vouch" -c "$T/p/etc" stop >"$T/stop.out" 2>&1 &
	stop=$!
	# shellcheck disable=SC2086
	wait $held
	for i in $(seq 20); do
		want "$how: who waits, $i" "$(cat "$T/held.$i")" "TEMPFAIL:address verification in progress:$how$i@wait.test:*"
	done
	[ $how = refuse ] || wait_for 3 is_told
	wait_for 8 gone "$pid"
	wait_for 5 is_refused
	wait $stop || fail "$how: vouch stop: $(cat "$T/stop.out")"
done
log_clean "$(vouch_log p)" 'does not end'
