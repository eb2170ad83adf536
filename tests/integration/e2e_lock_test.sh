#!/bin/bash
# Locks of a real etcd: one alone holds each while leases last; longer than that two do, and fences tell them apart.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

lock_run() { # SUFFIX ARGUMENTS..
    run ordeal run --local 3 --cluster "$(cluster_name "$1")" --store "$store" --system etcd --workload lock "${@:2}"
}

one_alone_holds_it() {
    lock_run calm --nemesis none --time-limit 4s --seed 1
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid true' '^\.checkers\.linearizable\.model "fenced-mutex"'
}

# Twelve locks, each wanted by two clients, and held for longer than a lease; a member stops for two leases.
leases_run_out() {
    cat >"$work/pauses.json" <<-'JSON'
	[{"at": "1500ms", "nemesis": "pause", "set": {"targets": "n1"}, "for": "4s"},
	 {"at": "6500ms", "nemesis": "pause", "set": {"targets": "n2"}, "for": "4s"}]
	JSON
    lock_run paused --schedule "$work/pauses.json" --time-limit 11s --concurrency 24 --seed 1 --set etcd.lock-ttl=2 \
        --set lock.hold=10s --set lock.threads-per-lock=2
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid false' '^\.checkers\.faults\.valid true'
    run ordeal check "$(newest_run)" --checker linearizable --model fences
    expect_status 0
}

short_leases_are_refused() {
    lock_run refused --nemesis none --time-limit 1s --set etcd.lock-ttl=1
    expect_status 254
    expect_match "$work/err" 'etcd\.lock-ttl: 1 s is too short for this op-timeout'
}

it "one alone holds each lock" one_alone_holds_it
it "when leases run out two hold it, and their fences differ" leases_run_out
it "leases must outlive operations" short_leases_are_refused
it "nothing is left behind" nothing_is_left
finish
