#!/bin/bash
# tests/prove.sh: the proving ground. Every defect that ordeal-queue-defective can have must be convicted, by name, on the
# promise that it breaks; and the clean build must pass the same runs with the same seeds.
#
#   PROVE_SEEDS=5      how many seeds a defect is tried with        PROVE_DEFECT=a,b   only these
#   PROVE_CLEAN=5      clean runs of each; default: PROVE_SEEDS     PROVE_LIMIT=300    seconds until a seed has failed
#   PROVE_OUT=FILE     where the table goes; default: docs/proving-ground.md when all defects were tried
#   PROVE_KEEP=DIR     a convicted history of each defect, cut down to what shows it, goes there
#
# A seed counts the wall-clock time from the first run's start (raising a cluster, starting the queue, the faults, draining,
# judging) to the verdict; when a run does not convict, another one follows with the seed + 1000.
set -u
cd "$(dirname "$0")/.." || exit 1
ordeal=${ORDEAL:-./ordeal}
seeds=${PROVE_SEEDS:-5} clean=${PROVE_CLEAN:-${PROVE_SEEDS:-5}} limit=${PROVE_LIMIT:-300} only=${PROVE_DEFECT:-}
out=${PROVE_OUT:-} keep=${PROVE_KEEP:-}
simulated=$(dirname "$(readlink -f "$ordeal")")/tests/queue/simulated_history
[ "$(id -u)" -eq 0 ] || { echo "make prove needs root: it raises local clusters" >&2; exit 1; }
work=$(mktemp -d) cluster=prove-$$
trap '"$ordeal" local down --force --cluster $cluster >/dev/null 2>&1; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

# DEFECT WORKLOAD PROMISES(any of, as | separates) NEMESIS ARGUMENTS. `delivery.settle` says what these short faults allow: an
# operation of unknown outcome takes effect within 10 s or never.
defects() {
    local loss='--set queue.at-most-once=0 --set delivery.settle=10s'
    cat <<END
ack-before-fsync queue no-loss power --set power.targets=all $loss --nemesis-interval 4s --nemesis-duration 1s --time-limit 12s
vote-not-persisted queue no-loss kill,pause --set kill.targets=all --set pause.targets=primaries $loss --nemesis-interval 3s --nemesis-duration 1800ms --time-limit 30s --ready-timeout 20s --set queue.drain-limit=20s
disk-id-ignored queue no-loss disk --set disk.stage=trap --set disk.damage=wipe $loss --nemesis-interval 8s --nemesis-duration 4s --time-limit 20s
lease-wall-clock queue exclusive-lease clock --set clock.targets=primaries --set clock.offset=+10s --nemesis-interval 4s --nemesis-duration 1s --time-limit 12s
ttl-wall-clock queue ttl clock --set clock.targets=all --set clock.offset=+1h --set queue.expiring=0.5 --set queue.ttl-max=60s --promise ttl,no-loss $loss --nemesis-interval 4s --nemesis-duration 1s --time-limit 12s
reply-replay queue at-most-once kill --set kill.targets=primaries --set queue.at-most-once=0.5 --nemesis-interval 4s --nemesis-duration 1s --time-limit 15s
ack-any-attempt queue fencing none --set queue.hold=0.2 --set queue.lease=1s --time-limit 10s
take-local queue at-most-once|exclusive-lease none --set queue.at-most-once=0.5 --time-limit 10s
cut-committed-tail queue no-loss disk --set disk.stage=trap --set disk.damage=flip $loss --nemesis-interval 8s --nemesis-duration 4s --time-limit 20s
keys-not-in-snapshot queue-keys unique-key kill --set kill.targets=all --set queue.snapshot-entries=100 --set queue-keys.dequeue=0.3 --nemesis-interval 4s --nemesis-duration 1s --time-limit 12s
no-check-quorum queue progress partition --set partition.shape=deaf-primaries --set partition.packets=data --checkers delivery,progress,stats --set progress.within=3s --op-timeout 300ms --nemesis-interval 10s --nemesis-duration 8s --time-limit 14s
spool-deleted-early queue no-loss kill,partition --set kill.targets=all --set partition.shape=primaries --set queue.spooled=0.8 $loss --nemesis-interval 2500ms --nemesis-duration 1200ms --time-limit 15s
commit-old-term queue no-loss figure-8
snapshot-no-dirsync queue logs kill,power --set kill.targets=one --set power.targets=all --set power.file-system=strict --set power.stall=0s --checkers delivery,logs,stats --concurrency 24 --rate 3000 --set queue.snapshot-entries=100 --set queue.drain-limit=5s --ready-timeout 10s $loss --nemesis-interval 3s --nemesis-duration 2s --time-limit 15s
END
}

