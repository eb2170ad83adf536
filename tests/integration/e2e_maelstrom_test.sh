#!/bin/bash
# Maelstrom nodes on real nodes: messages are routed, partitions cut them, right nodes hold, and a planted bug is found.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v python3 >/dev/null || skip_everything "needs python3"
nodes=$ORDEAL_SOURCE/examples/maelstrom/nodes

maelstrom() { # NODE ARGUMENTS..
    run ordeal run --cluster "$(cluster_name own)" --store "$store" --local 3 --system maelstrom --set maelstrom.node="$nodes/$1" --seed 1 "${@:2}"
}

an_echo_comes_back() {
    maelstrom echo.py --workload echo --nemesis kill --nemesis-interval 1s --nemesis-duration 300ms --time-limit 1500ms --rate 200
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.echo\.valid true' '^\.checkers\.echo\.answered-count [1-9][0-9]' \
        '^\.faults\.0\.begin\.verified true'
}
a_right_node_holds() {
    maelstrom lin_kv.py --workload register --nemesis partition --set partition.shape=one --nemesis-interval 1s --nemesis-duration 1s \
        --time-limit 3s --rate 300
    expect_status 0
    # Requests to the first node went through the network: while that was cut, they were not answered.
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid true' '^\.checkers\.stats\.ok-count [1-9][0-9]{2}' \
        '^\.faults\.0\.begin\.verified true' '^\.checkers\.stats\.info-count [1-9]'
}
a_stale_node_is_found() {
    maelstrom lin_kv.py --set maelstrom.args=--stale --workload register --nemesis none --time-limit 2s --rate 300
    expect_status 1
    expect_match out 'stale read'
}
# Each of Maelstrom's workloads: a right node holds while the network is cut, and one with a bug does not.
holds() { # NODE ARGUMENTS..
    maelstrom "$@" --nemesis partition --set partition.shape=one --nemesis-interval 700ms --nemesis-duration 500ms --time-limit 1500ms --rate 200
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.stats\.ok-count [1-9][0-9]' '^\.faults\.0\.begin\.verified true'
}
is_found() { # WORDS NODE BUG ARGUMENTS..
    maelstrom "$2" --set maelstrom.args="$3" "${@:4}" --nemesis none --time-limit 700ms --rate 300
    expect_status 1
    expect_match out "$1"
}
sets() {
    holds merged.py --workload set
    expect_json "$(newest_run)/results.json" '^\.checkers\.set-full\.valid true' '^\.checkers\.set\.valid true'
    is_found 'lost' merged.py --forget --workload set
}
broadcasts() {
    holds broadcast.py --workload set --set maelstrom.as=broadcast
    is_found 'lost|stale' broadcast.py --forget --workload set --set maelstrom.as=broadcast
}
counters() {
    holds merged.py --set maelstrom.args=--counter --workload counter --set counter.decrement=0.3
    is_found 'counter' merged.py '--counter --twice' --workload counter
}
identifiers() {
    holds ordered.py --workload unique-ids
    is_found 'twice|duplicate' ordered.py --again --workload unique-ids
}
logs() {
    holds ordered.py --workload log
    is_found 'lost|not there' ordered.py --drops --workload log
}
transactions() {
    holds ordered.py --workload list-append
    is_found 'abort' ordered.py --applies --workload list-append
}
what_is_no_node_is_told() {
    maelstrom lin_kv.py --set maelstrom.node= --nemesis none
    expect_problem 254 'maelstrom\.node must be given'
    maelstrom no_such.py --nemesis none
    expect_problem 254 'files\[2\]\.local: there is no file .*no_such\.py'
    printf '#!/bin/sh\nexit 3\n' >broken
    run ordeal run --cluster "$(cluster_name own)" --store "$store" --local 3 --system maelstrom --set maelstrom.node=broken --nemesis none \
        --ready-timeout 3s
    expect_problem 255 'maelstrom (ended|does not run)|start maelstrom'
}

raise own 3 # by the name that all of them use
it "an echo comes back, also from nodes that were killed" an_echo_comes_back
it "a right node holds under partitions" a_right_node_holds
it "a stale one is found" a_stale_node_is_found
it "g-set: a right node holds, one that forgets is found" sets
it "broadcast: a right node holds, one that forgets is found" broadcasts
it "pn-counter: a right node holds, one that counts twice is found" counters
it "unique-ids: a right node holds, one that gives some twice is found" identifiers
it "kafka: a right node holds, one that drops records is found" logs
it "txn-list-append: a right node holds, one that does what it refused is found" transactions
it "what is no node is told" what_is_no_node_is_told
it "nothing is left behind" nothing_is_left
finish
