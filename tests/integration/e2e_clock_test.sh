#!/bin/bash
# Wrong clocks in whole runs and by hand: seen in what the system tells, measured through the run, and gone with ordeal.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

clock_run() { # ARGUMENTS..
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --nemesis clock --rate 50 "$@"
}

# etcd is a static Go program: nothing that is preloaded reaches it.
offsets_are_measured_and_drawn() {
    clock_run --system etcd --set clock.offset=+60s --set clock.targets=n2 --nemesis-interval 3s --nemesis-duration 2s --time-limit 6s
    expect_status 0
    expect_match err '^clock: through the daemons. vDSO \(n1: it shares its kernel'
    expect_match err '^fault 1: clock of n2: n2: etcd \(1 process\) \+60\.000 s through its vDSO in '
    expect_json "$(newest_run)/results.json" '^\.faults\.0\.begin\.verified true' '^\.faults\.0\.end\.verified true' \
        '^\.faults\.0\.done ".*:means :vdso' '^\.checkers\.faults\.valid true' '^\.clock-offsets\.n2\.[0-9]+\.1 60$'
    expect_no_match "$work/lines" '^\.clock-offsets\.n[13]\.[0-9]+\.1 (-|0\.0[1-9]|0\.[1-9]|[1-9])'
    grep '^\.clock-offsets\.n2\.[0-9]*\.1 ' "$work/lines" | tail -n 1 | grep -q ' 0$' || fail "n2 is not right in the end"
    expect_match "$(newest_run)/report.html" 'n2: off by \+60\.000 s at most'
    expect_clean_nodes 3 1
}
the_shared_clock_is_never_set() {
    clock_run --system etcd --set clock.means=settime --time-limit 5s
    expect_problem 254 'nemesis clock: n1: it shares its kernel, and so its clock, with this machine'
    expect_no_match err '^running '
    expect_clean_nodes 3 1
}
libfaketime_where_it_is_asked_for() {
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || skip "needs libfaketime"
    clock_run --system queue --workload queue --set clock.means=faketime --set clock.offset=-10s --nemesis-interval 2s \
        --nemesis-duration 1s --time-limit 3s --set queue.lease=1s --set delivery.settle=1s
    expect_match err '^fault 1: clock of .* -10\.000 s through libfaketime in '
    expect_json "$(newest_run)/results.json" '^\.faults\.0\.begin\.verified true' '^\.faults\.0\.end\.verified true'
    # Where it has no effect there is no fault, and so no verdict.
    clock_run --system etcd --set clock.means=faketime --set clock.offset=-10s --nemesis-interval 1s --nemesis-duration 1s \
        --time-limit 3s
    expect_status 2
    expect_match err 'etcd: process [0-9]+ (has not loaded libfaketime|is a Go program)'
    expect_clean_nodes 3 1
}

# A process of the node's own that writes down what time it is told.
start_teller() {
    on_node n2 'cp /bin/bash /run/teller; mkfifo /run/never; setsid /run/teller -c "exec 3<>/run/never; while :; do
        printf \"%(%s)T\n\" -1 >/run/told; read -t 0.05 -u 3; done" >/dev/null 2>&1 </dev/null &'
    wait_until 5 "the teller tells" teller_is_off 0
}
teller_is_off() { # SECONDS, give or take two
    local off
    off=$(($(on_node n2 'cat /run/told' 2>/dev/null || echo 0) - $(date +%s) - $1))
    [ $off -ge -2 ] && [ $off -le 2 ]
}
by_hand_and_gone_with_ordeal() {
    start_teller
    start ordeal nemesis clock n2 --process teller --set clock.offset=-1h --cluster "$cluster"
    wait_for_line 10 err '^clock of n2: .* -3600\.000 s through its vDSO .*Ctrl-C undoes it'
    wait_until 2 "the teller is an hour behind" teller_is_off -3600
    kill -INT "$pid"
    await_end 5
    expect_status 0
    wait_until 2 "the teller tells the truth" teller_is_off 0
    start ordeal nemesis clock n2 --process teller --set clock.offset=+1h --cluster "$cluster"
    wait_until 10 "the teller is an hour ahead" teller_is_off 3600
    kill_hard
    wait_until 5 "the teller tells the truth" teller_is_off 0
    expect_clean_nodes 3 5
    run ordeal nemesis clock n2 --process nobody --set clock.offset=+1h --cluster "$cluster"
    expect_problem 255 'no daemon runs there'
}

raise clock 3
it "offsets are seen, measured and drawn" offsets_are_measured_and_drawn
it "the machine's own clock is refused before the run" the_shared_clock_is_never_set
it "libfaketime where it is asked for" libfaketime_where_it_is_asked_for
it "by hand, and gone with ordeal" by_hand_and_gone_with_ordeal
it "nothing is left behind" nothing_is_left
finish
