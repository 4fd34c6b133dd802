# grey_forget.sh - vouch greylist allow, list and forget without a database: the tables of this host have no text, but its records have keys
. ./lib.sh
. ./lib_policy.sh

vouch_make g greylist_exempt_networks=
GREY=$LO:10040
policy_service g "$GREY" inet
vouch_start g
grey() { "$BIN/vouch" -c "$T/g/etc" greylist "$@" 2>&1 | sed -n '$s/^vouch: //p'; }
first() { policy_want "$1" "$GREY" client_address="$2" sender="$3" recipient=bob@example.com; }

first 'DEFER_IF_PERMIT *' 192.0.2.7 a@x.example
want "allow a network" "$(grey allow 192.0.2.9)" 'client 192.0.2.0/24 is known now'
first DUNNO 192.0.2.7 new@x.example
want "another network" "$(grey forget --client 192.0.3.9)" '0 records forgotten'
want "what waits, of a network" "$(grey forget --pending --client 192.0.2.7)" '0 records forgotten'
first DUNNO 192.0.2.7 new@x.example
want "the network" "$(grey forget --client 192.0.2.7)" '1 records forgotten'
first 'DEFER_IF_PERMIT *' 192.0.2.7 new@x.example

want "allow a sender" "$(grey allow 192.0.2.9 s@x.example)" 'sender s@x.example from 192.0.2.0/24 is known now'
first DUNNO 192.0.2.7 s@x.example
want "what waits, of a sender" "$(grey forget --pending --client 192.0.2.7 --sender s@x.example)" '0 records forgotten'
want "seen long ago" "$(grey forget --older 1h --client 192.0.2.7 --sender s@x.example)" '0 records forgotten'
first DUNNO 192.0.2.7 s@x.example
want "known, of a sender" "$(grey forget --known --client 192.0.2.7 --sender s@x.example)" '1 records forgotten'
first 'DEFER_IF_PERMIT *' 192.0.2.7 s@x.example

listed() { "$BIN/vouch" -c "$T/g/etc" greylist list "$@" 2>&1 | cut -d ' ' -f 1,2; }
want "list a triplet" "$(listed --client 192.0.2.7 --sender s@x.example --recipient bob@example.com)" 'triplet pending'
want "list it as known" "$(listed --known --client 192.0.2.7 --sender s@x.example --recipient bob@example.com)" ''
want "list a recipient" "$(listed --recipient bob@example.com)" "vouch: this"
want "a triplet" "$(grey forget --client 192.0.2.7 --sender s@x.example --recipient bob@example.com)" '1 records forgotten'
log_clean "$(vouch_log g)"
