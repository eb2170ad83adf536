#!/bin/bash
# Whole runs of transactions against a real etcd: strictly serializable under faults, and convicted of stale reads where it
# is asked for reads that may be stale.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

txn_run() { # SUFFIX ARGUMENTS..
    run ordeal run --local 3 --cluster "$(cluster_name "$1")" --store "$store" --system etcd "${@:2}"
}

expect_tested() { # RESULTS KIND: transactions that read, wrote and succeeded, on keys that came and went
    expect_json "$1" "^\.checkers\.transactions\.kind \"$2\"" '^\.checkers\.transactions\.level "strict-serializable"' \
        '^\.checkers\.transactions\.ok-count [0-9]{3,}$' '^\.checkers\.transactions\.key-count [0-9]{2,}$' \
        '^\.checkers\.transactions\.recency\.read-count [0-9]{3,}$' '^\.checkers\.transactions\.recency\.stale-count 0$'
}

lists_are_strictly_serializable() {
    txn_run lists --workload list-append --nemesis partition,kill --nemesis-interval 6s --nemesis-duration 3s --time-limit 20s \
        --rate 400 --seed 1
    expect_status 0
    expect_tested "$(newest_run)/results.json" list-append
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.faults\.1\.begin\.verified true'
    expect_gone "$(cluster_name lists)" 1
}

registers_are_strictly_serializable() {
    txn_run registers --workload rw-register --nemesis partition --nemesis-interval 5s --nemesis-duration 3s --time-limit 10s \
        --rate 400 --seed 2
    expect_status 0
    expect_tested "$(newest_run)/results.json" rw-register
    expect_json "$(newest_run)/plan.json" '^\.set\.transactions\.linearizable-keys "promised"'
}

# Each read transaction comes from one moment of one member, which may be long past.
stale_lists_are_convicted() {
    txn_run stale --workload list-append --set etcd.reads=serializable --nemesis partition --nemesis-interval 5s \
        --nemesis-duration 4s --time-limit 12s --rate 400 --seed 3
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.valid false' \
        '^\.checkers\.transactions\.anomaly-counts\.G-single-item-realtime [0-9]+' \
        '^\.checkers\.transactions\.anomalies\.0\.text ".*T1 (did not observe|observed the initial) .*appen.*completed at event'
    # What serializable reads are documented to be, they are.
    run ordeal check "$(newest_run)" --level serializable --json
    expect_status 0
    expect_json out '^\.checkers\.transactions\.level "serializable"'
}

stale_registers_are_convicted() {
    txn_run old --workload rw-register --set etcd.reads=serializable --nemesis partition --nemesis-interval 5s \
        --nemesis-duration 4s --time-limit 12s --rate 400 --seed 4
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.valid false' \
        '^\.checkers\.transactions\.anomaly-types\.[0-9]+ "(cyclic-versions|G-single-item-realtime)"'
    run ordeal check "$(newest_run)" --level serializable --json
    expect_status 0
}

# Groups of registers, searched for one order of all transactions.
groups_happen_at_one_moment() {
    txn_run groups --workload multi-register --nemesis none --time-limit 2s --rate 400 --seed 6
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.model "multi-register"' \
        '^\.checkers\.linearizable\.ok-count [0-9]{3,}$' '^\.checkers\.linearizable\.keys-unknown 0$'
    txn_run torn --workload multi-register --set etcd.reads=serializable --nemesis partition --nemesis-interval 3s \
        --nemesis-duration 2s --time-limit 6s --rate 400 --seed 7
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid false'
}

# Watched, such a run ends at the first stale read that is certain, long before its time.
first_anomaly_ends_the_run() {
    txn_run watched --workload list-append --set etcd.reads=serializable --nemesis partition --nemesis-interval 5s \
        --nemesis-duration 4s --time-limit 90s --rate 400 --seed 5 --stop-on-violation
    expect_status 1
    expect_match err 'a violation was seen: healing, then judging what there is: not strict-serializable: '
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.valid false' '^\.test\.stopped-on-violation true' \
        '^\.test\.duration-s [0-9]{1,2}(\.|$)' '^\.checkers\.transactions\.recency\.stale-count [0-9]+'
}

it "lists on etcd are strictly serializable under partitions and kills" lists_are_strictly_serializable
it "so are registers" registers_are_strictly_serializable
it "lists read from one member alone are stale, and are convicted" stale_lists_are_convicted
it "so are registers" stale_registers_are_convicted
it "groups of registers change at one moment, and are convicted where reads may be old" groups_happen_at_one_moment
it "the first certain anomaly ends a run that is watched for it" first_anomaly_ends_the_run
it "nothing is left behind" nothing_is_left
finish
