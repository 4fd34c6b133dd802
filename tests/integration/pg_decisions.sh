# pg_decisions.sh - identical decisions with and without a database: the decision table over both (tests/tools/decide.c)
. ./lib.sh
. ./lib_pg.sh

pg_make one
timeout 60 "$TOOLS/decide" "$(map one)" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
note "$(tail -n 1 "$T/out")"
