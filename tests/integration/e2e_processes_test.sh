#!/bin/bash
# Faults of processes in runs and by hand: slow, short of memory, stormed; and what cannot work.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

groups() { find /sys/fs/cgroup -type d -name 'ordeal-*' 2>/dev/null; }
# A process that nothing of ordeal has started, which spins; how much of a processor it gets, in percent.
start_spinner() { on_node "$1" 'cp /bin/sh /run/spinner; setsid /run/spinner -c "while :; do :; done" >/dev/null 2>&1 </dev/null &'; }
spinner_pid() { on_node n1 'grep -l "^Name:.spinner$" /proc/[0-9]*/status' | head -n 1 | grep -oE '[0-9]+'; }
ticks() { on_node n1 "cut -d ' ' -f 14 /proc/$1/stat"; }
share() { # PID
    local before began
    before=$(ticks "$1") began=$(now_ms)
    sleep 0.6
    echo $((($(ticks "$1") - before) * 1000 / ($(now_ms) - began)))
}
is_slower_than() { [ "$(share "$1")" -lt "$2" ]; }
is_faster_than() { [ "$(share "$1")" -gt "$2" ]; }

slow_by_hand_and_killed() {
    local pid_on_node
    raise slow 1
    start_spinner n1 || fail "no spinner"
    pid_on_node=$(spinner_pid)
    wait_until 10 "the spinner has a processor" is_faster_than "$pid_on_node" 25
    start ordeal nemesis slow n1 --process spinner --cluster "$cluster"
    wait_for_line 10 err '^slow of n1: n1: cpu of 1 process limited by '
    is_slower_than "$pid_on_node" 15 || fail "it is not slow"
    kill_hard
    wait_until 5 "the spinner has a processor again" is_faster_than "$pid_on_node" 25
    expect_clean_nodes 1 5
    [ -z "$(groups)" ] || fail "a control group is left: $(groups)"
}
# Everybody is asked to end, twice in a row; a member is replaced; and who takes more memory than it may is killed, which is no crash of its own.
storm_and_short_of_memory() {
    run ordeal run --local 3 --cluster "$(cluster_name run)" --system queue --workload queue --nemesis kill,memory,membership \
        --set kill.signal=TERM --set kill.times=2 --set kill.targets=all --set memory.more=1 --set memory.targets=followers \
        --set queue.body-size=80000 --set membership.action=replace --rate 400 --time-limit 19s --nemesis-interval 3s --nemesis-duration 2s --seed 7
    expect_status 0
    expect_match err 'kill of n1, n2, n3: .*ended by itself .* after SIGTERM.*the last of 2 times within'
    expect_match err 'membership of n.: n. removed by way of n.*added with an empty disk .* the members are n1, n2, n3'
    expect_match err 'ended unasked: signal 9 .*while it was short of memory'
    expect_match err 'memory undone: .*1 killed for want of memory.* had died, and run again'
    expect_json "$(newest_run)/results.json" '^\.checkers\.crashes\.valid true$' '^\.checkers\.crashes.*\.by-cause\.limit [12]$'
    [ "$(grep -c '"verified":true' "$(newest_run)/schedule.jsonl")" -ge 6 ] || fail "not every fault is verified twice"
    expect_no_match "$(newest_run)/schedule.jsonl" '"verified":false'
    [ -z "$(groups)" ] || fail "a control group is left: $(groups)"
}
answers() { on_node "$1" true >/dev/null 2>&1; }
is_off() { ! answers "$1"; }
no_groups() { [ -z "$(groups)" ]; }
rebooted_by_hand() {
    raise nodes 2
    on_node n1 'touch /run/before /root/before' || fail "no marks"
    run ordeal nemesis reboot n1 --set reboot.how=cold --for 100ms --cluster "$cluster"
    expect_status 0
    expect_match err '^reboot of n1: gone: n1, their connections lost'
    expect_match err '^undone: n1 booted, and agents on them again'
    on_node n1 'test ! -e /run/before -a -e /root/before' || fail "it was not booted, or not from its disk"
    on_node n1 'touch /run/before' || fail "no mark"
    run ordeal nemesis reboot n1 --for 100ms --cluster "$cluster"
    expect_status 0
    on_node n1 'test ! -e /run/before -a -e /root/before' || fail "it was not rebooted, or not from its disk"
    expect_clean_nodes 2 5
}
held_off_and_killed() {
    cluster=$(cluster_name nodes)
    answers n1 || fail "n1 is not there to begin with"
    start ordeal nemesis reboot n1 --set reboot.how=off --cluster "$cluster"
    wait_for_line 10 err '^reboot of n1: gone: n1'
    is_off n1 || fail "n1 is still there"
    answers n2 || fail "n2 is off, too"
    kill_hard
    wait_until 5 "n1 is switched on again" answers n1
}
# The same nodes as machines: ordeal knows of no cluster, and has commands to switch them.
machines() {
    cluster=$(cluster_name nodes)
    local keys=(--ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts")
    run on_control ordeal nemesis reboot n2 --nodes n1,n2 "${keys[@]}"
    expect_problem 254 "nemesis reboot: n1 runs on this machine's kernel, which is not rebooted"
    run on_control ordeal nemesis reboot n2 --nodes n1,n2 "${keys[@]}" --set reboot.how=off
    expect_problem 254 'nemesis reboot: machines are switched off and on by commands: name both'
    on_node n2 'touch /run/before' || fail "no mark"
    run on_control ordeal nemesis reboot n2 --nodes n1,n2 "${keys[@]}" --set reboot.how=off --for 100ms \
        --set "reboot.off-command=ordeal local stop {node} --cluster $cluster" \
        --set "reboot.on-command=ordeal local start {node} --cluster $cluster"
    expect_status 0
    expect_match err '^reboot of n2: gone: n2'
    expect_match err '^undone: n2 booted, and agents on them again'
    on_node n2 'test ! -e /run/before' || fail "it was not booted"
}
dies_with_a_limit() {
    cluster=$(cluster_name nodes)
    start_spinner n1 || fail "no spinner"
    start ordeal nemesis slow n1 --process spinner --set slow.means=cgroup --cluster "$cluster"
    wait_for_line 10 err '^slow of n1: n1: cpu of 1 process limited by cgroup'
    [ -n "$(groups)" ] || fail "there is no group"
    ordeal local stop n1 --cluster "$cluster" >/dev/null 2>&1 || fail "it cannot be stopped"
    wait_until 5 "the dead node's group is gone" no_groups
}
# A member goes and is added again with an empty disk; all that time the others serve.
member_of_etcd() {
    command -v etcd >/dev/null || skip "needs etcd (etcd-server)"
    run ordeal run --local 3 --cluster "$(cluster_name members)" --system etcd --workload register --nemesis membership \
        --set membership.action=remove --rate 100 --time-limit 4s --nemesis-interval 2500ms --nemesis-duration 1s --seed 7
    expect_status 0
    expect_match err 'membership of n.: n. removed by way of n'
    expect_match err 'undone: n. added with an empty disk .* the members are n1, n2, n3'
    [ "$(grep -c '"verified":true' "$(newest_run)/schedule.jsonl")" -eq 2 ] || fail "the fault is not verified twice"
}
refused_before_the_run() {
    run ordeal run --local 1 --cluster "$(cluster_name no)" --system queue --workload queue --nemesis slow \
        --set slow.percent=99 --time-limit 1s
    expect_problem 254 'nemesis slow: slow\.percent=99 is not from 1 to 90'
    run ordeal run --local 1 --cluster "$(cluster_name no)" --system queue --workload queue --nemesis reboot,power --time-limit 1s
    expect_problem 254 'nemesis reboot: it cannot be in one plan with power'
    run ordeal nemesis slow n1
    expect_problem 254 'slow needs --process NAME'
}

it "a process made slow by hand is as fast as before 5 s after kill -9" slow_by_hand_and_killed
it "SIGTERM, twice, of the whole cluster; a daemon that a memory limit kills has not crashed" storm_and_short_of_memory
it "a node that is rebooted boots from its disk" rebooted_by_hand
it "a node that is held off is on again 5 s after kill -9" held_off_and_killed
it "machines are switched by commands, and this one is not rebooted" machines
it "a node that dies leaves no control group on this machine" dies_with_a_limit
it "a member of etcd is removed and added again" member_of_etcd
it "what cannot work is refused in one line" refused_before_the_run
finish