now() { date +%s; }
median() { sort -n | awk '{v[NR] = $1} END {if (NR) print ((NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2)}'; }

# Runs once; the promises broken go to $broken (names separated by blanks), the run's directory to $run, the exit status to $status.
try() { # DEFECT WORKLOAD NEMESIS SEED ARGUMENTS..
    local defect=$1 workload=$2 nemesis=$3 seed=$4
    shift 4
    if [ "$nemesis" = figure-8 ]; then
        simulate "$defect" "$seed"
        return
    fi
    "$ordeal" run --local 3 --cluster $cluster --store "$work/store" --system queue --workload "$workload" --nemesis "$nemesis" \
        --seed "$seed" --set "queue.defect=$defect" "$@" >"$work/out" 2>&1
    status=$?
    run=$(readlink -f "$work/store/latest")
    read_results
}

# The same of a simulated cluster (tests/queue/simulated_history.c), for faults that no nemesis can time: its clients' history
# goes to the same checker.
simulate() { # DEFECT SEED
    run=$work/store/simulated
    mkdir -p "$run"
    if ! "$simulated" "${1:-none}" "$2" >"$run/history.edn"; then
        status=2 broken=
        return
    fi
    "$ordeal" check "$run/history.edn" --checker delivery --promise no-loss --json >"$run/results.json" 2>"$work/out"
    status=$?
    read_results
}

read_results() {
    awk -f tests/lib/json_lines.awk "$run/results.json" >"$work/lines" 2>/dev/null || : >"$work/lines"
    broken=$(sed -n 's/^\.checkers\.delivery\.promises\.\([a-z-]*\)\.promised true$/\1/p' "$work/lines" | while read -r promise; do
        grep -qx "\.checkers\.delivery\.promises\.$promise\.valid false" "$work/lines" && printf '%s ' "$promise"
    done)
    local checker
    for checker in progress logs; do
        grep -qx "\.checkers\.$checker\.valid false" "$work/lines" && broken+="$checker "
    done
}

