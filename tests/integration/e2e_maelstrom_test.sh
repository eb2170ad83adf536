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
    maelstrom echo.py --workload echo --nemesis kill --nemesis-interval 1s --nemesis-duration 300ms --time-limit 2s --rate 200
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

it "an echo comes back, also from nodes that were killed" an_echo_comes_back
it "a right node holds under partitions" a_right_node_holds
it "a stale one is found" a_stale_node_is_found
it "what is no node is told" what_is_no_node_is_told
it "nothing is left behind" nothing_is_left
finish
