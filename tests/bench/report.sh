#!/bin/bash
# tests/bench/report.sh BUILD OPERATIONS: what the report of a run of so many operations costs, and the list of thousands of runs.
# Needs node, for the histories (tests/browser/made.mjs), and GNU time, for the memory.
set -eu
build=$(realpath "$1") operations=$2
source=$(realpath "$(dirname "$0")/../..")
export ROOM; ROOM=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -INT "$server"; rm -rf "$ROOM"' EXIT
cp "$source/tests/browser/made.mjs" "$ROOM"
run=$ROOM/run/20261121T083015.123Z
mkdir -p "$run"
node "$ROOM/made.mjs" large "$operations" >"$ROOM/made.edn"
"$build/ordeal" convert "$ROOM/made.edn" "$run/history.ordeal" >/dev/null
"$build/ordeal" check "$run/history.ordeal" --checker stats --json >"$run/results.json"
rm "$ROOM/made.edn"

echo "report.html of $operations operations, three times:"
for i in 1 2 3; do
    command time -f '  %e s, %U s of them computing, %M KiB at most' "$build/ordeal" report "$run" --format html -o "$ROOM/$i.html" >/dev/null
done
echo "  $(stat -c %s "$ROOM/1.html") bytes"
cmp "$ROOM/1.html" "$ROOM/2.html" && cmp "$ROOM/1.html" "$ROOM/3.html" && echo "  the same bytes each time"

node "$ROOM/made.mjs" many "$run/results.json"
"$build/ordeal" serve --store "$ROOM/many" --listen 127.0.0.1:0 >"$ROOM/said" 2>&1 &
server=$!
until place=$(grep -oE 'http://127\.0\.0\.1:[0-9]+' "$ROOM/said"); do sleep 0.1; done
echo "the list of 3000 runs by ordeal serve, the first time and then:"
for i in 1 2 3 4 5 6; do curl -s -o /dev/null -w '  %{time_total} s, %{size_download} bytes\n' "$place/"; done
