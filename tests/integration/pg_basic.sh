# pg_basic.sh - the shared database: what one host learns all know; wrong values; what must not be interpreted
. ./lib.sh
. ./lib_pg.sh

pg_make one
vouch_pg a one
vouch_pg b one
cleanupd_start a a --result 'bad-*=2:550 5.1.1 nobody' --result '0:250 2.1.5 Ok'
vouch_start a
vouch_start b
wait_for 10 logged a ': connected'
wait_for 10 logged b ': connected'
A=$(verify_socket a) B=$(verify_socket b)

# asked of one, known to both; the other host asks the database, and sends no probe
want "new address" "$(ask "$A" ann@test)" "3 *"
wait_for 5 answers "$A" ann@test "0 250 2.1.5 Ok"
want "on the other host" "$(ask "$B" ann@test)" "0 250 2.1.5 Ok"
want "probes of b" "$(vouch_stat b probes)" 0

# asked of both before there is a result: it comes to b within the interval and 250 ms
sql one "INSERT INTO vouch_address VALUES ('slow@test', 3, $(date +%s), 0, 0, 0, 1, '')"
want "claimed elsewhere" "$(ask "$B" slow@test)" "3 *"
want "probes of b" "$(vouch_stat b probes)" 0
"$TOOLS/vload" -s "$A" -A slow@test -K 1 -u 100 -S 2 -n 1 >/dev/null || fail "update"
begin=$(now_ms)
wait_for 20 answers "$B" slow@test "2 *"
took=$(($(now_ms) - begin))
note "result on the other host after $took ms"
[ $took -le 10000 ] || fail "result on the other host only after $took ms"

# OK is not clobbered, whoever says so; a negative result is replaced by a later one
sql one "INSERT INTO vouch_address VALUES ('good@test', 0, 0, $(date +%s), 0, 0, 1, 'fine')"
"$TOOLS/vload" -s "$A" -A good@test -K 1 -u 100 -S 2 -n 1 >/dev/null || fail "update"
want "keep OK, in the database" "$(sql one "SELECT status, reason FROM vouch_address WHERE address = 'good@test'")" "0|fine"
wait_for 20 answers "$A" good@test "0 fine"

# what is in an address or a text is data
weird() { "$BIN/vouch" -c "$T/a/etc" update "$1" bounce "$2" >/dev/null 2>&1; }
weird "o'brien\";--@test" "it's \"quoted\"; DROP TABLE vouch_address; -- \\ \$1 %s"
same "quotes" "$(sql one "SELECT reason FROM vouch_address WHERE address = 'o''brien\";--@test'")" \
    "it's \"quoted\"; DROP TABLE vouch_address; -- \\ \$1 %s"
want "quotes, asked" "$(ask "$B" "o'brien\";--@test")" "2 it's \"quoted\"; DROP*"
weird "$(printf 'm\303\274ller@test')" "$(printf 'gr\303\274n')"
same "UTF-8" "$(sql one "SELECT reason FROM vouch_address WHERE address = 'm' || chr(252) || 'ller@test'")" "$(printf 'gr\303\274n')"
long=$(head -c 10000 /dev/zero | tr '\0' x)
weird "long@test" "$long"
want "text of 10 kB, cut as in any request" \
    "$(sql one "SELECT length(reason) FROM vouch_address WHERE address = 'long@test'")" 8193
weird "$(head -c 1500 /dev/zero | tr '\0' y)@test" "long address"
"$BIN/vouch" -c "$T/a/etc" query "$(head -c 1500 /dev/zero | tr '\0' y)@test" | grep -q 'undeliverable (long address)' ||
    fail "address of 1.5 kB does not stay on the host"
want "and is not in the database" "$(sql one "SELECT count(*) FROM vouch_address WHERE reason = 'long address'")" 0

