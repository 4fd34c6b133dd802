# pg_clean.sh - expired rows go, others stay, and a clock that was wrong once keeps nobody from it
. ./lib.sh
. ./lib_pg.sh

pg_make one
vouch_pg a one
now=$(date +%s)
year=$((366 * 86400))
# row ADDRESS STATUS PROBED UPDATED
row() { echo "('$1', $2, $3, $4, 0, $4, 1, 'x')"; }
old_rows() {
	sql one "INSERT INTO vouch_address VALUES $(row old@test 0 0 $((now - year))), $(row lost@test 3 $((now - 86400)) 0),
	    $(row new@test 0 0 $((now - 60))), $(row asked@test 3 $((now - 5)) 0), $(row soon@test 2 0 $((now + 3600)))
	    ON CONFLICT DO NOTHING"
}
left() { sql one "SELECT string_agg(address, ' ' ORDER BY address) FROM vouch_address"; }
done_now() { [ "$(sql one "SELECT done BETWEEN $now * 1000000::bigint AND $(date +%s%6N) FROM vouch_lease WHERE name = 'address'")" = t ]; }

# a host whose clock was a year ahead held the lease; another had such a clock when it was through
for lease in "77, $(((now + year) * 1000000)), 'zzz', 0" "77, 0, '', $(((now + year) * 1000000))"; do
	old_rows
	sql one "DELETE FROM vouch_lease; INSERT INTO vouch_lease VALUES ('address', $lease)"
	vouch_start a
	wait_for 20 done_now
	[ "$lease" = "${lease#*zzz}" ] || { vouch_stop a; continue; }		# that one went on behind zzz
	want "what is left" "$(left)" "asked@test new@test soon@test"
	vouch_stop a
done

# one that is at it just now, or was through an hour ago, is left alone; so are clocks that are seconds apart. The lease is asked for
# as soon as the first changes were read, the log has its line when the connection has held for a second
for n in 1 2 3; do
	case $n in
	1) lease="77, $(((now + 130) * 1000000)), '', 0" ;;
	2) lease="77, 0, '', $(((now - 3600) * 1000000))" ;;
	3) lease="77, 0, '', $(((now + 60) * 1000000))" ;;
	esac
	old_rows
	sql one "DELETE FROM vouch_lease; INSERT INTO vouch_lease VALUES ('address', $lease)"
	vouch_pg other$n one
	vouch_start other$n
	wait_for 10 logged other$n ': connected'
	want "holder $n" "$(sql one "SELECT holder FROM vouch_lease")" 77
	want "what is left $n" "$(left)" "asked@test lost@test new@test old@test soon@test"
	vouch_stop other$n
done
