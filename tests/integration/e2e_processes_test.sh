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
# Everybody is asked to end, twice in a row; and who takes more memory than it may is killed, which is no crash of its own.
storm_and_short_of_memory() {
    run ordeal run --local 3 --cluster "$(cluster_name run)" --system queue --workload queue --nemesis kill,memory \
        --set kill.signal=TERM --set kill.times=2 --set kill.targets=all --set memory.more=1 --set memory.targets=followers \
        --set queue.body-size=100000 --rate 500 --time-limit 13s --nemesis-interval 4s --nemesis-duration 2s --seed 7
    expect_status 0
    expect_match err 'kill of n1, n2, n3: .*ended by itself .* after SIGTERM.*the last of 2 times within'
    expect_match err 'ended unasked: signal 9 .*while it was short of memory'
    expect_match err 'memory undone: .*1 killed for want of memory.* had died, and run again'
    expect_json "$(newest_run)/results.json" '^\.checkers\.crashes\.valid true$' '^\.checkers\.crashes.*\.by-cause\.limit [12]$'
    [ "$(grep -c '"verified":true' "$(newest_run)/schedule.jsonl")" -eq 4 ] || fail "not every fault is verified twice"
    [ -z "$(groups)" ] || fail "a control group is left: $(groups)"
}
refused_before_the_run() {
    run ordeal run --local 1 --cluster "$(cluster_name no)" --system queue --workload queue --nemesis slow \
        --set slow.percent=99 --time-limit 1s
    expect_problem 254 'nemesis slow: slow\.percent=99 is not from 1 to 90'
    run ordeal nemesis slow n1
    expect_problem 254 'slow needs --process NAME'
}

it "a process made slow by hand is as fast as before 5 s after kill -9" slow_by_hand_and_killed
it "SIGTERM, twice, of the whole cluster; a daemon that a memory limit kills has not crashed" storm_and_short_of_memory
it "what cannot work is refused in one line" refused_before_the_run
finish
