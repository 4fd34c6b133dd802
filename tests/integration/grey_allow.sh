# grey_allow - "vouch greylist allow" on one host: what it says is so; a client that nobody would ever look up is refused
. ./lib.sh
. ./lib_policy.sh

vouch_make g
policy_service g policy unix
vouch_start g
P=$T/g/queue/private/policy
allow() { "$BIN/vouch" -c "$T/g/etc" greylist allow "$@" >"$T/said" 2>&1; }
mail() { policy_want "$1" "$P" client_address="$2" client_name=unknown sender="${3:-ann@x.example}" recipient=bob@y.example; }
LATER='DEFER_IF_PERMIT 4.2.0 *'
mail "$LATER" 192.0.2.1

for bad in 192.0.2.0/16 192.0.2.0/33 192.0.2.1/24 192.0.2.300 192.0.2 mail.example.org 2001:db8::/32; do
	allow "$bad"
	want "$bad: exit status ($(cat "$T/said"))" $? 1
	want "$bad: lines" "$(wc -l <"$T/said")" 1
	grep -q "^vouch: $bad is no.* greylist_client_allowlist$" "$T/said" || fail "$bad: $(cat "$T/said")"
done
allow 192.0.2.0/16 ann@x.example
want "a sender from a network of another size" $? 1
mail "$LATER" 192.0.2.1

allow 192.0.2.0/24 || fail "a network: $(cat "$T/said")"
mail DUNNO 192.0.2.1
mail "$LATER" 198.51.100.1
allow 198.51.100.9 || fail "an address: $(cat "$T/said")"
grep -q "client 198.51.100.0/24 is known now" "$T/said" || fail "an address: $(cat "$T/said")"
mail DUNNO 198.51.100.1
mail "$LATER" 2001:db8::1
allow 2001:db8::/64 || fail "IPv6: $(cat "$T/said")"
mail DUNNO 2001:db8::1
mail "$LATER" 203.0.113.1
allow 203.0.113.0/24 ann@x.example || fail "a sender: $(cat "$T/said")"
mail DUNNO 203.0.113.1
mail "$LATER" 203.0.113.1 other@z.example
log_clean "$(vouch_log g)" "killed by|throttling"
