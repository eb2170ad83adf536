#!/bin/bash
# Whole runs against real Redis servers: with Sentinel, as a cluster, and one alone whose power goes.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v redis-server >/dev/null || skip_everything "needs redis-server"

redis_run() { # NAME NODES ARGUMENTS..
    run ordeal run --local "$2" --cluster "$(cluster_name "$1")" --store "$store" --system redis --rate 500 "${@:3}"
}

# A primary that keeps nothing and is back before anybody has missed it empties its replicas.
sentinel_restarts() { # NAME APPENDONLY
    redis_run "$1" 3 --workload log --set redis.appendonly="$2" --nemesis kill --set kill.targets=primaries \
        --nemesis-interval 1500ms --nemesis-duration 300ms --time-limit 2s --seed 1
}

a_primary_without_a_file_loses_all() {
    sentinel_restarts forgets false
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.valid false' '^\.test\.system-version "redis [0-9.]+, Sentinel"' \
        '^\.checkers\.log-offsets\.lost-count [0-9]{2,}' '^\.faults\.0\.begin\.verified true' \
        '^\.checkers\.log-offsets\.anomalies\.[0-9]+\.kind "lost"'
    expect_file "$(newest_run)"/nodes/n1/redis-server.log "$(newest_run)"/nodes/n1/redis-sentinel.log
}

what_is_synced_later_is_lost() {
    redis_run everysec 1 --workload set --set redis.mode=single --set redis.appendfsync=everysec --nemesis power \
        --set power.stall=0s --nemesis-interval 1s --nemesis-duration 300ms --time-limit 1500ms --seed 1
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.set\.valid false' '^\.checkers\.set\.anomalies\.[0-9]+\.kind "lost"' \
        '^\.checkers\.set\.keys-invalid [0-9]+'
}

a_cluster_serves_registers() {
    redis_run slots 3 --workload register --set redis.mode=cluster --nemesis none --time-limit 1s --seed 1
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid true' '^\.test\.system-version "redis .* Cluster"'
}

nonsense_is_refused() {
    redis_run one 3 --workload set --set redis.mode=single --nemesis none --time-limit 1s
    expect_status 254
    expect_match err 'redis.mode=single is one server: it takes one node, not 3'
}

it "a primary that keeps no file empties its replicas, and is convicted" a_primary_without_a_file_loses_all
it "synced every second, what was acknowledged is lost with the power" what_is_synced_later_is_lost
it "a cluster serves registers" a_cluster_serves_registers
it "options that do not go together are refused" nonsense_is_refused
it "nothing is left behind" nothing_is_left
finish
