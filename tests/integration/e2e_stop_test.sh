#!/bin/bash
# ordeal killed, interrupted and terminated at every moment of a run: no fault outlives it, and the history is kept.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

# Faults come often and last: whatever the moment, one is in force most of the time.
start_run() { # NEMESIS SHAPE-OR-TARGETS OPTION..: against $cluster
    local nemesis=$1 option=targets
    [ "$nemesis" != partition ] || option=shape
    rm -rf "$store"
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --workload register --nemesis "$nemesis" \
        --set "$nemesis.$option=$2" --nemesis-interval 6s --nemesis-duration 4s --time-limit 60s --rate 200 "${@:3}"
}
await_fault() { # NEMESIS: in force, with work having been done before it
    wait_for_line 30 err "^fault 1: $1 of "
}
random_ms() { echo $((RANDOM % $1)); }
sleep_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

expect_judged() { # NOTE-PATTERN: of the history up to the kill
    local directory
    directory=$(newest_run)
    expect_file "$directory/history.ordeal" "$directory/plan.json"
    run ordeal check "$directory" --json
    [ "$status" -le 2 ] || fail "check ends with status $status"
    [ "$status" -ne 1 ] || fail "a killed run made etcd look guilty"
    expect_json out '^\.checkers\.stats\.ok-count [1-9]' "^\.notes\.[0-9]+ \".*$1"
    run ordeal check "$directory"
    [ "$status" -le 2 ] || fail "check ends with status $status"
    expect_match err "^ordeal: note: .*$1"
    run ordeal report "$directory" # there are no results to show again
    expect_problem 254 'no results\.json' "ordeal check $directory"
}

killed_in_a_fault() { # NEMESIS SHAPE-OR-TARGETS
    cluster=$(cluster_name kept)
    start_run "$1" "$2"
    await_fault "$1"
    sleep_ms "$(random_ms 800)"
    kill_hard
    expect_clean_nodes 3 5
    expect_judged '(cut|whole|end)'
}
killed_in_a_partition() { killed_in_a_fault partition halves; }
killed_in_a_pause() { killed_in_a_fault pause minority; }
killed_in_a_kill() { killed_in_a_fault kill minority; }

killed_during_set_up() {
    cluster=$(cluster_name kept)
    local moment
    for moment in 20 80 200 $((300 + $(random_ms 400))); do
        start_run partition halves
        sleep_ms "$moment"
        kill_hard
        expect_clean_nodes 3 5
    done
    start_run partition halves # and once etcd is being started
    wait_for_line 20 err '^setting up etcd'
    sleep_ms "$(random_ms 500)"
    kill_hard
    expect_clean_nodes 3 5
}

# A cluster that the run raised goes with it.
killed_with_its_own_cluster() {
    local moment
    for moment in 15 60 $((100 + $(random_ms 300))); do
        cluster=$(cluster_name brief)
        start_run partition halves
        sleep_ms "$moment"
        kill_hard
        expect_only_directories "$cluster" 5
    done
    start_run partition halves
    await_fault partition
    kill_hard
    expect_gone "$cluster" 5
}

# Heals, keeps the history, judges what there is.
expect_ended_early() {
    local directory
    expect_status 0
    expect_match err '^interrupted: '
    expect_match err '^fault 1: partition undone: .* 0 cut'
    directory=$(newest_run)
    expect_file "$directory"/{history.ordeal,history.edn,results.json,schedule.jsonl}
    expect_json "$directory/results.json" '^\.test\.interrupted true' '^\.valid true' '^\.faults\.0\.end\.verified true' \
        '^\.checkers\.stats\.by-f\.write\.ok-count [1-9]'
}

ends_early_by() { # SIGNAL: with a partition that leaves a majority at work
    cluster=$(cluster_name kept)
    start_run partition one
    await_fault partition
    sleep_ms "$((500 + $(random_ms 1000)))"
    kill "-$1" "$pid"
    await_end 20
    expect_ended_early
    expect_clean_nodes 3 1
}
interrupted_in_a_partition() { ends_early_by INT; }
terminated_in_a_partition() { ends_early_by TERM; }

# On a terminal Ctrl-C goes to everything that ordeal has started, too.
interrupted_with_all_it_started() {
    cluster=$(cluster_name brief)
    start setsid ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --nemesis partition \
        --set partition.shape=one --nemesis-interval 6s --nemesis-duration 4s --time-limit 60s --rate 200
    await_fault partition
    sleep_ms 700
    kill -INT -- "-$pid"
    await_end 20
    expect_ended_early
    expect_gone "$cluster" 1
}

interrupted_twice() {
    cluster=$(cluster_name kept)
    start_run partition halves
    await_fault partition
    kill -INT "$pid"
    wait_for_line 2 err '^interrupted: '
    local began
    began=$(now_ms)
    kill -INT "$pid"
    await_end 5
    [ $(($(now_ms) - began)) -lt 1500 ] || fail "the second Ctrl-C took $(($(now_ms) - began)) ms"
    expect_status 255
    expect_match err '^interrupted again'
    expect_clean_nodes 3 5
}

interrupted_during_set_up() {
    cluster=$(cluster_name kept)
    local moment
    for moment in 10 60 150; do
        start_run partition halves
        wait_for_line 20 err '^agents run'
        sleep_ms "$moment"
        kill -INT "$pid"
        await_end 15
        expect_match err '^interrupted: '
        expect_problem 255 'interrupted'
        expect_clean_nodes 3 1
        expect_json "$(newest_run)/results.json" '^\.valid "unknown"' '^\.test\.interrupted true'
    done
}

