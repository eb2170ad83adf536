#!/bin/bash
# The network made bad: by hand and in a run, measured by ordeal and seen from outside, and gone when it is undone or ordeal dies.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

start_fault() { # NEMESIS ARGUMENT..: against $cluster, until it is in force
    start ordeal nemesis "$@" --cluster "$cluster"
    wait_for_line 20 err "^$1 of "
}
# The quickest round trip of some pings, in whole milliseconds; 9999 when none came back. (-U: until ping reads the answer. The
# kernel's stamp, which it takes otherwise, is from before packets are held.)
ping_ms() { on_node "$1" "ping -U -c 5 -i 0.05 -W 1 -q $2" | sed -n 's,^rtt [^=]*= \([0-9]*\)\..*,\1,p' | grep . || echo 9999; }
is_slow() { [ "$(ping_ms "$1" "$2")" -ge "$3" ]; }
is_quick() { [ "$(ping_ms "$1" "$2")" -lt 20 ]; }

packets_by_hand() {
    is_quick n1 n2 || fail "n1 and n2 are $(ping_ms n1 n2) ms apart to begin with"
    start_fault packets delay --set packets.targets=n1 --set packets.direction=to --set packets.delay=80ms --set packets.jitter=0s
    expect_match err '^packets of n1, n2, n3: in force in .*; 12 paths measured: 4 shaped, 8 as before; .*round trips longer by (7[5-9]|8[0-9])\.[0-9] ms \(asked 80\.0 ms\)'
    is_slow n1 n2 75 || fail "a ping of n2 by n1 takes $(ping_ms n1 n2) ms"
    is_slow n3 n1 75 || fail "a ping of n1 by n3 takes $(ping_ms n3 n1) ms"
    is_quick n2 n3 || fail "a ping of n3 by n2 takes $(ping_ms n2 n3) ms"
    kill -INT "$pid"
    await_end 10
    expect_status 0
    expect_match err '^undone: 12 paths measured: 0 shaped, 12 as before'
    is_quick n1 n2 && is_quick n3 n1 || fail "a path is still slow"
    expect_clean_nodes 3 1
}
packets_killed() {
    start_fault packets delay --set packets.targets=all --set packets.means=queue
    is_slow n1 n2 30 || fail "a ping takes $(ping_ms n1 n2) ms"
    kill_hard
    expect_clean_nodes 3 5
    is_quick n1 n2 && is_quick n2 n3 && is_quick n3 n1 || fail "a path is still slow"
}
packets_in_a_run() {
    run ordeal run --local 5 --cluster "$(cluster_name five)" --store "$store" --system queue --workload queue --nemesis packets \
        --nemesis-interval 2500ms --nemesis-duration 1s --time-limit 9s --rate 200 --seed 3
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.checkers\.faults\.valid true' '^\.faults\.1\.begin\.verified true' \
        '^\.faults\.1\.end\.verified true'
    expect_no_match "$(newest_run)/schedule.jsonl" '"verified":false'
    expect_match "$(newest_run)/schedule.jsonl" 'paths measured.*asked'
    expect_gone "$(cluster_name five)" 1
}

# Whether somebody on the machine of the clients gets an answer of a node's sshd.
answers() { on_control timeout 1 bash -c "</dev/tcp/$1/22" >/dev/null 2>&1; }
reaches() { on_node "$1" "timeout 1 bash -c '</dev/tcp/$2/22'" >/dev/null 2>&1; }
address_of() { on_node "$1" "sed -n 's/^\\([0-9.]*\\)[[:space:]]*$1\$/\\1/p' /etc/hosts" | head -n 1; }
clients_by_hand() {
    local address
    address=$(address_of n2)
    answers "$address" || fail "n2 ($address) does not answer to begin with"
    start_fault clients n2
    expect_match err '^clients of n2: .*3 nodes tried: 1 do not answer, 2 do; 12 paths probed: 0 cut, 12 open'
    ! answers "$address" || fail "n2 still answers"
    reaches n1 n2 || fail "n1 does not reach n2"
    kill -INT "$pid"
    await_end 10
    expect_status 0
    answers "$address" || fail "n2 does not answer any more"
    expect_clean_nodes 3 1
}
clog_killed() {
    start ordeal nemesis clog all --set clog.step=2s --cluster "$cluster"
    wait_until 10 "some node is cut off" some_is_cut
    kill_hard
    expect_clean_nodes 3 5
    reaches n1 n2 && reaches n2 n3 && reaches n3 n1 || fail "a path is still cut"
}
some_is_cut() { ! { reaches n1 n2 && reaches n2 n3; }; }
flap_by_hand() {
    start_fault flap n3 --set flap.times=2
    expect_match err '^flap of n3: gone and back 2 times in .*; then gone: 12 paths probed: 8 cut, 4 open'
    ! reaches n1 n3 || fail "n1 reaches n3"
    kill -INT "$pid"
    await_end 10
    expect_status 0
    reaches n1 n3 || fail "n1 does not reach n3"
    run ordeal nemesis reset n1 --set reset.of=nodes --cluster "$cluster"
    expect_problem 255 'there is no connection to reset'
    expect_clean_nodes 3 1
}

raise net 3
it "clients are cut from a node by hand" clients_by_hand
it "links flap by hand, and no connection is reset where there is none" flap_by_hand
it "clogging whose ordeal is killed ends" clog_killed
it "packets are delayed by hand, and are not any more" packets_by_hand
it "packets whose ordeal is killed flow again" packets_killed
it "packets in a run are verified, and the queue is valid" packets_in_a_run
it "nothing is left behind" nothing_is_left
finish
