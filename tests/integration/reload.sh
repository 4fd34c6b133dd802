# reload.sh - fifty reloads at full load with our master: no request fails or is dropped; a broken configuration is refused
. ./lib.sh

vouch_make r
vouch_start r
S=$(verify_socket r)
Q=$T/r/queue
CF=$T/r/etc/main.cf
vload -s "$S" -K 10000 -n 10000 -u 100 -c 4 || fail "cannot fill: $LOAD"
first=$(workers "$Q" verify)

# clients that never pause, some of them for good on one connection, some coming and going; any end of file is an error
"$TOOLS/vload" -s "$S" -K 10000 -c 8 -o uniform -u 5 -d 90 -M -t 5 >"$T/stay" 2>&1 &
stay=$!
"$TOOLS/vload" -s "$S" -K 10000 -c 8 -o uniform -u 5 -d 90 -M -t 5 -R 100 >"$T/come" 2>&1 &
come=$!
i=0
while [ $i -lt 50 ]; do
	vouch_reload r >"$T/reload" 2>&1 || fail "reload $i: exit $?: $(cat "$T/reload")"
	i=$((i + 1))
	[ $((i % 2)) = 0 ] || sleep 0.2		# some follow each other at once, others come when all has settled
done
kill $stay $come
wait $stay || fail "clients that stay: $(cat "$T/stay")"
wait $come || fail "clients that come and go: $(cat "$T/come")"
note "stay: $(cat "$T/stay")"
note "come: $(cat "$T/come")"
for pid in $first; do
	wait_for 10 gone "$pid"			# the old workers had no reason to stay
done

# a changed parameter is in force
want "before" "$(ask "$S" user000000001@example.com)" "2 host 192.0.2.1 said: 550 *"
vouch_set r address_verify_reason_detail=fixed
want "changed, not yet reloaded" "$(ask "$S" user000000001@example.com)" "2 host 192.0.2.1 said: 550 *"
old=$(workers "$Q" verify)
vouch_reload r || fail "reload: exit $?"
wait_for 2 answers "$S" user000000001@example.com "2 Address does not accept mail"
# a reload that is refused changes nothing: what the last one has changed has come to its end
for pid in $old; do
	wait_for 10 gone "$pid"
done
all_there() { [ "$(workers "$Q" verify | wc -l)" -ge "$(printf '%s\n' "$first" | wc -l)" ]; }
wait_for 10 all_there

# refused CASE TEXT... - reload says so in one line that has each TEXT in it, exit 1, and all goes on as before
refused() {
	refused_case=$1
	shift
	before=$(workers "$Q" verify)
	vouch_reload r >"$T/reload" 2>&1
	want "$refused_case: exit status" $? 1
	for text do
		grep -F -q -e "$text" "$T/reload" || fail "$refused_case: \"$text\" is not in: $(cat "$T/reload")"
	done
	want "$refused_case: workers" "$(workers "$Q" verify)" "$before"
	want "$refused_case: answer" "$(ask "$S" user000000001@example.com)" "2 Address does not accept mail"
}
cp "$CF" "$T/good.cf"
lines=$(wc -l <"$CF")
echo "address_verify_probe_ttl = 5 parsecs" >>"$CF"
refused "wrong unit" "main.cf, line $((lines + 1))" address_verify_probe_ttl "5 parsecs"
cp "$T/good.cf" "$CF"
echo "no equals sign" >>"$CF"
refused "syntax" "main.cf, line $((lines + 1))" "missing '=' after attribute name"
cp "$T/good.cf" "$CF"
cp "$T/r/etc/master.cf" "$T/good.master.cf"
echo "verify2 unix - - n - many verify" >>"$T/r/etc/master.cf"
refused "master.cf" "master.cf" "line $(wc -l <"$T/r/etc/master.cf")" many
cp "$T/good.master.cf" "$T/r/etc/master.cf"
vouch_set r address_verify_reason_detail=full
# a parameter that needs a restart stays as it is, for the workers as well
mkdir -m 700 "$T/elsewhere"
mv "$CF" "$T/good.cf"
sed "s,^data_directory *=.*,data_directory = $T/elsewhere," "$T/good.cf" >"$CF"
vouch_reload r || fail "reload after the repair: exit $?"
wait_for 2 answers "$S" user000000001@example.com "2 host 192.0.2.1 said: 550 *"
grep -q "ignoring data_directory parameter value change" "$(vouch_log r)" || fail "nothing is said about data_directory"
want "files in another data_directory" "$(ls "$T/elsewhere")" ""
mv "$T/good.cf" "$CF"
vouch_reload r || fail "reload with the old data_directory: exit $?"
wait_for 2 answers "$S" user000000001@example.com "2 host 192.0.2.1 said: 550 *"
log_clean "$(vouch_log r)" "killed by|throttling"
