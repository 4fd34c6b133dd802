# pg_hostile.sh - whatever addresses, texts, rows and the server's own words hold: stored or refused as DATABASE_README says, never
# interpreted, never told to a mail client; and passwords are shown nowhere
. ./lib.sh
. ./lib_pg.sh

pg_make one
vouch_pg a one
vouch_pg b one smtputf8_enable=no
# the password is in master.cf, where a process gets it as an argument
sed -i "s|^verify .*|&\\n  -o { address_verify_map = $(map one) password=s3cr3t }|" "$T/a/etc/master.cf"
for h in a b; do
	vouch_start $h
done
up() { [ "$(vouch_stat "$1" database)" = up ]; }
wait_for 10 logged a ': connected'
wait_for 10 logged b ': connected'
A=$(verify_socket a) B=$(verify_socket b)
update() { "$BIN/vouch" -c "$T/$1/etc" update "$2" "$3" "$4" >/dev/null 2>&1; }
# reason ADDRESS - its text in the database; the address is quoted by psql
reason() {
	printf '%s' "SELECT reason FROM vouch_address WHERE address = :'a'" |
		psql -X -q -A -t -h "$T/one.pg" -p "$(pg_port one)" -U postgres -d vouch -v a="$1"
}
tables() { sql one "SELECT md5(string_agg(relname || relkind::text || relnatts, ',' ORDER BY relname)) FROM pg_class WHERE relname LIKE 'vouch%'"; }
before=$(tables)

# as an address, and as a text: what SQL, its arrays, its escapes, CSV, printf or a shell might take for theirs
n=0
while IFS= read -r weird; do
	n=$((n + 1))
	update a "$weird.$n@weird.test" bounce "$weird" || [ $? = 1 ] || fail "update of $weird"
	same "text of \"$weird\"" "$(reason "$weird.$n@weird.test")" "$weird"
	same "answer" "$("$BIN/vouch" -c "$T/b/etc" query -- "$weird.$n@weird.test")" "$weird.$n@weird.test: undeliverable ($weird)"
