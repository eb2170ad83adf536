#!/bin/bash
# Schedules on real nodes: repeated exactly, refused with file and line; nemeses of one's own; what works by hand, and healing all.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

queue_run() { run ordeal run --local 3 --cluster "$cluster" --store "$store" --system queue --workload queue --rate 200 "$@"; }
# What of a fault must be the same when it is repeated: which, who was cut from whom, on which nodes.
resolved() { sed -n 's/.*"phase":"\([a-z]*\)","nemesis":"\([a-z]*\)".*"value":"\(.*\)","nodes":\(\[[^]]*\]\),"step".*/\1 \2 \3 \4/p' "$1/schedule.jsonl"; }
# The times at which they were asked for, in milliseconds.
asked_ms() { sed 's/.*"asked-ns":\([0-9]*\).*/\1/' "$1/schedule.jsonl" | awk '{print int($1 / 1000000)}'; }

repeats_exactly() {
    cat >"$work/faults.json" <<END
[{"at": "1s", "nemesis": "partition", "set": {"shape": "primaries"}, "for": "1s"},
 {"at": "1500ms", "nemesis": "pause", "set": {"targets": "one"}, "for": "1s"},
 {"at": "2600ms", "nemesis": "kill", "set": {"targets": "primaries"}, "for": "500ms"}]
END
    queue_run --schedule "$work/faults.json" --time-limit 4s --seed 11
    expect_status 0
    local first second
    first=$(newest_run)
    rm "$work/faults.json" # the plan has it all
    [ "$(resolved "$first" | wc -l)" -eq 6 ] || fail "not six lines: $(resolved "$first")"
    run ordeal run "$first/plan.json" --replay "$first/schedule.jsonl" --seed 12
    expect_status 0
    second=$(newest_run)
    diff <(resolved "$first") <(resolved "$second") >&2 || fail "other faults than the first time"
    paste <(asked_ms "$first") <(asked_ms "$second") | awk '{d = $1 - $2; if (d > 150 || d < -150) bad = 1} END {exit bad}' ||
        fail "at other times: $(paste <(asked_ms "$first") <(asked_ms "$second") | tr '\t\n' ', ')"
    expect_match "$second/plan.json" '"hit"'
    expect_match "$(newest_run)/report.txt" 'partition: in force 1 of 1 times, on n1 .1., n2 .1., n3 .1.'
    expect_json "$(newest_run)/results.json" '^\.faults\.0\.state\.primary-hit true' '^\.faults\.0\.state\.in-flight [0-9]+'
    expect_clean_nodes 3 1
}
election_pulls_the_trigger() {
    cat >"$work/faults.json" <<END
[{"at": "1s", "nemesis": "kill", "set": {"targets": "primaries"}, "for": "200ms"},
 {"when": "new-primary", "delay": "10ms", "nemesis": "partition", "set": {"shape": "primaries"}, "for": "1s"}]
END
    queue_run --schedule "$work/faults.json" --time-limit 4s --seed 3
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.faults\.1\.nemesis "partition"' '^\.faults\.1\.begin\.verified true' '^\.faults\.1\.step 2' \
        '^\.faults\.1\.state\.primary-hit true'
}
refused_before_the_run() {
    printf '[{"at": "1s", "nemesis": "kill", "for": "2s"},\n {"at": "2s", "nemesis": "pause", "set": {"targets": "all"}, "for": "1s"}]\n' >"$work/faults.json"
    queue_run --schedule "$work/faults.json" --time-limit 7s --set kill.targets=n1
    expect_problem 254 "faults.json:2: step 2: pause overlaps with kill of .*faults.json:1: step 1"
    printf '[\n{"at": "1s", "nemesis": "pause", "set": {"targets": "n7"}}]\n' >"$work/faults.json"
    queue_run --schedule "$work/faults.json" --time-limit 7s
    expect_problem 254 "faults.json:2: step 1: nemesis pause: pause.targets: no node is called 'n7'"
    printf '[{"at": "1s", "nemesis": "meteor"}]\n' >"$work/faults.json"
    queue_run --schedule "$work/faults.json"
    expect_problem 254 "faults.json:1: step 1: there is no nemesis 'meteor'"
    [ ! -e "$store/latest/schedule.jsonl" ] || ! grep -q '"nemesis":"meteor"' "$store/latest/schedule.jsonl" || fail "it ran"
    expect_clean_nodes 3 1
}
# A shared object and a program, the examples of docs/extending.md.
ones_own() {
    queue_run --nemesis "$ORDEAL_BUILD/examples/hiccup.so,$ORDEAL_SOURCE/docs/examples/ballast" --nemesis-interval 2s --nemesis-duration 700ms \
        --time-limit 5s --seed 4 --set hiccup.times=2
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.faults\.valid true' '^\.checkers\.faults\.by-nemesis\.hiccup\.in-force-count [1-9]' \
        '^\.checkers\.faults\.by-nemesis\.ballast\.in-force-count [1-9]'
    expect_match "$(newest_run)/schedule.jsonl" 'ordeal-ballast has [18] MiB'
    on_node n1 '! ls /var/tmp/ordeal-ballast' || fail "the ballast is still there"
    # Judged again where neither is loaded; and repeated.
    local first
    first=$(newest_run)
    run ordeal check "$first" --json
    expect_status 0
    run ordeal run "$first/plan.json" --replay "$first/schedule.jsonl" --seed 5
    expect_status 0
    diff <(resolved "$first") <(resolved "$(newest_run)") >&2 || fail "other faults than the first time"
    queue_run --nemesis "$ORDEAL_BUILD/example-model.so" # a model is no nemesis
    expect_problem 254 'it defines no ordeal_nemesis_1; compile it against the header'
}
own_fault_killed() {
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system queue --workload queue --nemesis "$ORDEAL_BUILD/examples/hiccup.so" \
        --nemesis-interval 9s --nemesis-duration 8s --time-limit 20s
    wait_for_line 20 err '^fault 1: hiccup of '
    kill_hard
    expect_clean_nodes 3 5
}
own_by_hand() {
    start ordeal nemesis "$ORDEAL_SOURCE/docs/examples/ballast" --cluster "$cluster" --seed 1
    wait_for_line 10 err '^ballast of n[123]: .*MiB; Ctrl-C undoes it'
    on_node n1 'ls /var/tmp/ordeal-ballast' >/dev/null 2>&1 || on_node n2 'ls /var/tmp/ordeal-ballast' >/dev/null 2>&1 ||
        on_node n3 'ls /var/tmp/ordeal-ballast' >/dev/null 2>&1 || fail "there is no ballast"
    kill -INT "$pid"
    await_end 5
    expect_status 0
    expect_match err '^undone: n[123]: /var/tmp/ordeal-ballast is gone'
}
what_works_is_listed() {
    run ordeal nemesis --list --cluster "$cluster"
    expect_status 0
    expect_match out '^partition +works$'
    expect_match out '^pause +works, on processes that --process names$'
    expect_match out '^disk +does not work: it needs a system whose members can be replaced'
    expect_match out '^[0-9]+ of [0-9]+ work on these 3 nodes by hand$'
    expect_clean_nodes 3 1
    run ordeal nemesis --list partition --cluster "$cluster"
    expect_problem 254 'leave .partition. out'
}
heals_every_cluster() {
    export ORDEAL_STATE_DIR=$work/state ORDEAL_DISK_DIR=$work/disks
    local one
    for one in a b; do
        ordeal local up --nodes 2 --cluster "$cluster-$one" >/dev/null 2>&1 || fail "cluster $one cannot be raised"
    done
    run ordeal heal --all
    for one in a b; do
        expect_match out "^cluster $cluster-$one$"
        ordeal local down --force --cluster "$cluster-$one" >/dev/null 2>&1
    done
    unset ORDEAL_STATE_DIR ORDEAL_DISK_DIR
    expect_status 0
    [ "$(grep -c '^n[12]: nothing of ordeal was ever here' out)" -eq 4 ] || fail "not all four nodes were healed: $(cat out)"
    run ordeal heal --all --cluster "$cluster"
    expect_problem 254 'leave --nodes and --cluster out'
}

raise sched 3
it "a run's faults are repeated on the same nodes" repeats_exactly
it "an election pulls a trigger" election_pulls_the_trigger
it "what cannot be done is refused before the run" refused_before_the_run
it "nemeses of one's own, a shared object and a program" ones_own
it "a fault of one's own whose ordeal is killed" own_fault_killed
it "a program by hand" own_by_hand
it "what works by hand is listed" what_works_is_listed
it "heal --all heals every local cluster" heals_every_cluster
it "nothing is left behind" nothing_is_left
finish
