# pg_records.sh - list, export, import, forget, explain: in the database for all hosts, and in the cache of a host without one
# limit: 300
. ./lib.sh
. ./lib_pg.sh

pg_make one
vouch_pg a one verify_prefork_limit=2
vouch_pg b one
vouch_make alone
for h in a b alone; do
	vouch_start $h
done
for h in a b; do
	up() { [ "$(vouch_stat $h database)" = up ]; }
	wait_for 10 up
done
v() { lib_name=$1; shift; "$BIN/vouch" -c "$T/$lib_name/etc" "$@"; }
now=$(date +%s)

# an old cache of Postfix, as "postmap -s btree:..." prints it
tab=$(printf '\t')
cat >"$T/old" <<EOF
good@old.test${tab}0:0:$((now - 1000)):250 2.1.5 Ok: a:b:c
bad@old.test${tab}2:0:$((now - 2000)):host mx[192.0.2.1] said: 550 5.1.1 "no", such user
slow@old.test${tab}3:$((now - 10)):0:Address verification in progress
_LAST_CACHE_CLEANUP_COMPLETED_${tab}$now
refresh@old.test${tab}0:$((now - 5)):$((now - 700000)):250 fine
odd line
x@old.test${tab}junk
later@old.test${tab}1:0:$((now + 100000)):450 later
user@[IPv6_2001_db8__1]${tab}0:0:$((now - 5)):250 6
EOF
for h in a alone; do
	v $h import "$T/old" >"$T/out" 2>&1
	want "$h: exit status, bad lines" $? 1
	same "$h: import" "$(grep imported= "$T/out")" "vouch: imported=5 known=0 unfinished=1 bad=2"
	grep -q "line 6: no tab" "$T/out" && grep -q "line 7: the value is not" "$T/out" || fail "complaints: $(cat "$T/out")"
	# later@old.test, which is from the future, counts as now: a second later it is news again
	want "$h: again" "$(v $h import "$T/old" 2>/dev/null)" "vouch: imported=$([ $h = a ] && echo '5 known=0' || echo '[01] known=[45]') unfinished=1 bad=2"
	want "$h: asked" "$(ask "$(verify_socket $h)" good@old.test)" "0 250 2.1.5 Ok: a:b:c"
	want "$h: IPv6 literal" "$(ask "$(verify_socket $h)" 'user@[IPv6:2001:db8::1]')" "0 250 6"
	v $h export | sort >"$T/export.$h"
	# no result is from the future: later@old.test has the time when it was imported
	later=$(sed -n 's/^later@old.test,defer,0,\([0-9]*\),450 later$/\1/p' "$T/export.$h")
	[ "${later:-0}" -ge "$now" ] && [ "$later" -le "$(date +%s)" ] || fail "$h: later: $(cat "$T/export.$h")"
	sed -i "s/^later@old.test,defer,0,$later,/later@old.test,defer,0,imported,/" "$T/export.$h"
done
same "exports" "$(cat "$T/export.a")" "$(cat "$T/export.alone")"
grep -q "^bad@old.test,bounce,0,$((now - 2000)),\"host mx\[192.0.2.1\] said: 550 5.1.1 \"\"no\"\", such user\"$" "$T/export.a" ||
    fail "export: $(cat "$T/export.a")"

# several results for one address: as if they had come one after the other, OK stays
printf 'address,status,probed,updated,text\n' >"$T/twice"
for r in bounce,50,later ok,70,good defer,60,slow; do
	echo "twice@old.test,${r%%,*},0,$((now - $(echo "$r" | cut -d, -f2))),${r##*,}" >>"$T/twice"
done
printf 'once@old.test,ok,0,%s,old\nonce@old.test,ok,0,%s,new\nonce@old.test,defer,0,%s,older\n' $((now - 70)) $((now - 60)) $((now - 80)) >>"$T/twice"
v a import "$T/twice" >"$T/out" 2>&1 || fail "twice: $(cat "$T/out")"
same "twice" "$(v a export | grep '@old.test' | grep -E '^(twice|once)' | cut -d, -f2,5 | tr '\n' ' ')" "ok,new ok,good "
sort -t, -k4 "$T/twice" | grep -v '^address' >"$T/rest"
(head -n 1 "$T/twice"; cat "$T/rest") | v alone import - >"$T/out" 2>&1 || fail "twice, alone: $(cat "$T/out")"
same "twice, alone" "$(v alone export | grep -E '^(twice|once)' | sort | cut -d, -f2,5 | tr '\n' ' ')" "ok,new ok,good "

# a domain that is not ASCII: characters are counted where bytes would be too many
printf 'address,status,probed,updated,text\nann@m\303\274ller.test,ok,0,%s,fine\nBob@M\303\274ller.Test,ok,0,%s,fine\n' $((now - 9)) $((now - 8)) >"$T/utf8"
printf 'ann@xm\303\274ller.test,ok,0,%s,another\nann@s.m\303\274ller.test,ok,0,%s,another\n' $((now - 9)) $((now - 8)) >>"$T/utf8"
for h in a alone; do
	v $h import "$T/utf8" >"$T/out" 2>&1 || fail "$h: $(cat "$T/out")"
	want "$h: listed" "$(v $h export @m"$(printf '\303\274')"ller.test | grep -c ',fine$')" 2
	want "$h: forgotten" "$(v $h forget @m"$(printf '\303\274')"ller.test)" "*: 2 addresses forgotten*"
	v $h export >"$T/out"
	grep -q ',fine$' "$T/out" && fail "$h: still there: $(cat "$T/out")"
	want "$h: others" "$(grep -c ',another$' "$T/out")" 2