is_convicted() { # PROMISES
    local promise
    for promise in ${1//|/ }; do [[ " $broken" == *" $promise "* ]] && return; done
    return 1
}

# The events that show the first anomaly of the promise, with every drain where something is missing: enough to convict again,
# and of nothing that only the cutting made (a message whose sending was left out).
cut_down() { # DEFECT PROMISES
    local target=$keep/proved-$1.edn indices
    [ -n "$keep" ] && [ ! -e "$target" ] && [ -e "$run/history.edn" ] && [[ $2 != progress && $2 != logs ]] || return 0
    mkdir -p "$keep"
    local number title drains=0
    [[ $2 == *no-loss* || $2 == *ttl* ]] && drains=1
    for number in 0 1 2 3 4 5 6 7 8 9; do
        indices=$(sed -n "s/^\.checkers\.delivery\.anomalies\.$number\.events\.[0-9]* //p" "$work/lines")
        [ -n "$indices" ] || break
        { tr '\n' ' ' <<<"$indices"; echo; cat "$run/history.edn"; } | awk -v drains=$drains '
            NR == 1 {for (i = 1; i <= NF; i++) wanted[$i] = 1; next}
            {index_ = $2; sub(/,/, "", index_); process = $0; sub(/.*:process /, "", process); sub(/,.*/, "", process)}
            /:f :drain/ {sub(/:value \[[0-9 ]*\]/, ":value []"); if (drains) print; next} # (what was left out is not drained)
            index_ in wanted {print; if (/:type :invoke/) open[process] = 1; else delete open[process]; next}
            /:type :(ok|fail|info)/ && process in open {print; delete open[process]}' |
            awk '{sub(/:index [0-9]+/, ":index " NR - 1); print}' >"$work/cut.edn"
        "$ordeal" check "$work/cut.edn" --checker delivery --promise all --json >"$work/cut.json" 2>/dev/null
        awk -f tests/lib/json_lines.awk "$work/cut.json" >"$work/cut.lines"
        title=$(sed -n 's/^\.checkers\.delivery\.promises\.\([a-z-]*\)\.valid false$/\1/p' "$work/cut.lines" | paste -sd,)
        [[ ,$title, == *,no-phantom,* ]] && continue
        for promise in ${2//|/ }; do
            [[ ,$title, == *",$promise,"* ]] || continue
            { echo "; breaks $title"; cat "$work/cut.edn"; } >"$target"
            return 0
        done
    done
    echo "    (no cut-down history of $1 convicts again)"
}

failed=0
: >"$work/table"
prove() { # DEFECT WORKLOAD PROMISES NEMESIS ARGUMENTS..
    local defect=$1 workload=$2 promises=$3 nemesis=$4 seed began took times= found= names= convicted=0 false_ones=0 clean_valid=0
    shift 4
    for ((seed = 1; seed <= seeds; seed++)); do
        began=$(now)
        local this=$seed
        while :; do
            try "$defect" "$workload" "$nemesis" $this "$@"
            took=$(($(now) - began))
            is_convicted "$promises" && break
            [ $took -lt "$limit" ] || break
            this=$((this + 1000))
        done
        if is_convicted "$promises"; then
            convicted=$((convicted + 1)) times+="$took "
            found=${found:-$this} names+="$broken"
            cut_down "$defect" "$promises"
            echo "$defect, seed $this: convicted of $broken in $took s"
        else
            failed=1
            echo "$defect, seed $seed: NOT convicted within $took s (exit status $status, broken: ${broken:-nothing})"
        fi
    done
    for ((seed = 1; seed <= clean; seed++)); do
        try "" "$workload" "$nemesis" $seed "$@"
        [ "$status" -eq 0 ] && clean_valid=$((clean_valid + 1))
        [ -z "$broken" ] && [ "$status" -ne 1 ] && continue
        failed=1 false_ones=$((false_ones + 1))
        echo "$defect: the CLEAN build was convicted of $broken with seed $seed (exit status $status)"
        cp -r "$run" "/tmp/prove-false-$defect-$seed" 2>/dev/null && echo "    kept at /tmp/prove-false-$defect-$seed"
    done
    names=$(tr ' ' '\n' <<<"$names" | sort | uniq -c | sort -rn | awk 'NF == 2 {printf "%s%s (%d)", (NR > 1 ? ", " : ""), $2, $1}')
    printf '| `%s` | %s | %s | %s | %s of %s | %s | %s | %s of %s valid, %s convicted |\n' "$defect" "$nemesis" "${promises//|/ or }" "$names" \
        $convicted "$seeds" "$(tr ' ' '\n' <<<"$times" | grep . | median) (${times% })" "${found:-none}" $clean_valid "$clean" $false_ones >>"$work/table"
}

write_table() {
    cat <<END
# The proving ground

\`make prove\` plants each defect of \`ordeal-queue-defective\` ([DEFECTS.md](../queue/DEFECTS.md)) in a cluster of three local nodes,
runs the faults that show it, and demands a conviction on the promise that the defect breaks; the clean build runs the same
with the same seeds. This page is what it wrote on $(date -u +%F), with $seeds seeds a defect.

*Time* is the wall clock from the start of the first run to the verdict (raising the cluster, the faults, draining, judging): the median,
and each seed's. *Seed* is the first that convicts. A promise in brackets says in how many runs it was broken. A clean run that is
not valid and not convicted is unknown: a message may have been taken by an operation of unknown outcome.

| defect | nemesis | promise | convicted of | seeds | time (s) | seed | clean build |
|---|---|---|---|---|---|---|---|
END
    cat "$work/table"
    echo
    cat <<END
*figure-8* is no nemesis of \`ordeal run\`: it needs leaders that are cut off within milliseconds of an election, in one order of
five (figure 8 of the Raft paper), which nothing can time from outside. The queue's core, unchanged, runs in its simulator under just
that schedule, again and again for three seconds of simulated time (tests/queue/lib/raft_world_figure8.c); what the simulated clients
saw is a history, and \`ordeal check --checker delivery\` judges it. The simulator's own, all-seeing observer has no say in it.

*logs* is the checker that reads the systems' own logs: a node that has only lost power must not find its disk damaged. The disks are the
strict file system of \`power.file-system=strict\`, which keeps no name that was not synced; the journal of an ext4 keeps it by accident.
What a majority has is not lost by one such disk, so that no promise of deliveries is broken by it alone.

END
    echo "The runs, as arguments of \`ordeal run --local 3 --system queue --set queue.defect=DEFECT --workload ..\`:"
    echo
    echo '```'
    defects | grep -v figure-8 | while read -r name workload _ nemesis arguments; do echo "$name: $workload --nemesis $nemesis $arguments"; done
    echo '```'
    [ ! -e docs/proving-ground.md ] || sed -n '/^## Clean runs/{i\

p;:rest;n;p;b rest}' docs/proving-ground.md # written by hand, from tests/prove_clean.sh
}

while read -r -u 3 defect workload promises nemesis arguments; do
    [ -z "$only" ] || [[ ,$only, == *",$defect,"* ]] || continue
    # shellcheck disable=SC2086 # the arguments are words
    prove "$defect" "$workload" "$promises" "$nemesis" $arguments
done 3< <(defects)
[ -n "$out" ] || { [ -z "$only" ] && out=docs/proving-ground.md; }
write_table >"$work/page"
[ -z "$out" ] || cp "$work/page" "$out"
sed -n '/^| defect/,/^$/p' "$work/page"
exit $failed
