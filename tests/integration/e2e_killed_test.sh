#!/bin/bash
# ordeal is killed, as nothing can prevent, in the middle of faults: each has its effect, and within 5 s none is left. On one cluster:
# by hand those that need no system, and in runs those of disks. Which test does it for which fault: tests/faults.tsv.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

start_fault() { # NEMESIS ARGUMENT..: against $cluster, until it is in force
    start ordeal nemesis "$@" --cluster "$cluster"
    wait_for_line 30 err "^$1 of "
}
reaches() { on_node "$1" "timeout 1 bash -c '</dev/tcp/$2/22'" >/dev/null 2>&1; }
all_reach() { reaches n1 n2 && reaches n2 n3 && reaches n3 n1; }
answers() { on_control timeout 1 bash -c "</dev/tcp/$1/22" >/dev/null 2>&1; }
address_of() { on_node "$1" "sed -n 's/^\\([0-9.]*\\)[[:space:]]*$1\$/\\1/p' /etc/hosts" | head -n 1; }

flap_killed() {
    start_fault flap n3
    ! reaches n1 n3 || fail "n1 reaches n3"
    kill_hard
    wait_until 5 "every path is open again" all_reach
    expect_clean_nodes 3 5
}
clients_killed() {
    local address
    address=$(address_of n2)
    answers "$address" || fail "n2 ($address) does not answer to begin with"
    start_fault clients n2
    ! answers "$address" || fail "n2 still answers"
    kill_hard
    wait_until 5 "n2 answers again" answers "$address"
    expect_clean_nodes 3 5
}
port_killed() {
    # Somebody must use the port, or there is nothing to cut.
    on_node n1 'cp /bin/bash /run/caller; setsid /run/caller -c "for i in {1..100}; do (: </dev/tcp/n2/22); sleep 0.1; done" >/dev/null 2>&1 </dev/null &'
    start_fault port 22 --set port.targets=n2
    ! reaches n1 n2 || fail "n1 reaches the port of n2"
    reaches n1 n3 || fail "n1 does not reach the port of n3"
    on_node n1 'ping -c 1 -W 2 n2' >/dev/null || fail "more than the port is cut"
    kill_hard
    wait_until 5 "the port is open again" reaches n1 n2
    expect_clean_nodes 3 5
}
shaped() { on_node "$1" 'tc qdisc show; tc filter show dev eth0' 2>/dev/null | grep -c dea1:; }
is_not_shaped() { [ "$(shaped "$1")" -eq 0 ]; }
rate_killed() {
    start_fault packets rate --set packets.means=netem --set packets.targets=n1 --set packets.direction=from
    expect_match err '^packets of n1, n2, n3: in force in .*, tc tbf where they leave; .*at most (0\.9|1)[0-9.]* Mbit/s \(asked 1 Mbit/s'
    [ "$(shaped n1)" -ge 3 ] && is_not_shaped n2 || fail "n1 has no discipline of ours, or n2 has"
    kill_hard
    wait_until 5 "n1 sends freely" is_not_shaped n1
    expect_clean_nodes 3 5
}
netem_or_why_not() {
    run ordeal nemesis packets delay --set packets.means=netem --for 100ms --cluster "$cluster"
    [ "$status" -eq 0 ] || expect_problem 254 'nemesis packets: n1 cannot: the kernel has no netem: Specified qdisc kind is unknown'
    expect_clean_nodes 3 1
}

