#!/bin/bash
# tests/bench/run.sh BUILD: measures what the documents promise, and prints the figures with what was promised.
# Needs root (a local cluster). Run it with nothing else running: medians are of the runs given beside them.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build/release}
ordeal=$build/ordeal
work=$(mktemp -d "${TMPDIR:-/tmp}/ordeal-bench.XXXXXX")
cluster=bench-$$
trap '$ordeal local down --cluster $cluster >/dev/null 2>&1; rm -rf "$work"' EXIT
[ "$(id -u)" -eq 0 ] || { echo "make bench needs root: it raises local clusters"; exit 1; }

median() { sort -n | awk '{v[NR] = $1} END {if (NR) printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
row() { printf '| %-58s | %14s | %-12s |\n' "$1" "$2" "$3"; }

printf 'processors: %s, %s; kernel %s; load before: %s\n\n' "$(nproc)" "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" "$(uname -r)" "$(cut -d' ' -f1 /proc/loadavg)"
row "what" "measured" "promised"
row "----------------------------------------------------------" "--------------" "------------"

# Operations recorded a second: the noop client, ten workers, the history on disk; three runs of 3 s.
for i in 1 2 3; do
    $ordeal run --system noop --workload noop --nemesis none --rate 0 --local 1 --cluster $cluster --concurrency 10 --time-limit 3s \
        --store "$work/record" --json 2>/dev/null | awk '/"duration-s"/ {gsub(/[^0-9.]/, "", $2); d = $2} /"ok-count"/ && !ok {gsub(/[^0-9]/, "", $2); ok = $2} END {printf "%.0f\n", ok / d}'
    rm -rf "$work/record"
done >"$work/record.rates"
row "operations recorded a second, noop client, 10 workers" "$(median <"$work/record.rates") /s" ">= 200000 /s"

# Five nodes that answer SSH, from the command's start to its end; eleven runs.
for i in $(seq 11); do
    began=$(date +%s%N); $ordeal local up --nodes 5 --cluster $cluster >/dev/null 2>&1 || exit 1
    echo $((($(date +%s%N) - began) / 1000)); $ordeal local down --cluster $cluster >/dev/null 2>&1
done >"$work/up.us"
row "local up: five nodes answer SSH, median of 11" "$(median <"$work/up.us" | awk '{printf "%.0f ms", $1 / 1000}')" "<= 500 ms"

# A partition over five nodes, asked for by the controller until in force on all of them; from the schedule.
$ordeal run --system noop --workload noop --rate 10 --local 5 --cluster $cluster --nemesis partition --checkers stats --time-limit 30s \
    --nemesis-interval 600ms --nemesis-duration 100ms --store "$work/cut" >/dev/null 2>&1
grep '"phase":"begin"' "$work"/cut/latest/schedule.jsonl | grep '"verified":true' |
    sed -n 's/.*in force in \([0-9.]*\) \(us\|ms\).*/\1 \2/p' | awk '{print $2 == "ms" ? $1 * 1000 : $1}' >"$work/cut.us"
row "partition of five nodes in force, median of $(wc -l <"$work/cut.us")" "$(median <"$work/cut.us" | awk '{printf "%.2f ms", $1 / 1000}')" "<= 5 ms"
grep '"verified":true' "$work"/cut/latest/schedule.jsonl | sed -n 's/.*"asked-ns":\([0-9]*\),"done-ns":\([0-9]*\).*/\1 \2/p' | awk '{print ($2 - $1) / 1000}' >"$work/verify.us"
row "the same, begun or ended, with all paths probed, median" "$(median <"$work/verify.us" | awk '{printf "%.1f ms", $1 / 1000}')" ""

# Histories read, and folded over from memory; processor time on one core. Promised: 300 MB/s of EDN, 10 million operations/s.
echo; "$build/tests/bench/reading"
echo; "$build/tests/bench/folding"
echo; echo "the delivery checker, processor time on one core; promised: 10 M operations a second, 64 bytes a message"; "$build/tests/bench/delivery"
