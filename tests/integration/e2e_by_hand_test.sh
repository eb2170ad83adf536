#!/bin/bash
# Commands by hand: one fault, healing, small runs, histories converted and judged, and what a run says to programs.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

start_fault() { # NEMESIS ARGUMENT..: against $cluster, until it is in force
    start ordeal nemesis "$@" --cluster "$cluster"
    wait_for_line 10 err "^$1 of "
}
# Whether a TCP connection from one node to another comes about within a second.
reaches() { on_node "$1" "timeout 1 bash -c '</dev/tcp/$2/22'" >/dev/null 2>&1; }
is_cut() { ! reaches "$1" "$2"; }
# A process of the node's own that nothing of ordeal has started.
start_bystander() { on_node "$1" 'cp /bin/sleep /run/bystander; setsid /run/bystander 600 >/dev/null 2>&1 </dev/null &'; }
state_of_bystander() { on_node "$1" 'sed -n "s/^State:.\(.\).*/\1/p" $(grep -l "^Name:.bystander$" /proc/[0-9]*/status) 2>/dev/null'; }
bystander_is() { [ "$(state_of_bystander "$1")" = "$2" ]; }

partition_until_interrupted() {
    reaches n1 n2 || fail "n1 does not reach n2 to begin with"
    start_fault partition halves
    expect_match err '^partition of .*[1-9][0-9]* cut.*Ctrl-C undoes it'
    # With three nodes one half is one node: it is cut from both others.
    local cut=0 pair
    for pair in "n1 n2" "n2 n3" "n3 n1"; do
        # shellcheck disable=SC2086
        is_cut $pair && cut=$((cut + 1))
    done
    [ $cut -eq 2 ] || fail "$cut of three pairs are cut, not 2"
    kill -INT "$pid"
    await_end 5
    expect_status 0
    expect_match err '^undone: .* 0 cut'
    reaches n1 n2 && reaches n2 n3 && reaches n3 n1 || fail "a path is still cut"
    expect_clean_nodes 3 1
}
partition_killed() {
    start_fault partition halves
    kill_hard
    expect_clean_nodes 3 5
    reaches n1 n2 && reaches n2 n3 && reaches n3 n1 || fail "a path is still cut"
}
partition_for_a_time() {
    run ordeal nemesis partition one --for 300ms --cluster "$cluster"
    expect_status 0
    expect_match err '^undone: .* 0 cut'
    expect_clean_nodes 3 1
}
pause_by_name() {
    start_bystander n2 || fail "no bystander"
    start_fault pause n2 --process bystander
    bystander_is n2 T || fail "it is not paused: $(state_of_bystander n2)"
    kill -TERM "$pid"
    await_end 5
    expect_status 0
    wait_until 2 "the bystander sleeps on" bystander_is n2 S
    start_fault pause n2 --process bystander
    kill_hard
    wait_until 5 "the bystander sleeps on" bystander_is n2 S
    expect_clean_nodes 3 5
}
kill_by_name() {
    bystander_is n2 S || start_bystander n2
    run ordeal nemesis kill n2 --process bystander --cluster "$cluster"
    expect_status 0
    expect_match err '^kill of n2: .*gone'
    bystander_is n2 "" || fail "it lives: $(state_of_bystander n2)"
    run ordeal nemesis pause --cluster "$cluster"
    expect_problem 254 '--process NAME'
}

# The worst that can happen to a node: ordeal, the agent and its guardian all end at once.
kill_agents() { # NODE..
    local node
    for node; do
        # Stopped before they are killed: agent and guardian must not see each other go, or they heal.
        on_node "$node" 'all=$(grep -l "^Name:.ordeal-agent" /proc/[0-9]*/status | sed "s,/proc/\(.*\)/status,\1,"); kill -STOP $all; kill -KILL $all' 2>/dev/null # some may have gone with others
    done
}
heal_what_a_crash_left() {
    start_bystander n2 || fail "no bystander"
    start_fault pause n2 --process bystander
    kill -STOP "$pid" # it must not see its agents go
    kill_agents n1 n2 n3
    kill_hard
    bystander_is n2 T || fail "nothing was left to heal"
    on_node n2 'ls /run/ordeal/journal' | grep -q . || fail "no journal was left"
    run ordeal heal --cluster "$cluster"
    expect_status 0
    expect_match out '^n2: '
    wait_until 2 "the bystander sleeps on" bystander_is n2 S
    expect_clean_nodes 3 1
    run ordeal heal --cluster "$cluster"
    expect_status 0
    # The next run does it by itself.
    start_fault pause n2 --process bystander
    kill -STOP "$pid"
    kill_agents n1 n2 n3
    kill_hard
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system noop --workload noop --time-limit 200ms
    expect_status 0
    expect_match err '^n2: undid 1 '
    expect_clean_nodes 3 1
}
# Healing is for emergencies: it also ends the agent that holds the fault.
heal_under_a_fault() {
    start_fault partition halves
    run ordeal heal --cluster "$cluster"
    expect_status 0
    expect_clean_nodes 3 2
    kill -INT "$pid"
    await_end 10
    reaches n1 n2 && reaches n2 n3 && reaches n3 n1 || fail "a path is still cut"
}