done <<'EOM'
it's
"quoted"
'; DROP TABLE vouch_address; --
{a,"b",NULL}
NULL
\x00\n\\
$1 $$ $tag$
%s%n%d
U&'\0041'
E'\''
/* comment
`id` $(id)
a,b;c
EOM
[ $n = 13 ] || fail "only $n cases"
want "rows" "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE '%@weird.test'")" $n
same "tables" "$(tables)" "$before"
"$BIN/vouch" -c "$T/a/etc" export '@weird.test' >"$T/export" || fail export
want "exported" "$(wc -l <"$T/export")" $((n + 1))
"$BIN/vouch" -c "$T/a/etc" forget '@weird.test' >/dev/null || fail forget
"$BIN/vouch" -c "$T/a/etc" forget "'; DELETE FROM vouch_address; --@weird.test" >/dev/null || fail forget
want "rows" "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE '_%@weird.test' AND status < 3")" 0

# control characters and invalid UTF-8: in a text they become ?, in an address nothing takes them that has to be UTF-8
update a ctrl@x.test bounce "$(printf 'a\033[31m\nfake: b\377c\302')"
same "text" "$(reason ctrl@x.test)" "a?[31m?fake: b?c?"
raw=$(printf 'm\377@x.test')
update a "$raw" bounce "not UTF-8"
want "with smtputf8_enable: not kept" "$(ask "$A" "$raw")" "3 *"
wait_for 5 counted a updates_lost 1
update b "$raw" bounce "not UTF-8"
want "without: kept on this host" "$(ask "$B" "$raw")" "2 not UTF-8"
update a @x.test bounce "a domain?"
want "address that begins with @" "$(ask "$A" @x.test)" "2 a domain?"
want "neither is in the database" "$(sql one "SELECT count(*) FROM vouch_address WHERE reason IN ('not UTF-8', 'a domain?')")" 0
long=$(head -c 10000 /dev/zero | tr '\0' y)
update a "$long@x.test" bounce "long address"
want "address of 10 kB" "$("$BIN/vouch" -c "$T/a/etc" query -- "$long@x.test" | sed 's/.*: //')" "deferred (Address verification status unavailable)"
want "is not in the database" "$(sql one "SELECT count(*) FROM vouch_address WHERE length(address) > 1000 OR reason = 'long address'")" 0
# the same from a file: lines that cannot be used are named, the others are imported, also when their texts are long
printf 'good@file.test\t2:0:1700000000:fine\nnul\0@file.test\t2:0:1700000000:x\nm\377@file.test\t2:0:1700000000:x\n' >"$T/file"
printf '%s@file.test\t2:0:1700000000:x\n@file.test\t2:0:1700000000:x\n' "$long" >>"$T/file"
awk -v long="$long" 'BEGIN { for (i = 0; i < 1200; i++) printf "long%d@file.test\t2:0:1700000000:%s\n", i, long }' >>"$T/file"
"$BIN/vouch" -c "$T/a/etc" import "$T/file" >"$T/out" 2>&1
same "import" "$(grep imported= "$T/out")" "vouch: imported=1201 known=0 unfinished=0 bad=4"
grep -q 'line 2: a NUL byte' "$T/out" || fail "complaints: $(cat "$T/out")"
want "rows" "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE '%@file.test'")" 1201

# what the server says: to the log, one line, cleaned; clients hear nothing of it
sql one "CREATE FUNCTION leak() RETURNS trigger LANGUAGE plpgsql AS \$f\$ BEGIN
	RAISE NOTICE 'LEAKED notice'; RAISE WARNING 'LEAKED warning';
	IF NEW.address LIKE 'data%' THEN RAISE EXCEPTION E'LEAKED data\\nfake: line\\x1b[31m %', NEW.address USING ERRCODE = '22023'; END IF;
	IF NEW.address LIKE 'any%' THEN RAISE EXCEPTION 'LEAKED %', repeat('words ', 1000) USING ERRCODE = '58000'; END IF;
	IF NEW.address LIKE 'rule%' THEN RAISE EXCEPTION 'LEAKED rule'; END IF;
	RETURN NEW; END \$f\$; CREATE TRIGGER leak BEFORE INSERT OR UPDATE ON vouch_address FOR EACH ROW EXECUTE FUNCTION leak()"
for address in fine data rule any; do
	{ ask "$A" $address@leak.test
	"$TOOLS/vload" -s "$A" -A $address@leak.test -u 100 -S 2 -n 1 -p
	wait_for 10 up a
	ask "$A" $address@leak.test; } >>"$T/heard" 2>&1
done
grep -q LEAKED "$T/heard" && fail "clients heard: $(cat "$T/heard")"
want "answers to two queries for each" "$(grep -c '^[0-3] ' "$T/heard")" 8
want "answers to one update for each" "$(grep -c 'errors=0.* updates=1 ' "$T/heard")" 4
for address in data rule; do
	want "what was refused for what it is stays on this host" "$(ask "$A" $address@leak.test)" "2 *"
done
wait_for 5 counted a db_unwritable 2
logged a 'data@leak.test: LEAKED data: it stays on this host' || fail "no line in the log about data"
logged a 'LEAKED words' || fail "no line in the log about the rest"
logged a 'LEAKED \(notice\|warning\)' && fail "notices in the log"
LC_ALL=C grep -q "$(printf '\033')" "$T/a/log/vouch.log" && fail "control characters in the log"
[ "$(LC_ALL=C awk 'length > m { m = length } END { print m }' "$T/a/log/vouch.log")" -le 700 ] || fail "a long line in the log"
grep -q '^[^A-Z]' "$T/a/log/vouch.log" && fail "a line of somebody else in the log"
sql one "DROP FUNCTION leak CASCADE" 2>/dev/null || fail drop
sql one "INSERT INTO vouch_address VALUES ('row@x.test', 2, 0, $(date +%s), 0, 0, 1, E'two\\nlines\\x1b[31m')"
bad=$(vouch_stat b db_bad_rows)
want "a text in the database that none of us wrote" "$(ask "$B" row@x.test)" "3 *"
wait_for 5 counted b db_bad_rows $((bad + 1))
update b row@x.test ok fine
want "is replaced by the next result" "$(reason row@x.test)" fine
wait_for 10 up a

# the password is in none of what an administrator or a neighbour sees
for seen in "log $(cat "$T/a/log/vouch.log")" "processes $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ')" \
    "vouchconf $("$BIN/vouchconf" -c "$T/a/etc" -M; "$BIN/vouchconf" -c "$T/a/etc" -P; "$BIN/vouchconf" -c "$T/a/etc")" \
    "vouch $("$BIN/vouch" -c "$T/a/etc" check 2>&1; "$BIN/vouch" -c "$T/a/etc" stats; "$BIN/vouch" -c "$T/a/etc" explain x@y 2>&1)"; do
	case $seen in
	*s3cr3t*) fail "the password is shown by: ${seen%% *}" ;;
	esac
done
"$BIN/vouchconf" -c "$T/a/etc" -P | grep -q 'address_verify_map = .*password=\*\*\*' || fail "vouchconf -P shows no map at all"
log_clean "$T/a/log/vouch.log"
log_clean "$T/b/log/vouch.log"
