#!/bin/bash
# Whole runs against a real etcd on a local cluster, and what they leave: verdict, history, reports.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

# Every window has successes of each function, or the report names those that had none: a fault that nothing was seen
# of must not look like one that was survived.
expect_told_availability() { # RESULTS
    json_lines "$1" >"$work/lines"
    local windows window f ok
    windows=$(sed -n 's/^\.checkers\.availability\.windows\.\([0-9]*\)\.fault .*/\1/p' "$work/lines")
    [ -n "$windows" ] || fail "no fault has a window"
    for window in $windows; do
        for f in read write cas; do
            ok=$(sed -n "s/^\.checkers\.availability\.windows\.$window\.by-f\.$f\.ok-count //p" "$work/lines")
            [ "${ok:-0}" -gt 0 ] || grep -qE "^\.checkers\.availability\.windows\.$window\.missing\.[0-9]+ \"$f\"" "$work/lines" ||
                fail "no $f succeeded in window $window, and it is not told"
        done
    done
}

expect_verified_faults() { # RUN AT-LEAST
    json_lines "$1/results.json" >"$work/lines"
    local begun ended
    begun=$(grep -cE '^\.faults\.[0-9]+\.begin\.verified true' "$work/lines")
    ended=$(grep -cE '^\.faults\.[0-9]+\.end\.verified true' "$work/lines")
    [ "$begun" -ge "$2" ] || fail "only $begun faults were verified"
    [ "$ended" -eq "$begun" ] || fail "$begun faults were seen to begin, but $ended to end"
    expect_no_match "$work/lines" '^\.faults\.[0-9]+\.(begin|end)\.verified false'
    [ "$(grep -c '"phase":"begin"' "$1/schedule.jsonl")" -eq "$begun" ] || fail "the schedule tells other faults"
    [ "$(grep -c '"phase":"end"' "$1/schedule.jsonl")" -eq "$begun" ] || fail "the schedule tells other ends"
}

expect_run_files() { # RUN NODES
    expect_file "$1/schedule.jsonl"
    expect_faultless_run_files "$@"
}
# Those of a run that ended before its first fault, too.
expect_faultless_run_files() { # RUN NODES
    local i
    expect_file "$1"/{plan.json,history.ordeal,history.edn,results.json,ordeal.log}
    ! have_report text || expect_file "$1/report.txt"
    ! have_report html || expect_file "$1/report.html"
    ! have_report junit || expect_file "$1/junit.xml"
    for ((i = 1; i <= $2; i++)); do expect_file "$1/nodes/n$i/etcd.log"; done
}

etcd_survives_all_faults() {
    run ordeal run --local 5 --cluster "$(cluster_name valid)" --store "$store" --system etcd --workload register \
        --nemesis partition,kill,pause --time-limit 60s --rate 500
    expect_status 0
    local directory nemesis
    directory=$(newest_run)
    expect_run_files "$directory" 5
    expect_json "$directory/results.json" '^\.valid true' '^\.test\.interrupted false' '^\.test\.system-version "etcd 3'
    expect_verified_faults "$directory" 3
    for nemesis in partition kill pause; do
        expect_match "$directory/schedule.jsonl" "\"nemesis\":\"$nemesis\""
    done
    expect_told_availability "$directory/results.json"
    expect_gone "$(cluster_name valid)" 1
}

# What a stored run says can be said again from its history alone.
stored_run_is_judged_again() {
    local directory file
    directory=$(newest_run)
    run ordeal check "$directory" --json
    expect_status 0
    expect_json out '^\.valid true' '^\.checkers\.linearizable\.valid true' '^\.faults\.0\.'
    run ordeal check "$directory/history.edn" --model cas-register --json
    expect_status 0
    expect_json out '^\.valid true'
    for file in copy.ordeal copy.edn copy.json copy.jsonl; do
        run ordeal convert "$directory/history.edn" "$work/$file"
        expect_status 0
        run ordeal check "$work/$file" --model cas-register --json
        expect_status 0
        expect_json out '^\.checkers\.linearizable\.valid true'
    done
    run ordeal report "$directory" --format json
    expect_status 0
    expect_json out '^\.valid true'
}

# Serializable reads are answered by one member alone, so a partition leaves stale ones for all to see.
stale_reads_are_caught() {
    local limit=20s directory
    [ "${ORDEAL_LONG:-}" != 1 ] || limit=120s
    run ordeal run --local 5 --cluster "$(cluster_name invalid)" --store "$store" --system etcd --workload register \
        --nemesis partition --set etcd.reads=serializable --time-limit $limit --rate 500
    expect_status 1
    directory=$(newest_run)
    expect_run_files "$directory" 5
    expect_json "$directory/results.json" '^\.valid false' '^\.checkers\.linearizable\.valid false' \
        '^\.checkers\.linearizable\.anomalies\.[0-9]+\.certified true' \
        '^\.checkers\.linearizable\.anomalies\.[0-9]+\.text ".*the read of ([0-9]+|nil) by process [0-9]+ .*(write of|cas from) [0-9]+'
    expect_verified_faults "$directory" 1
    run ordeal check "$directory" --json
    expect_status 1
    expect_json out '^\.valid false'
}

# The same, watched: the run ends at the first stale read that is certain, long before its time, healed and judged.
first_violation_ends_the_run() {
    local directory
    run ordeal run --local 5 --cluster "$(cluster_name watched)" --store "$store" --system etcd --workload register \
        --nemesis partition --set etcd.reads=serializable --time-limit 120s --rate 500 --stop-on-violation
    expect_status 1
    expect_match err 'a violation was seen: healing, then judging what there is: .*not linearizable'
    directory=$(newest_run)
    # A stale read may come before the first fault: then there is no schedule.
    expect_faultless_run_files "$directory" 5
    expect_json "$directory/results.json" '^\.valid false' '^\.checkers\.linearizable\.valid false' \
        '^\.test\.stopped-on-violation true' '^\.test\.violation-seen ' '^\.test\.duration-s [0-9]{1,2}(\.|$)'
}

it "etcd passes under partitions, kills and pauses" etcd_survives_all_faults
it "a stored run is judged and converted again" stored_run_is_judged_again
it "stale reads of a partitioned etcd are caught and explained" stale_reads_are_caught
it "the first certain violation ends a run that is watched for it" first_violation_ends_the_run
it "nothing is left behind" nothing_is_left
finish