# a row that cannot be a record is mended by a claim, or ignored
sql one "INSERT INTO vouch_address VALUES ('odd@test', 7, -5, 0, 0, 0, 1, 'x'), ('lie@test', 0, 9000000000000000, 1, 0, 0, 1, 'x')"
want "odd row" "$(ask "$B" odd@test)" "3 *"
want "mended" "$(sql one "SELECT status, updated FROM vouch_address WHERE address = 'odd@test'")" "3|0"
want "lying row" "$(ask "$B" lie@test)" "3 *"
wait_for 5 counted b db_bad_rows 1

# nothing waits to be written; the counters say so
wait_for 10 cleaned a
[ "$(vouch_stat a db_unwritable)" = 0 ] || fail "a record could not be written"
want "state" "$(vouch_stat a database)" up
"$BIN/vouch" -c "$T/a/etc" stop || fail stop
"$BIN/vouch" -c "$T/b/etc" stop || fail stop

# a wrong value: one warning with the remedy, no password, and service from memory
vouch_set a address_verify_map="btree:$T/old"
vouch_start a
wait_for 5 logged a 'warning: address_verify_map = btree:.*not supported'
want "service" "$(ask "$A" ann@test)" "0 250 2.1.5 Ok"
"$BIN/vouch" -c "$T/a/etc" stop || fail stop
want "warnings" "$(grep -c 'not supported' "$T/a/log/vouch.log")" 1
vouch_set a address_verify_map='pgsql:host=x pasword=s3cret password=s3cret'
"$BIN/vouch" -c "$T/a/etc" start >"$T/out" 2>&1 && fail "started with a value that cannot be used"
grep -q "address_verify_map: 'pgsql:host=x pasword=.*not a valid connection string" "$T/out" || fail "reason: $(cat "$T/out")"
grep -q 'password=s3cret' "$T/out" && fail "the password is shown: $(cat "$T/out")"

# the whole schema's way of life
vouch_db one check >"$T/out" 2>&1 || fail "$(cat "$T/out")"
sql one 'REVOKE UPDATE ON vouch_address FROM vouch'
"$BIN/vouch" -c "$T/b/etc" db check >"$T/out" 2>&1 && fail "a missing privilege was not found"
grep -q 'no UPDATE privilege on vouch_address: GRANT UPDATE' "$T/out" || fail "reason: $(cat "$T/out")"
sql one 'UPDATE vouch_schema SET version = 99'
"$BIN/vouch" -c "$T/b/etc" db check >"$T/out" 2>&1 && fail "a wrong version was not found"
grep -q 'version 99, this vouch wants 2: use the newer vouch' "$T/out" || fail "reason: $(cat "$T/out")"
: >"$T/b/log/vouch.log"
vouch_start b
wait_for 5 logged b 'warning: database vouch at .*version 99'
want "service" "$(ask "$B" ann@test)" "0 250 2.1.5 Ok"
sql one 'UPDATE vouch_schema SET version = 2; GRANT UPDATE ON vouch_address TO vouch'
wait_for 10 logged b ': connected'

# a schema of version 1, without the table of greylisting, is enough for verify, and can be upgraded
sql one 'DROP TABLE vouch_greylist; UPDATE vouch_schema SET version = 1'
vouch_stop b
connected() { [ "$(vouch_stat "$1" database)" = up ]; }
no_state() { [ "$(vouch_stat "$1" database)" = none ]; }	# what the worker said last has lost its meaning
wait_for 5 no_state b
vouch_start b
wait_for 10 connected b
"$BIN/vouch" -c "$T/b/etc" db check >"$T/out" 2>&1 && fail "an old version was not found"
grep -q 'version 1, this vouch wants 2: run "vouch db upgrade"' "$T/out" || fail "reason: $(cat "$T/out")"
vouch_db one upgrade --role vouch >"$T/out" 2>&1 || fail "upgrade: $(cat "$T/out")"
"$BIN/vouch" -c "$T/b/etc" db check >"$T/out" 2>&1 || fail "after the upgrade: $(cat "$T/out")"
vouch_db one upgrade >"$T/out" 2>&1 || fail "upgrade, again: $(cat "$T/out")"
grep -q 'has version 2 already' "$T/out" || fail "upgrade, again: $(cat "$T/out")"
