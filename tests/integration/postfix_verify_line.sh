# postfix_verify_line.sh - our verify, started by Postfix's own master through one changed line of its master.cf
# VERIFY=postfix runs the same against Postfix's verify, as far as the two are meant to agree.
. ./lib.sh
. ./lib_postfix.sh
need_postfix
: "${VERIFY:=vouch}"

# reload_in_use - while clients of Postfix's manners ask without pause; none may fail, or get a wrong answer
reload_in_use() {
	"$TOOLS/vload" -s "$PFQ/private/verify" -n 1000 -K 1000 -u 100 -A "reload$1-%@remote.test" >/dev/null || fail "cannot fill"
	"$TOOLS/vload" -s "$PFQ/private/verify" -c 4 -d 4 -K 1000 -A "reload$1-%@remote.test" -o uniform -u 10 \
	    -R 500 -r 1000 -t 8 -M >"$T/load" 2>&1 &
	load=$!
	for _ in 1 2 3; do
		sleep 0.5
		postfix_reload 2>/dev/null || fail "postfix reload: $?"
		postfix_ask_rows
	done
	wait $load || fail "under reload: $(cat "$T/load")"
	note "reload: $(cat "$T/load")"
}

postfix_make
for variant in "n 1" "y 4"; do
	chroot=${variant% *} maxproc=${variant#* }
	if [ "$VERIFY" = vouch ]; then
		postfix_verify_ours "$chroot" "$maxproc"
	else
		postfix_service -M "verify/unix=verify unix - - $chroot - 1 verify"
	fi
	postfix_stop
	postfix_start
	postfix_dialogue "$chroot$maxproc"
	workers=$(workers "$PFQ" verify)
	[ -n "$workers" ] || fail "no verify process in $PFQ"
	if [ "$VERIFY" = vouch ]; then
		exe=$(readlink "/proc/${workers%%[!0-9]*}/exe")
		want "the program that serves" "$exe" "$(readlink -f "$LIBEXEC/verify")"
		reload_in_use "$chroot$maxproc"
		# the cache is still there: no probe, no poll
		before=$(postfix_probes)
		postfix_ask_rows 2900
		[ "$(postfix_probes)" = "$before" ] || fail "reload lost the cache"
	else
		postfix_reload 2>/dev/null		# it forgets at reload: everything is probed again
		postfix_dialogue "${chroot}again"
	fi
	workers=$(workers "$PFQ" verify)
	begin=$(now_ms)
	postfix -c "$PF" stop 2>/dev/null || fail "postfix stop: exit $?"
	for pid in $workers; do
		wait_for 5 gone "$pid"
	done
	[ $(($(now_ms) - begin)) -lt 5000 ] || fail "postfix stop took $(($(now_ms) - begin)) ms"
	if [ "$VERIFY" = vouch ]; then
		postfix_start
		before=$(postfix_probes)
		postfix_ask_rows 2900
		[ "$(postfix_probes)" = "$before" ] || fail "stop and start lost the cache"
	fi
done
log_clean "$PFLOG" "killed by|throttling|verify.*(warning|error):"
