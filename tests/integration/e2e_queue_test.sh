#!/bin/bash
# Whole runs against the project's own job queue: the clean one keeps its promises under faults, and defects are convicted by
# name on the promise that they break. (All of them: make prove.)
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

queue_run() { # SUFFIX ARGUMENTS..
    run ordeal run --local 3 --cluster "$(cluster_name "$1")" --store "$store" --system queue "${@:2}"
}

the_queue_keeps_its_promises() {
    queue_run clean --workload queue --nemesis partition,kill,pause --nemesis-interval 4s --nemesis-duration 2s --time-limit 24s --seed 1
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.valid true' '^\.checkers\.delivery\.promises\.no-loss\.valid true' \
        '^\.test\.system-version "ordeal-queue '
    [ "$(grep -c '"phase":"begin"' "$(newest_run)/schedule.jsonl")" -ge 3 ] || fail "fewer than three faults"
    expect_file "$(newest_run)"/nodes/n{1,2,3}/queue.log
    expect_gone "$(cluster_name clean)" 1
}

disks_and_clocks_are_survived() {
    [ -e /dev/loop-control ] || skip "needs loop devices"
    ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || skip "needs libfaketime"
    queue_run disks --workload queue --nemesis power,disk,clock --nemesis-interval 4s --nemesis-duration 1s --time-limit 28s --seed 2
    [ "$status" -eq 0 ] || [ "$status" -eq 2 ] || fail "exit status $status"
    expect_json "$(newest_run)/results.json" '^\.checkers\.faults\.valid true' '^\.faults\.2\.begin\.verified true'
    # All but ttl, which is not promised: without a leader time stands still, and what expired is then told late.
    expect_no_match "$work/lines" '^\.checkers\.delivery\.promises\.[a-su-z][a-z-]*\.valid false'
    expect_gone "$(cluster_name disks)" 1
    [ -z "$(losetup -a | grep "$cluster_prefix")" ] || fail "loop devices are left"
}

# Who cannot sync ends its process and loses nothing; who has no space for a snapshot goes on without one.
failing_disks_are_survived() {
    [ -e /dev/fuse ] || skip "needs FUSE"
    cat >"$work/failing.json" <<-'JSON'
	[{"at": "2s", "nemesis": "io", "set": {"kind": "eio-fsync", "targets": "n1"}, "for": "1s"},
	 {"at": "5s", "nemesis": "io", "set": {"kind": "full", "targets": "n2"}, "for": "9s"}]
	JSON
    queue_run io --workload queue --schedule "$work/failing.json" --time-limit 15s --seed 3
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid true' '^\.checkers\.crashes\.valid true' \
        '^\.checkers\.crashes\.by-cause\.limit [1-9]' '^\.faults\.[01]\.end\.verified true'
    local schedule; schedule=$(newest_run)/schedule.jsonl
    expect_match "$schedule" 'n1: fsync: Input/output error'
    expect_match "$schedule" 'n1: [1-9][0-9]* operations? hit; they read, write and sync again; had died, and run again: n1'
    expect_match "$schedule" 'n2: write: No space left on device'
    expect_match "$schedule" 'n2: [1-9][0-9]* operations? hit'
    expect_match "$(newest_run)/nodes/n1/queue.log" 'sync log-.*Input/output error; the server ends'
    expect_gone "$(cluster_name io)" 1
}

a_late_acknowledgement_is_convicted() {
    queue_run defect --workload queue --nemesis none --set queue.defect=ack-any-attempt --set queue.hold=0.2 --set queue.lease=1s \
        --time-limit 8s --seed 1
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.fencing\.valid false' \
        '^\.checkers\.delivery\.promises\.no-loss\.valid true' '^\.test\.system-version ".* with the defect ack-any-attempt"'
}

what_does_not_fit_is_refused() {
    queue_run refused --workload queue --nemesis none --set queue.defect=no-such-defect --time-limit 1s
    expect_status 255
    expect_match "$work/err" 'there is no defect no-such-defect'
}

it "the queue keeps its promises under partitions, kills and pauses" the_queue_keeps_its_promises
it "and when power, disks and clocks go" disks_and_clocks_are_survived
it "failing disks end processes and lose nothing" failing_disks_are_survived
it "a queue that takes late acknowledgements is convicted" a_late_acknowledgement_is_convicted
it "an unknown defect is told" what_does_not_fit_is_refused
it "nothing is left behind" nothing_is_left
finish
