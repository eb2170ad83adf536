#!/bin/bash
# ordeal is killed, as nothing can prevent, in the middle of faults: each has its effect, and within 5 s none is left. On one cluster:
# by hand those that need no system, and in runs those of disks. (partition, pause: e2e_by_hand; delayed packets, clog: e2e_network;
# slow, reboot: e2e_processes; clock: e2e_clock; runs with daemons killed: e2e_stop; nemeses of one's own: e2e_schedule.)
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

start_fault() { # NEMESIS ARGUMENT..: against $cluster, until it is in force
    start ordeal nemesis "$@" --cluster "$cluster"
    wait_for_line 10 err "^$1 of "
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
    [ "$status" -eq 0 ] || expect_problem 255 'nemesis packets: n1 cannot: the kernel has no netem: Specified qdisc kind is unknown'
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

# What is of the run on a node: disks, processes, files of the agent.
of_the_run() { # NODE
    on_node "$1" 'grep -oE "^[^ ]+ /var/lib/ordeal(-queue|/disks)[^ ]* [a-z0-9.]+" /proc/mounts
        grep -lE "^Name:.(ordeal-queue|ordeal-agent|ordeal-burden|strict-fs)" /proc/[0-9]*/status 2>/dev/null
        ls -d /run/ordeal/journal/* /run/ordeal/journal.damage/* /var/lib/ordeal/disks/* 2>/dev/null'
    losetup -a 2>/dev/null | grep -F "$cluster"
}
nothing_of_the_run() { [ -z "$(of_the_run n1)$(of_the_run n2)$(of_the_run n3)" ]; }
in_a_run_killed() { # NEMESIS OPTIONS EFFECT..: EFFECT is seen in the middle of it
    echo "[{\"at\": \"300ms\", \"nemesis\": \"$1\", \"set\": {$2}}]" >"$work/schedule.json"
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system queue --workload queue --rate 100 --time-limit 30s \
        --schedule "$work/schedule.json"
    wait_for_line 15 err "^fault 1: $1 of n"
    "${@:3}" || fail "the effect of $1 is not seen: $(of_the_run n1)"
    kill_hard
    wait_until 5 "nothing is left of the run" nothing_of_the_run
    expect_clean_nodes 3 5
}
has_no_power() { ! on_node n1 'touch /var/lib/ordeal-queue/mark' 2>/dev/null; }
is_slow_disk() { [ "$(on_node n1 'date +%s%N; echo x >/var/lib/ordeal-queue/mark; sync /var/lib/ordeal-queue/mark; date +%s%N' | paste -sd' ' | awk '{print int(($2 - $1) / 1e6)}')" -ge 250 ]; }
damage_is_kept() { on_node "$1" 'grep -q "kind=damage" /run/ordeal/journal/*' 2>/dev/null; }
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
any_damage_is_kept() { damage_is_kept n1 || damage_is_kept n2 || damage_is_kept n3; }

raise killed 3
it "flapping ends" flap_killed
it "clients reach every node again" clients_killed
it "a port is open again" port_killed
it "a rate by tc ends" rate_killed
it "netem is there, or it is said in one line that it is not" netem_or_why_not
it "limits of files and memory are lifted" limits_killed
it "what hogs a node ends" hog_killed
it "disks without power are gone, with what was on them" power_killed
it "disks that are slow are gone" io_killed
it "damage is undone where nobody wrote since, and its run is gone" disk_killed
it "a member that was removed is one again in the next run" membership_killed
finish
