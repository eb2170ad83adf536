#!/bin/bash
# Systems of one's own: the skeleton that `ordeal new system` writes, the tutorial's commands as they stand there, and mistakes.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v python3 >/dev/null || skip_everything "needs python3"
tutorial=$ORDEAL_SOURCE/docs/tutorial.md

own_run() { # ARGUMENTS..
    run ordeal run --cluster "$(cluster_name own)" --store "$store" --local 3 "$@"
}

# Both clients work, and what they say is linearizable.
the_skeleton_works() {
    run ordeal new system mydb
    expect_status 0
    own_run --system ./mydb --nemesis kill --nemesis-interval 1s --nemesis-duration 200ms --time-limit 1500ms --rate 200 --seed 1
    expect_skeleton
    expect_json "$(newest_run)/results.json" '^\.faults\.0\.begin\.verified true'
    own_run --system ./mydb --set mydb.client=client.sh --nemesis none --time-limit 1s --rate 200 --seed 1
    expect_skeleton
}
expect_skeleton() {
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid true' '^\.checkers\.stats\.ok-count [1-9][0-9]' \
        '^\.checkers\.crashes\.valid true' '^\.test\.system "mydb"'
    [ -e "$(newest_run)/nodes/n1/mydb.log" ] || fail "no log of n1"
}

# The N-th command of the tutorial, in a copy of the tree's names.
tutorial_command() { grep '^    \$ ' "$tutorial" | sed -n "s/^    \\$ //;$1p"; }
follow() { # N STATUS
    local command
    command=$(tutorial_command "$1")
    [[ $command == './ordeal run'* ]] && command="$command --cluster $(cluster_name own) --store $store"
    run bash -c "$command"
    expect_status "$2"
}
the_tutorial_tells_the_truth() {
    ln -s "$ORDEAL_BUILD/ordeal" ordeal
    ln -s "$ORDEAL_SOURCE/examples" examples
    follow 1 0
    follow 2 0
    sed -n '/^```json$/,/^```$/p' "$tutorial" | grep -v '^```' >kv/system.json
    cmp kv/system.json examples/replicated-kv/system.json || fail "the tutorial shows another system.json than the example has"
    follow 3 1
    expect_match out 'stale read'
    follow 4 0
    follow 5 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid false' '^\.checkers\.faults\.valid true' \
        '^\.faults\.0\.begin\.verified true'
    expect_match "$(newest_run)/schedule.jsonl" 'replicated-kv pid [0-9]+ gone'
    [ "$(grep -c '^    \$ ' "$tutorial")" -eq 6 ] || fail "the tutorial has other commands than are followed here"
    # The store keeps the path, so the plan runs again from anywhere.
    expect_json "$(newest_run)/plan.json" "^\.system \"$PWD/kv\""
}

mistakes_are_told_before_the_run() {
    run ordeal new system broken
    sed -i 's/"daemons"/"deamons"/' broken/system.json
    own_run --system ./broken
    expect_problem 254 'broken/system\.json:11: deamons: there is no such member; did you mean "daemons"'
    run ordeal new system plain
    chmod -x plain/client.py
    own_run --system ./plain
    expect_problem 254 'client\.py is not executable \(chmod \+x\)'
    own_run --system broken
    expect_problem 254 "there is no system 'broken', but a directory of one: --system \./broken"
    run ordeal new system other
    own_run --system ./other --workload set
    expect_problem 254 'has no client for the workload set; it has for: register$'
    mkdir empty
    run ordeal check empty
    expect_problem 254 'empty is no run: .*STORE/latest'
    run ordeal help run
    expect_status 0
    expect_match out '^usage: ordeal run'
    run ordeal help rnu
    expect_problem 254 "no command 'rnu'; did you mean 'run'"
    own_run --system ./nowhere
    expect_problem 254 'there is no directory \./nowhere'
    # What only shows on nodes is told with the command's own words.
    run ordeal new system unlucky
    sed -i 's/"install": "[^"]*"/"install": "echo no such package >\&2; exit 3"/' unlucky/system.json
    own_run --system ./unlucky
    expect_problem 255 'install unlucky: "install": n1: .*no such package'
    # A client that does not speak the protocol is found out before the first operation.
    run ordeal new system mute
    printf '#!/bin/sh\nexit 7\n' >mute/client.py
    own_run --system ./mute --nemesis none --time-limit 1s
    expect_problem 255 'client: \./client\.py ended with status 7'
    ORDEAL_SYSTEMS=$PWD run ordeal list systems
    expect_match out '^  broken .*cannot be used: .*system\.json:11: deamons'
    expect_match out '^  mydb '
}

it "what new system writes works, in Python and in shell" the_skeleton_works
it "the tutorial's commands find what it says" the_tutorial_tells_the_truth
it "mistakes are told in one line" mistakes_are_told_before_the_run
it "nothing is left behind" nothing_is_left
finish