done

# there and back again: CSV with everything that must be quoted
printf 'address,status,probed,updated,text\r\n"o""brien,x@csv.test",2,0,%s,"two\nlines, ""quoted"""\r\n' $((now - 7)) >"$T/csv"
printf 'bad@old.test,ok,0,%s,fine now\nworse@csv.test,ok,0,no,x\n"open@csv.test,ok,0,1,x\n' "$now" >>"$T/csv"
v b import - <"$T/csv" >"$T/out" 2>&1
want "CSV: bad lines" $? 1
same "CSV" "$(grep imported= "$T/out")" "vouch: imported=2 known=0 unfinished=0 bad=2"
same "CSV: text" "$(sql one "SELECT reason FROM vouch_address WHERE address = 'o\"brien,x@csv.test'")" 'two?lines, "quoted"'
wait_for 3 answers "$(verify_socket a)" bad@old.test '0 fine now'
v a export '@CSV.test' | grep -q '^"o""brien,x@csv.test",bounce,' || fail "export of a domain: $(v a export '@CSV.test')"
want "list" "$(v a list bad@old.test)" "ok * bad@old.test  fine now"
want "list by status" "$(v a list --status defer | wc -l)" 1
want "list --json" "$(v a list --json bad@old.test)" '{"address":"bad@old.test","status":"ok","probed":0,*'

# on a terminal a bar, which ends with all of it
awk 'BEGIN { for (i = 0; i < 4000; i++) printf "bar%d@bar.test\t0:0:1700000000:250 fine\n", i }' >"$T/bar"
script -q -c "$BIN/vouch -c $T/b/etc import $T/bar" "$T/typescript" >/dev/null </dev/null || fail "import on a terminal"
tr '\r' '\n' <"$T/typescript" | grep -q '^imported: \[#\{40\}\] 100 % 4000 ' || fail "bar: $(tr '\r' '\n' <"$T/typescript")"
v a forget @bar.test >/dev/null || fail forget

# explain
v a explain bad@old.test >"$T/out" || fail "explain"
for line in "this host's cache:" "database vouch at" 'result     ok: fine now' 'expires ' 'by         a command' 'answer     ok: fine now' 'probe      no'; do
	grep -q "$line" "$T/out" || fail "explain lacks \"$line\": $(cat "$T/out")"
done
want "explain, nothing known" "$(v alone explain no@one.test)" "*nothing*in progress*yes*"

# forget: on this host at once, on the others within the interval
want "before" "$(ask "$(verify_socket b)" good@old.test)" "0 *"
v a forget good@old.test || fail forget
want "forgotten here" "$(ask "$(verify_socket a)" good@old.test)" "3 *"
wait_for 2 answers "$(verify_socket b)" good@old.test '3 *'
v alone forget good@old.test || fail forget
want "forgotten without database" "$(ask "$(verify_socket alone)" good@old.test)" "3 *"
# a result from before does not come back, one from after does
v a import "$T/old" >/dev/null 2>&1
want "old news" "$(sql one "SELECT updated FROM vouch_address WHERE address = 'good@old.test'")" 0
v b update good@old.test ok 'new 250' || fail update
wait_for 3 answers "$(verify_socket a)" good@old.test '0 new 250'

# a large file, and a large domain, and nobody notices (how long it may take: make bench)
N=${RECORDS:-200000}
awk -v n="$N" -v now="$now" 'BEGIN { for (i = 0; i < n; i++)
	printf "user%07d@big.test\t%d:0:%d:host mx.big.test[192.0.2.1] said: 250 2.1.5 Ok\n", i, i % 3, now - i % 10000 }' >"$T/big"
"$TOOLS/vload" -s "$(verify_socket b)" -A 'user%@small.test' -K 2000 -n 2000 -u 100 -S 0 -c 4 >/dev/null || fail fill
begin=$(now_ms)
v a import "$T/big" >"$T/out" 2>&1 || fail "import: $(cat "$T/out")"
took=$(($(now_ms) - begin))
same "large import" "$(cat "$T/out")" "vouch: imported=$N known=0 unfinished=0 bad=0"
note "imported $N in $took ms"
want "rows" "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE '%@big.test'")" "$N"
"$TOOLS/vload" -s "$(verify_socket b)" -A 'user%@small.test' -K 2000 -o uniform -S 0 -c 2 -w 2 -M -d 60 >"$T/load" 2>&1 &
load=$!
begin=$(now_ms)
v a forget @BIG.test >"$T/out" 2>&1 || fail "forget: $(cat "$T/out")"
took=$(($(now_ms) - begin))
kill $load
wait $load || fail "hits while a domain is forgotten: $(cat "$T/load")"
note "forgot $N in $took ms; hits meanwhile: $(cut -d ' ' -f 3-6 "$T/load")"
grep -q "$N addresses forgotten" "$T/out" || fail "forget: $(cat "$T/out")"
want "rows" "$(sql one "SELECT count(*) FROM vouch_address WHERE address LIKE '_%@big.test'")" 0
want "others" "$(ask "$(verify_socket b)" 'user000000001@small.test')" "0 *"
wait_for 3 answers "$(verify_socket b)" user0000001@big.test '3 *'