sleeper_limit() { # NAME: the soft limit of a process that nothing of ordeal has started
    on_node n1 "grep -h '^Max $1 ' \$(grep -l '^Name:.sleeper\$' /proc/[0-9]*/status 2>/dev/null | head -n 1 | sed 's/status/limits/')" | awk '{print $4}'
}
sleeps() { on_node n1 'grep -q "^Name:.sleeper" /proc/[0-9]*/status' 2>/dev/null; }
limit_is() { [ "$(sleeper_limit "$1")" = "$2" ]; }
limits_killed() {
    local files space
    on_node n1 'cp /bin/sleep /run/sleeper; setsid /run/sleeper 600 >/dev/null 2>&1 </dev/null &'
    wait_until 5 "the sleeper sleeps" sleeps
    files=$(sleeper_limit 'open files') space=$(sleeper_limit 'address space')
    start_fault files n1 --process sleeper
    ! limit_is 'open files' "$files" || fail "it may still have $files files"
    kill_hard
    wait_until 5 "it may have $files files again" limit_is 'open files' "$files"
    expect_clean_nodes 3 5
    start_fault memory n1 --process sleeper --set memory.means=rlimit
    ! limit_is 'address space' "$space" || fail "it may still have $space of memory"
    kill_hard
    wait_until 5 "it may have $space of memory again" limit_is 'address space' "$space"
    expect_clean_nodes 3 5
    [ "$(groups)" = "$(memory_groups_of_sleeper)" ] || fail "there is a group already: $(groups)"
    start_fault memory n1 --process sleeper --set memory.means=cgroup
    [ -n "$(memory_groups_of_sleeper)" ] || fail "it is in no group with a limit"
    kill_hard
    wait_until 5 "the group is gone" no_groups
    sleeps || fail "the sleeper was killed"
    expect_clean_nodes 3 5
}
groups() { find /sys/fs/cgroup -type d -name 'ordeal-*' 2>/dev/null; }
no_groups() { [ -z "$(groups)" ]; }
# Those whose limit is a number and no "max", with a process in them.
memory_groups_of_sleeper() {
    local group
    for group in $(groups); do
        grep -qE '^[0-9]+$' "$group"/memory.max "$group"/memory.limit_in_bytes 2>/dev/null && grep -q . "$group/cgroup.procs" && echo "$group"
    done
}
stops_now_and_then() { on_node n1 'for i in 1 2 3 4 5 6 7 8 9 10; do grep -h "^State:" $(grep -ls "^Name:.sleeper\$" /proc/[0-9]*/status | head -n 1); sleep 0.02; done' | grep -q 'T (stopped)'; }
never_stops() { ! stops_now_and_then; }
steps_killed() {
    start_fault slow n1 --process sleeper --set slow.means=steps
    stops_now_and_then || fail "it is never stopped"
    kill_hard
    wait_until 5 "it is not stopped any more" never_stops
    expect_clean_nodes 3 5
}
burdens() { on_node n2 'grep -l "^Name:.ordeal-burden" /proc/[0-9]*/status 2>/dev/null'; }
no_burdens() { [ -z "$(burdens)" ]; }
hog_killed() {
    start_fault hog n2 --set hog.what=cpu
    ! no_burdens || fail "n2 has no more processes than before"
    kill_hard
    wait_until 5 "n2 has its processors for itself" no_burdens
    expect_clean_nodes 3 5
}

resident_kib() { on_node n2 'cat $(grep -l "^Name:.ordeal-burden" /proc/[0-9]*/status 2>/dev/null) /dev/null' 2>/dev/null | awk '/^VmRSS/ {sum += $2} END {print sum + 0}'; }
memory_hog_killed() {
    start_fault hog n2 --set hog.what=memory --set hog.memory=5
    [ "$(resident_kib)" -ge 10000 ] || fail "they hold $(resident_kib) KiB"
    kill_hard
    wait_until 5 "n2 has its memory for itself" no_burdens
    expect_clean_nodes 3 5
}

# A process of the node's own that writes down what time it is told, twenty times a second, and how long it waited.
start_teller() {
    on_node n3 'cp /bin/bash /run/teller; mkfifo /run/never; setsid /run/teller -c "exec 3<>/run/never; while :; do
        printf \"%(%s)T\n\" -1 >/run/told; read -t 0.05 -u 3; done" >/dev/null 2>&1 </dev/null &'
    wait_until 5 "the teller tells" teller_is_off -2 2
}
teller_is_off() { # FROM TO, in seconds
    local off
    off=$(($(on_node n3 'cat /run/told' 2>/dev/null || echo 0) - $(date +%s)))
    [ $off -ge "$1" ] && [ $off -le "$2" ]
}
tells_the_truth_for_a_while() { local i; for i in 1 2 3 4; do teller_is_off -2 2 || return; done; }
clocks_killed() {
    start_teller
    start_fault clock n3 --process teller --set clock.shape=drift --set clock.rate=3
    wait_until 8 "the teller has gained" teller_is_off 6 60
    kill_hard
    wait_until 5 "the teller tells the truth" teller_is_off -2 2
    expect_clean_nodes 3 5
    start_fault clock n3 --process teller --set clock.shape=strobe --set clock.offset=+1h
    wait_until 5 "the teller is ahead" teller_is_off 3590 3610
    wait_until 5 "the teller is not ahead" teller_is_off -10 10
    wait_until 5 "the teller is ahead again" teller_is_off 3590 3610
    kill_hard
    wait_until 5 "the teller tells the truth" tells_the_truth_for_a_while
    expect_clean_nodes 3 5
}