cut_peers_off() { # NODE..: etcd can serve its clients but not elect anyone
    local node
    for node; do
        on_node "$node" 'nft add table inet stuck; nft add chain inet stuck out "{ type filter hook output priority 0; }"
            nft add rule inet stuck out tcp dport 2380 drop; nft add rule inet stuck out tcp sport 2380 drop' ||
            fail "cannot cut $node off"
    done
}

etcd_runs_on() { on_node "$1" "$leftovers_script" | grep -q 'running: etcd'; }

# A system that never comes up must not keep anyone waiting who has had enough.
interrupted_waiting_for_the_system() {
    cluster=$(cluster_name stuck)
    ordeal local up --cluster "$cluster" --nodes 3 >up || fail "cannot raise a cluster"
    cut_peers_off n1 n2 n3
    start_run partition halves --ready-timeout 50s
    wait_for_line 20 err '^setting up etcd'
    wait_until 10 "etcd runs on n3" etcd_runs_on n3
    kill -INT "$pid"
    await_end 15
    expect_problem 255 'interrupted while waiting for etcd'
    expect_clean_nodes 3 1
}

# Nor must one that cannot come up any more: here a machine dies meanwhile.
node_lost_waiting_for_the_system() {
    cluster=$(cluster_name stuck)
    start_run partition halves --ready-timeout 50s --connect-timeout 3s
    wait_for_line 20 err '^setting up etcd'
    wait_until 10 "etcd runs on n3" etcd_runs_on n3
    ordeal local stop n3 --cluster "$cluster" >stop || fail "cannot stop n3"
    await_end 25
    expect_problem 255 'n3: the agent is lost'
    expect_clean_nodes 2 5
    lower "$cluster"
}

# No answer, no refusal: it takes the whole connect timeout to know.
interrupted_while_connecting() {
    cluster=$(cluster_name kept)
    start ordeal local exec --cluster "$cluster" -- ordeal run --nodes n1,n2 --store "$store" --system noop --workload noop \
        --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts" \
        --time-limit 1s --connect-timeout 30s
    await_end 20
    expect_status 0
    on_node n2 'nft add table inet stuck; nft add chain inet stuck in "{ type filter hook input priority 0; }"
        nft add rule inet stuck in tcp dport 22 drop' || fail "cannot silence n2"
    start ordeal local exec --cluster "$cluster" -- ordeal run --nodes n1,n2 --store "$store" --system noop --workload noop \
        --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts" \
        --time-limit 1s --connect-timeout 30s
    sleep_ms 500
    kill -INT "$pid"
    await_end 3
    on_node n2 'nft delete table inet stuck'
    expect_problem 255 'interrupted before the nodes were reached'
}

# The plug is pulled on a machine: the run cannot go on, the others are healed, the history is kept.
node_lost_in_a_partition() {
    raise lossy 3
    start_run partition halves --connect-timeout 3s
    await_fault partition
    ordeal local stop n3 --cluster "$cluster" >stop || fail "cannot stop n3"
    await_end 30
    expect_problem 255 'n3: the agent is lost'
    expect_clean_nodes 2 1
    on_node n1 'test ! -e /var/lib/ordeal-etcd' || fail "etcd's data stays on n1"
    expect_file "$(newest_run)"/nodes/n{1,2}/etcd.log
    expect_json "$(newest_run)/results.json" '^\.valid "unknown"' '^\.problems\.0 "n3: the agent is lost' \
        '^\.checkers\.stats\.by-f\.write\.ok-count [1-9]'
    ordeal local start n3 --cluster "$cluster" >start || fail "cannot start n3"
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --nemesis none --time-limit 3s
    expect_status 0 # the cluster is none the worse for it
    lower "$cluster"
}
# Stopped, ordeal keeps its connections but renews no lease.
stopped_in_a_partition() {
    cluster=$(cluster_name kept)
    start_run partition halves
    await_fault partition
    kill -STOP "$pid"
    expect_clean_nodes 3 15
    kill -CONT "$pid"
    await_end 30
    expect_problem 255 'the agent is lost'
    expect_json "$(newest_run)/results.json" '^\.valid "unknown"'
}
# Without its keeper a cluster is gone, and a run with it.
keeper_killed_in_a_partition() {
    raise orphan 3
    start_run partition halves --connect-timeout 3s
    await_fault partition
    kill -KILL "$(command_pid "ordeal-keeper $cluster ")"
    await_end 30
    expect_problem 255 'the agent is lost'
    lower "$cluster"
    expect_gone "$cluster" 1
}
command_pid() { # BEGINNING
    local process
    for process in $(cluster_processes "$cluster"); do
        [[ $(command_of "$process") != "$1"* ]] || echo "$process"
    done
}

raise kept 3
it "killed during set-up" killed_during_set_up
it "killed in a partition" killed_in_a_partition
it "killed in a pause" killed_in_a_pause
it "killed while nodes are killed" killed_in_a_kill
it "killed with the cluster that it had raised" killed_with_its_own_cluster
it "Ctrl-C in a partition heals, keeps and judges" interrupted_in_a_partition
it "SIGTERM does as Ctrl-C" terminated_in_a_partition
it "Ctrl-C that everything hears" interrupted_with_all_it_started
it "a second Ctrl-C ends at once" interrupted_twice
it "Ctrl-C during set-up" interrupted_during_set_up
it "Ctrl-C while the system does not come up" interrupted_waiting_for_the_system
it "a machine that dies while the system is awaited ends the run" node_lost_waiting_for_the_system
it "Ctrl-C while a machine does not answer" interrupted_while_connecting
it "a machine that dies in a partition" node_lost_in_a_partition
it "ordeal stopped for longer than its lease" stopped_in_a_partition
it "a cluster whose keeper is killed" keeper_killed_in_a_partition
it "nothing is left behind" nothing_is_left
finish
