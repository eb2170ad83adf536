#!/bin/bash
# Whole runs against a real NATS JetStream of three servers: nothing breaks, and the power of all of them goes.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v nats-server >/dev/null || skip_everything "needs nats-server"
ordeal list systems | grep -q '^  nats .*JetStream' || skip_everything "needs a build with libnats"

nats_run() { # NAME ARGUMENTS..
    run ordeal run --local 3 --cluster "$(cluster_name "$1")" --store "$store" --system nats --workload log --rate 300 --seed 1 "${@:2}"
}

what_is_published_is_there() {
    nats_run whole --nemesis none --time-limit 2s
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.test\.system-version "nats-server [0-9.]+, JetStream R3"' \
        '^\.checkers\.log-offsets\.acknowledged-count [0-9]{2,}' '^\.checkers\.log-offsets\.record-count [0-9]{2,}'
    expect_file "$(newest_run)"/nodes/n3/nats-server.log
}

acknowledged_before_synced_is_lost() {
    nats_run dark --nemesis power --set power.targets=all --set power.stall=0s --nemesis-interval 1500ms --nemesis-duration 300ms \
        --time-limit 2s
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.log-offsets\.valid false' '^\.checkers\.log-offsets\.lost-count [0-9]{2,}' \
        '^\.faults\.0\.begin\.verified true'
}

an_old_server_cannot_sync_always() {
    nats-server --version | grep -q 'v2\.[0-9]\.' || skip "this nats-server knows sync_interval"
    nats_run old --nemesis none --time-limit 1s --set nats.sync=always
    expect_status 255
    expect_match err 'nats.sync=always needs nats-server 2.10, and 2.* is there: name a newer one in nats.binary'
}

it "what is published is there" what_is_published_is_there
it "what is acknowledged before it is synced is lost with all power" acknowledged_before_synced_is_lost
it "a server that cannot sync always is refused" an_old_server_cannot_sync_always
it "nothing is left behind" nothing_is_left
finish