# Connections between n1 and n2: how many n1, and how many n2, believes to be established.
believed() { on_node "$1" 'ss -Htn state established "( sport = :7 or dport = :7 )" | grep -c .'; }
connect() {
    on_node n2 'setsid perl -MIO::Socket::INET -e '"'"'my $s = IO::Socket::INET->new(LocalPort => 7, Listen => 9, ReuseAddr => 1) or die;
        my @all; while (1) { push @all, scalar $s->accept }'"'"' >/dev/null 2>&1 </dev/null &'
    on_node n1 'setsid perl -MIO::Socket::INET -e '"'"'my $s; for (1 .. 100) { $s = IO::Socket::INET->new(PeerAddr => "n2:7") and last; select undef, undef, undef, 0.05 }
        sleep 600'"'"' >/dev/null 2>&1 </dev/null &'
    wait_until 5 "n1 and n2 are connected" are_connected
}
are_connected() { [ "$(believed n1) $(believed n2)" = "1 1" ]; }
resets_killed() {
    command -v perl >/dev/null && on_node n1 'command -v ss' >/dev/null || skip "needs perl and ss"
    connect
    start_fault reset n1 --set reset.of=nodes --set reset.half-open=always
    [ "$(believed n1) $(believed n2)" = "0 1" ] || fail "n1 and n2 believe in $(believed n1) and $(believed n2) connections"
    kill_hard
    expect_clean_nodes 3 5
    all_reach || fail "new connections are not made"
    on_node n1 'setsid perl -MIO::Socket::INET -e '"'"'my $s = IO::Socket::INET->new(PeerAddr => "n2:7"); sleep 600'"'"' >/dev/null 2>&1 </dev/null &'
    wait_until 5 "n1 has a connection again" has_one n1
    run ordeal nemesis reset n1 --set reset.of=nodes --set reset.half-open=never --for 100ms --cluster "$cluster"
    expect_status 0
    [ "$(believed n1)" -eq 0 ] || fail "n1 has a connection still"
    expect_match err '^undone: 12 paths probed: 0 cut, 12 open'
}
has_one() { [ "$(believed "$1")" -eq 1 ]; }
# A client of n2 that waits for an answer, and writes down how its connection ended.
clients_are_reset() {
    command -v perl >/dev/null || skip "needs perl"
    local address
    address=$(address_of n2)
    on_control timeout 60 perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(PeerAddr => "$ARGV[0]:7") or die; $| = 1; print "connected\n";
        print defined sysread($s, my $b, 1) ? "closed\n" : "$!\n"' "$address" >"$work/client" 2>&1 </dev/null &
    wait_for_line 5 "$work/client" '^connected$'
    run ordeal nemesis reset n2 --set reset.of=clients --for 100ms --cluster "$cluster"
    expect_status 0
    expect_match err '^reset of n2: [1-9][0-9]* connections with clients gone'
    wait_for_line 2 "$work/client" '^Connection reset by peer$'
    all_reach && answers "$address" || fail "new connections are not made"
    expect_clean_nodes 3 1
}

