#!/bin/bash
# Whole machines that ordeal switches off, by commands or over the EC2 API: no agent is on them that could bring them back, so when
# ordeal is killed the store knows how. The nodes of a local cluster play the machines.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
[ -x "$ORDEAL_BUILD/tests/integration/ec2_endpoint" ] || skip_everything "needs tests/integration/ec2_endpoint (make check-root)"

answers() { on_node "$1" true >/dev/null 2>&1; }
is_off() { ! answers "$1"; }
remembered() { ls "$store/.switched-off" 2>/dev/null; }
# ordeal beside the nodes, which are machines to it.
far() { # COMMAND ARGUMENT..
    on_control ordeal "$1" --nodes n1,n2 --store "$store" --ssh-key "/run/ordeal/clusters/$cluster/key" \
        --known-hosts "/run/ordeal/clusters/$cluster/known_hosts" "${@:2}"
}
noop_run() { run far run --system noop --workload noop --nemesis none --time-limit 200ms "$@"; }
# So that $pid is ordeal itself, which `ordeal local exec` becomes.
start_far() { # ARGUMENT..
    start ordeal local exec --cluster "$cluster" -- ordeal "$@" --nodes n1,n2 --store "$store" \
        --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts"
}
off_by_commands_and_killed() {
    start_far nemesis reboot n1 --set reboot.how=off --set "reboot.off-command=ordeal local stop {node} --cluster $cluster" \
        --set "reboot.on-command=ordeal local start {node} --cluster $cluster"
    wait_for_line 40 err '^reboot of n1: gone: n1'
    is_off n1 || fail "n1 is still there"
    [ "$(remembered)" = n1-22.json ] || fail "the store remembers: $(remembered)"
    kill_hard
    is_off n1 || fail "n1 is there, and nobody has switched it on"
}
healed_after_commands() {
    off_by_commands_and_killed
    run far heal
    expect_status 0
    expect_match out "^n1: switched on again by .ordeal local start 'n1' --cluster $cluster.: ordeal nemesis on .*, pid [0-9]+ had switched it off at 2"
    expect_match out '^n1: answers again, '
    answers n1 || fail "n1 is still off"
    [ -z "$(remembered)" ] || fail "the store still remembers: $(remembered)"
    run far heal
    expect_status 0
    expect_no_match out 'switched on'
}
nothing_goes_that_is_not_remembered() {
    run far nemesis reboot n1 --for 100ms --store /proc/nowhere --set reboot.how=off --set reboot.off-command='touch off; false' \
        --set reboot.on-command=true
    expect_problem 255 'reboot: n1 is not switched off, since that cannot be written down: '
    [ ! -e off ] || fail "it was switched off"
    answers n1 || fail "n1 is off"
}

start_endpoint() {
    [ -e "$work/endpoint" ] && return
    # Not by on_control: of that $! would be a shell.
    ordeal local exec --cluster "$cluster" -- "$ORDEAL_BUILD/tests/integration/ec2_endpoint" 2 "$ORDEAL_SOURCE/tests/lib/switch_node.sh $cluster" \
        >"$work/endpoint" 2>"$work/endpoint.err" </dev/null &
    echo $! >"$work/endpoint.pid"
    wait_until 5 "the endpoint has a port" test -s "$work/endpoint"
}
ec2_environment() {
    export AWS_ACCESS_KEY_ID=AKIDEXAMPLE AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
    ec2=(--set ec2.region=eu-test-1 --set "ec2.endpoint=http://127.0.0.1:$(cat "$work/endpoint")/")
}
instances_stop_and_start() {
    start_endpoint
    ec2_environment
    run far nemesis ec2 n1 --for 100ms "${ec2[@]}" --set ec2.instances=
    expect_status 0
    expect_match err '^ec2 of n1: gone: n1, their connections lost'
    expect_match err '^undone: n1 booted, and agents on them again'
    [ -z "$(remembered)" ] || fail "the store remembers: $(remembered)"
    on_node n2 'touch /run/before' || fail "no mark"
    run far nemesis ec2 n2 --for 100ms "${ec2[@]}" --set ec2.action=reboot
    expect_status 0
    on_node n2 'test ! -e /run/before' || fail "n2 was not rebooted"
    expect_match err '^undone: n2 booted'
}
stopped_and_killed() {
    start_endpoint
    ec2_environment
    start_far nemesis ec2 n1 "${ec2[@]}"
    wait_for_line 40 err '^ec2 of n1: gone: n1'
    is_off n1 || fail "n1 is still there"
    answers n2 || fail "n2 is off, too"
    kill_hard
    ! grep -rq "$AWS_SECRET_ACCESS_KEY" "$store" || fail "the secret is in the store"
    unset AWS_ACCESS_KEY_ID
    AWS_SHARED_CREDENTIALS_FILE=/nonexistent run far heal
    expect_problem 254 'n1: ec2: no credentials: set AWS_ACCESS_KEY_ID'
    is_off n1 || fail "n1 is on"
    ec2_environment
    noop_run
    expect_status 0
    expect_match err '^n1: switched on again by EC2, as its instance i-1: ordeal nemesis on .* had switched it off at 2'
    expect_match err '^n1: answers again'
    answers n1 || fail "n1 is still off"
    [ -z "$(remembered)" ] || fail "the store still remembers: $(remembered)"
}
refused_before_anything_is_stopped() {
    start_endpoint
    ec2_environment
    run far nemesis ec2 n1 "${ec2[@]}" --set ec2.tag=Role
    expect_problem 254 'nemesis ec2: 0 instances have the tag Role=n1; tag one for each node, or name them in ec2.instances'
    run ordeal nemesis ec2 n1 --cluster "$cluster"
    expect_problem 254 "nemesis ec2: a local cluster's nodes are no instances: see reboot"
    answers n1 && answers n2 || fail "a node is off"
}
# Last: nothing brings it back, as is told.
terminated_is_for_good() {
    start_endpoint
    ec2_environment
    run far nemesis ec2 n2 --for 100ms "${ec2[@]}" --set ec2.action=terminate
    expect_status 0
    expect_match err '^undone: what was terminated stays so: n2'
    is_off n2 || fail "n2 is still there"
    answers n1 || fail "n1 is off, too"
    [ -z "$(remembered)" ] || fail "the store remembers: $(remembered)"
}
end_endpoint() {
    kill -KILL "$(cat "$work/endpoint.pid")" || fail "the endpoint has ended by itself"
    wait_until 5 "the endpoint is gone" no_endpoint
    nothing_is_left
}
no_endpoint() { ! grep -sqF "switch_node.sh $cluster" <(for p in /proc/[0-9]*; do command_of "${p#/proc/}" | grep ec2_endpoint; done); }

raise machines 2
it "machines that commands switched off are on again after heal" healed_after_commands
it "what cannot be remembered is not switched off" nothing_goes_that_is_not_remembered
it "instances are stopped, started and rebooted" instances_stop_and_start
it "instances that were stopped when ordeal was killed are started by the next run" stopped_and_killed
it "instances that cannot be told apart are refused" refused_before_anything_is_stopped
it "instances that are terminated stay so" terminated_is_for_good
it "nothing is left behind" end_endpoint
finish
