#!/bin/bash
# Whole runs against real memcached servers: paused they keep what they hold, killed they forget it.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v memcached >/dev/null || skip_everything "needs memcached"
ordeal list systems | grep -q '^  memcached .*cache' || skip_everything "needs a build with libmemcached"

memcached_run() { # NAME ARGUMENTS..
    run ordeal run --local 3 --cluster "$(cluster_name "$1")" --store "$store" --system memcached --rate 300 --seed 1 \
        --nemesis-interval 1s --nemesis-duration 700ms --time-limit 2s "${@:2}"
}

paused_servers_forget_nothing() {
    memcached_run paused --workload counter --nemesis pause
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.test\.system-version "memcached [0-9.]+"' \
        '^\.checkers\.counter\.key-count 5' '^\.faults\.0\.begin\.verified true'
}

killed_servers_forget_all() {
    memcached_run killed --workload unique-ids --nemesis kill --set kill.targets=all
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.unique-ids\.valid false' '^\.checkers\.unique-ids\.duplicated-count [0-9]+'
}

it "paused servers forget nothing" paused_servers_forget_nothing
it "killed servers forget all, and give identifiers twice" killed_servers_forget_all
it "nothing is left behind" nothing_is_left
finish
