#!/bin/bash
# Faults that cannot work are refused before the run, with one line, status 254, and nothing started. (Without a packet filter:
# e2e_errors; the shared clock: e2e_clock; whole machines: e2e_processes, e2e_machines.)
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

refused() { # PROBLEM NEMESIS OPTION..: of a run of a system that has nothing
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system noop --workload noop --time-limit 1s --nemesis "${@:2}"
    expect_problem 254 "nemesis $2: $1"
    expect_no_match err '^running |serves$'
    [ ! -e "$(newest_run)/schedule.jsonl" ] || fail "there is a schedule"
}
refused_by_hand() { # PROBLEM NEMESIS OPTION..: of processes that are found by name
    run ordeal nemesis "${@:2}" --process sshd --cluster "$cluster"
    expect_problem 254 "nemesis $2: $1"
    expect_no_match err "^$2 of "
}
without_daemons() {
    local nemesis
    for nemesis in kill pause slow memory files power io disk membership; do
        refused 'it needs a system with daemons; noop has none' $nemesis
    done
    expect_clean_nodes 3 1
}
without_what_a_system_must_tell() {
    refused_by_hand 'it needs a system that says where its data is; by hand does not' power
    refused_by_hand 'it needs a system that says where its data is; by hand does not' io
    refused_by_hand 'it needs a system whose members can be replaced; by hand cannot' disk
    refused_by_hand "it needs a system whose membership can be changed; by hand's cannot" membership
    refused_by_hand 'partition\.shape=primaries: the system by hand cannot tell which nodes lead' partition primaries
    refused_by_hand '.*the system by hand cannot tell which nodes lead' hog followers
    expect_clean_nodes 3 1
}
amounts_that_cannot_be() {
    refused_by_hand 'kill\.times=' kill n1 --set kill.times=0
    refused_by_hand 'slow\.percent=99 is not from 1 to 90' slow n1 --set slow.percent=99
    refused_by_hand 'memory\.more=' memory n1 --set memory.more=-1
    refused_by_hand 'files\.more=' files n1 --set files.more=-1
    refused_by_hand 'hog\.load=95 is not from 1 to 90' hog n1 --set hog.load=95
    refused_by_hand "clog.targets: no node is called 'n9'" clog n9
    refused_by_hand 'flap\.times' flap n1 --set flap.times=0
    refused_by_hand 'port\.number: say which port is cut' port
    refused_by_hand 'reset\.half-open: only connections between nodes' reset n1 --set reset.of=clients --set reset.half-open=always
    refused_by_hand 'packets\.loss' packets loss --set packets.loss=7
    refused_by_hand "clients.targets: no node is called 'n9'" clients n9
    refused_by_hand 'clock\.offset' clock n1 --set clock.offset=soon
    expect_clean_nodes 3 1
}
disks_of_one_kind() {
    run ordeal run --local 1 --cluster "$(cluster_name one)" --store "$store" --system queue --workload queue --time-limit 1s --nemesis io --set io.file-system=xfs
    expect_problem 254 'nemesis io: a disk of io\.file-system=xfs can be full and nothing else'
    run ordeal run --local 1 --cluster "$(cluster_name one)" --store "$store" --system queue --workload queue --time-limit 1s --nemesis power --set power.lie=1s
    expect_problem 254 'nemesis power: power\.lie.*strict'
    run ordeal run --local 1 --cluster "$(cluster_name one)" --store "$store" --system queue --workload queue --time-limit 1s --nemesis disk
    expect_problem 254 'nemesis disk: it needs 3 nodes: of fewer none can be lost'
    run ordeal run --local 1 --cluster "$(cluster_name one)" --store "$store" --system queue --workload queue --time-limit 1s --nemesis power,io
    expect_problem 254 'the data has one disk, and'
    expect_no_match err '^running |serves$'
    expect_gone "$(cluster_name one)" 1
}

raise refused 3
it "faults of daemons where there are none" without_daemons
it "faults of what a system does not tell" without_what_a_system_must_tell
it "amounts and nodes that cannot be" amounts_that_cannot_be
it "disks that cannot do it" disks_of_one_kind
it "nothing is left behind" nothing_is_left
finish
