# postfix_import.sh - the cache of Postfix's own verify, as postmap -s prints it, taken over by vouch
. ./lib.sh
. ./lib_postfix.sh
need_postfix

postfix_make
postfix_set "address_verify_map=btree:$T/postfix/data/verify_cache" address_verify_cache_cleanup_interval=12h
postfix_start
"$TOOLS/vload" -s "$PFQ/private/verify" -A 'old-%@import.test' -K 100 -n 100 -u 100 >/dev/null || fail "updates"
"$TOOLS/vload" -s "$PFQ/private/verify" -A 'colon@[IPv6:2001:db8::1]' -u 100 -S 2 -n 1 >/dev/null || fail "update"
ask "$PFQ/private/verify" open@dead.test >/dev/null		# a probe under way, or just refused
postfix_stop
wait_for 10 gone "$PFPID"
postmap -c "$PF" -s "btree:$T/postfix/data/verify_cache" >"$T/dump" || fail "postmap -s"
note "$(wc -l <"$T/dump") entries: $(grep -c _LAST_CACHE_CLEANUP "$T/dump") of them the cleanup's"

vouch_make a
vouch_start a
"$BIN/vouch" -c "$T/a/etc" import "$T/dump" >"$T/out" 2>&1 || fail "import: $(cat "$T/out")"
want "import" "$(cat "$T/out")" "vouch: imported=10[12] known=0 unfinished=[01] bad=0"
"$TOOLS/vload" -s "$(verify_socket a)" -A 'old-%@import.test' -K 100 -n 100 -M >"$T/out" || fail "answers: $(cat "$T/out")"
want "IPv6 literal" "$(ask "$(verify_socket a)" 'colon@[IPv6:2001:db8::1]')" "2 *"
# the same into Postfix's instance, as POSTFIX_README has it
postmap -c "$PF" -s "btree:$T/postfix/data/verify_cache" | "$BIN/vouch" -c "$PF" import - >"$T/out" 2>&1 || fail "import for Postfix: $(cat "$T/out")"
want "import for Postfix" "$(tail -n 1 "$T/out")" "vouch: imported=10[12] known=0 unfinished=[01] bad=0"
want "found there" "$("$BIN/vouch" -c "$PF" list old-000000001@import.test)" "* old-000000001@import.test *"

# times as they were
want "status and time" "$("$BIN/vouch" -c "$T/a/etc" export old-000000001@import.test | tail -n 1 | cut -d , -f 2,4)" \
    "$(grep '^old-000000001@' "$T/dump" | cut -f 2 | awk -F : '{ print ($1 == 0 ? "ok" : $1 == 1 ? "defer" : "bounce") "," $3 }')"