# What is of the run on a node: disks, processes, files of the agent.
of_the_run() { # NODE
    on_node "$1" 'grep -oE "^[^ ]+ /var/lib/ordeal(-queue|/disks)[^ ]* [a-z0-9.]+" /proc/mounts
        grep -lE "^Name:.(ordeal-queue|ordeal-agent|ordeal-burden|strict-fs)" /proc/[0-9]*/status 2>/dev/null
        ls -d /run/ordeal/journal/* /run/ordeal/journal.damage/* /var/lib/ordeal/disks/* 2>/dev/null'
    losetup -a 2>/dev/null | grep -F "$cluster"
}
nothing_of_the_run() { [ -z "$(of_the_run n1)$(of_the_run n2)$(of_the_run n3)" ]; }
in_a_run_killed() { # NEMESIS OPTIONS EFFECT [ARGUMENT..]: EFFECT is seen in the middle of it
    echo "[{\"at\": \"300ms\", \"nemesis\": \"$1\", \"set\": {$2}}]" >"$work/schedule.json"
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system queue --workload queue --rate 100 --time-limit 30s \
        --schedule "$work/schedule.json" "${@:4}"
    wait_for_line 15 err "^fault 1: $1 of n"
    "$3" || fail "the effect of $1 is not seen: $(of_the_run n1)"
    kill_hard
    wait_until 5 "nothing is left of the run" nothing_of_the_run
    expect_clean_nodes 3 5
}
has_no_power() { ! on_node n1 'touch /var/lib/ordeal-queue/mark' 2>/dev/null; }
is_slow_disk() { [ "$(on_node n1 'date +%s%N; echo x >/var/lib/ordeal-queue/mark; sync /var/lib/ordeal-queue/mark; date +%s%N' | paste -sd' ' | awk '{print int(($2 - $1) / 1e6)}')" -ge 250 ]; }
damage_is_kept() { on_node "$1" 'grep -q "kind=damage" /run/ordeal/journal/*' 2>/dev/null; }
faketime_killed() {
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || skip "needs libfaketime"
    in_a_run_killed clock '"targets": "all", "shape": "bump", "offset": "-10s"' reads_a_wrong_clock --set clock.means=faketime
}
# All that is started there with the library and the file of the daemons' is as much behind as they are.
reads_a_wrong_clock() {
    local told
    told=$(on_node n1 'LD_PRELOAD=$(ls /usr/lib/*/faketime/libfaketimeMT.so.1 | head -n 1) FAKETIME_TIMESTAMP_FILE=/run/ordeal/wall-clock-offset \
        FAKETIME_NO_CACHE=1 date +%s')
    [ $((told - $(date +%s))) -le -8 ]
}
power_killed() { in_a_run_killed power '"targets": "all"' has_no_power; }
io_killed() { in_a_run_killed io '"targets": "all", "kind": "slow", "delay": "300ms"' is_slow_disk; }
disk_killed() { in_a_run_killed disk '"damage": "flip", "stage": "plain"' any_damage_is_kept; }
# A member that was removed is out for good, but nothing of the run lives on: the next one begins with all three.
one_is_removed() {
    local node out=0
    for node in n1 n2 n3; do
        on_node $node 'grep -lE "^Name:.ordeal-queue" /proc/[0-9]*/status' >/dev/null 2>&1 || out=$((out + 1))
    done
    [ $out -eq 1 ]
}
membership_killed() {
    in_a_run_killed membership '"action": "remove"' one_is_removed
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system queue --workload queue --rate 50 --time-limit 1s \
        --nemesis none --set queue.drain-limit=3s
    expect_status 0
}
# Every node has a mark on its disk; then one has lost it, and another is down while that one runs again.
trap_killed() {
    local node marked=0
    echo '[{"at": "1500ms", "nemesis": "disk", "set": {"damage": "wipe", "stage": "trap"}}]' >"$work/schedule.json"
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system queue --workload queue --rate 100 --time-limit 30s \
        --schedule "$work/schedule.json"
    wait_for_line 15 err '^running '
    for node in n1 n2 n3; do on_node $node 'touch /var/lib/ordeal-queue/mark' || fail "no mark on $node"; done
    wait_for_line 25 err '^fault 1: disk of n'
    for node in n1 n2 n3; do on_node $node 'test -e /var/lib/ordeal-queue/mark' && marked=$((marked + 1)); done
    [ $marked -eq 2 ] || fail "$marked of three disks are as they were"
    one_is_removed || fail "not two of three run"
    kill_hard
    wait_until 5 "nothing is left of the run" nothing_of_the_run
    expect_clean_nodes 3 5
}
any_damage_is_kept() { damage_is_kept n1 || damage_is_kept n2 || damage_is_kept n3; }

raise killed 3
it "flapping ends" flap_killed
it "clients reach every node again" clients_killed
it "a port is open again" port_killed
it "a rate by tc ends" rate_killed
it "netem is there, or it is said in one line that it is not" netem_or_why_not
it "limits of files and memory are lifted" limits_killed
it "a process that is stopped in turn goes on" steps_killed
it "what hogs a node ends" hog_killed
it "what holds a node's memory ends" memory_hog_killed
it "clocks that drift or jump are right again" clocks_killed
it "connections are reset, also half open, and new ones are made" resets_killed
it "connections of clients are reset" clients_are_reset
it "daemons under libfaketime are gone" faketime_killed
it "disks without power are gone, with what was on them" power_killed
it "disks that are slow are gone" io_killed
it "damage is undone where nobody wrote since, and its run is gone" disk_killed
it "a node without its disk is started with who is behind, and its run is gone" trap_killed
it "a member that was removed is one again in the next run" membership_killed
finish
