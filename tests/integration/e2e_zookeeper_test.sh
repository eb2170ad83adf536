#!/bin/bash
# Whole runs against a real ZooKeeper ensemble of three: nothing breaks, what is cut off answers what is old, and locks are held
# by one alone.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
[ -e /usr/share/java/zookeeper.jar ] || skip_everything "needs zookeeper"
ordeal list systems | grep -q '^  zookeeper .*ZooKeeper' || skip_everything "needs a build with libzookeeper-mt"

zookeeper_run() { # NAME ARGUMENTS..
    run ordeal run --local 3 --cluster "$(cluster_name "$1")" --store "$store" --system zookeeper --seed 1 "${@:2}"
}

# The same partition for both ways to read: the first node alone, while the others go on. Reads have to be many where a write
# that gets no answer takes a worker's second.
cut_off() { # NAME READS ARGUMENTS..
    echo '[{"at": "1s", "nemesis": "partition", "set": {"shape": "map", "map": "n1:n2+n3,n2:n1,n3:n1"}, "for": "2s"}]' >"$work/cut.json"
    zookeeper_run "$1" --workload register --schedule "$work/cut.json" --time-limit 3500ms --set "zookeeper.reads=$2" \
        --set register.values=1000 --set register.cas=0 "${@:3}"
}

what_is_local_is_old() {
    cut_off old local --concurrency 18 --rate 600 --set register.read=9
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid false' '^\.faults\.0\.begin\.verified true' \
        '^\.test\.system-version "ZooKeeper 3[0-9.]+, local reads"'
    expect_file "$(newest_run)"/nodes/n3/zookeeper.log
}

what_a_majority_agrees_to_is_new() {
    cut_off new quorum --rate 200
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid true' '^\.faults\.0\.begin\.verified true' \
        '^\.checkers\.linearizable\.operation-count [0-9]{2,}'
}

one_alone_holds_it() {
    zookeeper_run lock --workload lock --nemesis none --time-limit 2s
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.model "fenced-mutex"' '^\.checkers\.stats\.by-f\.release\.ok-count [1-9]'
}

short_sessions_are_refused() {
    zookeeper_run refused --workload register --nemesis none --set zookeeper.session-ms=900
    expect_status 254
    expect_match "$work/err" 'zookeeper\.session-ms: 900 is not between 1000 and 10000'
}

it "what a server answers by itself is old where it is cut off" what_is_local_is_old
it "what a majority agrees to is not" what_a_majority_agrees_to_is_new
it "one alone holds each lock" one_alone_holds_it
it "sessions that the servers would not keep are refused" short_sessions_are_refused
it "nothing is left behind" nothing_is_left
finish
