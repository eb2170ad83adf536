#!/bin/bash
# tests/prove_clean.sh RUNS: so many short runs of the clean queue with every nemesis on, alternating the workloads queue and
# queue-keys and clusters of 3 and 5 nodes. Prints a line a run, and in the end runs, operations, verdicts and false convictions;
# fails when there was one. CLEAN_SEED=1 is the first seed; a convicted run is kept below /tmp.
set -u
cd "$(dirname "$0")/.." || exit 1
runs=${1:-100} first=${CLEAN_SEED:-1} ordeal=${ORDEAL:-./ordeal}
[ "$(id -u)" -eq 0 ] || { echo "make prove-clean needs root: it raises local clusters" >&2; exit 1; }
work=$(mktemp -d) cluster=clean-$$
trap '"$ordeal" local down --force --cluster $cluster >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP
valid=0 unknown=0 false_ones=0 failed=0 operations=0 faults=0
for ((i = 0; i < runs; i++)); do
    seed=$((first + i)) workload=queue nodes=3
    [ $((i % 2)) -eq 1 ] && workload=queue-keys
    [ $((i % 4)) -ge 2 ] && nodes=5
    "$ordeal" run --local $nodes --cluster $cluster --store "$work/store" --system queue --workload $workload --seed $seed \
        --nemesis partition,kill,pause,power,disk,clock --nemesis-interval 3s --nemesis-duration 1500ms \
        --time-limit 24s --set queue.snapshot-entries=1000 >"$work/out" 2>&1
    status=$?
    run=$(readlink -f "$work/store/latest")
    awk -f tests/lib/json_lines.awk "$run/results.json" >"$work/lines" 2>/dev/null || : >"$work/lines"
    count=$(sed -n 's/^\.checkers\.stats\.count //p' "$work/lines")
    seen=$(grep -cE '^\.faults\.[0-9]+\.begin\.verified true' "$work/lines")
    operations=$((operations + ${count:-0})) faults=$((faults + seen))
    case $status in
    0) valid=$((valid + 1)); verdict=valid ;;
    2) unknown=$((unknown + 1)); verdict=unknown ;;
    1) false_ones=$((false_ones + 1)); verdict=CONVICTED; cp -r "$run" "/tmp/clean-false-$seed" ;;
    *) failed=$((failed + 1)); verdict="failed with status $status"; cp "$work/out" "/tmp/clean-failed-$seed" ;;
    esac
    echo "run $((i + 1)): $workload, $nodes nodes, seed $seed: $verdict, ${count:-0} operations, $seen faults"
    [ $status -eq 0 ] || grep -E '^(UNKNOWN|INVALID|ordeal:)|^  (unknown|invalid) ' "$work/out" | sed 's/^/    /' | head -n 6
    rm -rf "$work/store"
done
echo "$runs clean runs, $operations operations, $faults faults seen in force: $valid valid, $unknown unknown, $false_ones convicted," \
    "$failed did not run"
[ $((false_ones + failed)) -eq 0 ]