small_run() {
    run ordeal run --system noop --workload noop --rate 0 --time-limit 2s --local 3 --cluster "$cluster" --store "$store"
    expect_status 0
    expect_file "$(newest_run)"/{plan.json,history.ordeal,results.json,ordeal.log}
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.checkers\.stats\.ok-count [1-9][0-9]{4}'
    expect_match err '^running noop-noop for 2s'
    expect_no_match out '^(running|agents run)'
}
all_formats() {
    run ordeal run --system noop --workload noop --rate 2000 --time-limit 1s --local 3 --cluster "$cluster" --store "$store"
    expect_status 0
    local from to
    for from in ordeal edn json jsonl; do
        run ordeal convert "$(newest_run)/history.ordeal" "$work/a.$from"
        expect_status 0
        for to in ordeal edn json jsonl; do
            run ordeal convert "$work/a.$from" "$work/b.$to"
            expect_status 0
        done
        run ordeal check "$work/a.$from" --checker stats --json
        expect_status 0
        expect_json out '^\.valid true'
    done
    # All ways round lead to the same text.
    for from in ordeal json jsonl; do
        ordeal convert "$work/a.$from" "$work/c.edn" || fail "cannot convert $from"
        cmp -s "$work/c.edn" "$work/a.edn" || fail "by way of $from the history is another one"
    done
}
json_and_nothing_else() {
    run ordeal run --system noop --workload noop --time-limit 200ms --local 3 --cluster "$cluster" --store "$store" --json
    expect_status 0
    expect_json out '^\.valid true' '^\.exit-status 0' '^\.checkers\.stats\.valid true' '^\.directory "/'
    expect_match err '^running '
    run ordeal run --system noop --workload noop --time-limit 200ms --local 4 --cluster "$cluster" --store "$store" --json
    expect_status 254
    expect_json out '^\.valid "unknown"' '^\.problem ".*3 nodes' '^\.exit-status 254'
    run ordeal check "$(newest_run)" --json
    expect_json out '^\.valid'
    run ordeal local status --cluster "$cluster" --json
    expect_status 0
    expect_json out "^\.clusters\.0\.name \"$cluster\"" '^\.clusters\.0\.nodes\.2\.name "n3"'
}
# Every node knows every other twice: more neighbours than the kernel's table holds, unless they are told.
forty_nodes() {
    run ordeal run --system noop --workload noop --local 40 --cluster "$(cluster_name forty)" --nemesis partition --time-limit 5s \
        --nemesis-interval 2s --nemesis-duration 1s --rate 100 --concurrency 8 --store "$store"
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.faults\.valid true' '^\.faults\.0\.begin\.verified true' \
        '^\.faults\.0\.end\.verified true'
}
standard_output_full() {
    ordeal run --system noop --workload noop --time-limit 200ms --local 3 --cluster "$cluster" --store "$store" --json \
        >/dev/full 2>"$work/err"
    status=$?
    expect_problem 255 'standard output'
}

# The same plan gives the same faults, asked in the same order of the same nodes.
plan_runs_again() {
    run ordeal run --system noop --workload noop --rate 50 --local 3 --cluster "$cluster" --store "$store" --nemesis partition \
        --nemesis-interval 800ms --nemesis-duration 300ms --time-limit 6s --set partition.shape=one --name again
    local first second count
    first=$(newest_run)
    expect_match "$first/plan.json" '"seed":	"[0-9]+"'
    run ordeal run "$store/latest/plan.json"
    second=$(newest_run)
    [ "$first" != "$second" ] || fail "there is no second run"
    cmp "$first/plan.json" "$second/plan.json" >&2 || fail "the plans differ"
    asked "$first" >"$work/first"
    asked "$second" >"$work/second"
    count=$(sort -n <(wc -l <"$work/first") <(wc -l <"$work/second") | head -n 1)
    [ "$count" -ge 4 ] || fail "only $count faults to compare"
    diff <(head -n "$count" "$work/first") <(head -n "$count" "$work/second") >&2 || fail "other faults than the first time"
    [ "$(sort -u "$work/first" | wc -l)" -ge 2 ] || fail "all faults are alike, so nothing was compared"
}
asked() { grep '"phase":"begin"' "$1/schedule.jsonl" | sed 's/.*"asked":"\(.*\)","value".*/\1/'; }

# A daemon that dies though ordeal did not ask it to is a finding.
crash_is_reported() {
    start ordeal run --system etcd --local 3 --cluster "$cluster" --store "$store" --nemesis none --time-limit 4s --rate 100
    wait_for_line 20 err '^running '
    sleep 1
    on_node n2 'kill -KILL $(grep -l "^Name:.etcd$" /proc/[0-9]*/status | sed "s,/proc/\(.*\)/status,\1,")' || fail "no etcd on n2"
    await_end 25
    expect_match err '^n2: etcd ended unasked: signal'
    expect_status 2
    expect_json "$(newest_run)/results.json" '^\.valid "unknown"' '^\.checkers\.crashes\.valid "unknown"' \
        '^\.checkers\.crashes\.reason ".*etcd' '^\.checkers\.linearizable\.valid true'
    expect_match "$(newest_run)/history.edn" ':f :exit.*"n2"'
    run ordeal check "$(newest_run)" --json
    expect_status 2
    expect_clean_nodes 3 1
}

raise hand 3
it "a partition until Ctrl-C" partition_until_interrupted
it "a partition whose ordeal is killed" partition_killed
it "a partition for a time" partition_for_a_time
it "a pause of processes by name" pause_by_name
it "a kill of processes by name" kill_by_name
it "heal undoes what a crash of everything left" heal_what_a_crash_left
it "heal under a fault in force" heal_under_a_fault
it "a small run as fast as it can" small_run
it "a history in all formats" all_formats
it "--json is one object and nothing else" json_and_nothing_else
it "standard output that cannot be written" standard_output_full
it "a partition of forty nodes" forty_nodes
it "plan.json runs again with the same faults" plan_runs_again
it "a crash that nobody asked for is reported" crash_is_reported
it "nothing is left behind" nothing_is_left
finish
