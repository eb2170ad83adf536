#!/bin/bash
# Whole runs against real beanstalkd servers: nothing breaks, a server is killed, and the power goes.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v beanstalkd >/dev/null || skip_everything "needs beanstalkd"

beanstalkd_run() { # NAME NODES ARGUMENTS..
    run ordeal run --local "$2" --cluster "$(cluster_name "$1")" --store "$store" --system beanstalkd --workload queue --rate 200 --seed 1 \
        --set queue.lease=1s --set queue.delay-max=1s --set queue.settle=2s "${@:3}"
}

killed_servers_keep_their_jobs() {
    cat >"$work/kill.json" <<-'JSON'
	[{"at": "1s", "nemesis": "kill", "set": {"targets": "n1"}, "for": "500ms"}]
	JSON
    beanstalkd_run killed 2 --schedule "$work/kill.json" --time-limit 3s
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid true' \
        '^\.checkers\.delivery\.promises\.no-redelivery-after-ack\.valid true' '^\.checkers\.delivery\.promises\.delay\.valid true' \
        '^\.test\.system-version "beanstalkd [0-9.]+, binlog, synced by default"' '^\.faults\.0\.begin\.verified true'
    expect_file "$(newest_run)"/schedule.jsonl
    expect_gone "$(cluster_name killed)" 1
}

without_a_binlog_a_kill_loses_all() {
    cat >"$work/kill.json" <<-'JSON'
	[{"at": "1s", "nemesis": "kill", "set": {"targets": "n1"}, "for": "200ms"}]
	JSON
    beanstalkd_run forgetful 1 --schedule "$work/kill.json" --time-limit 2s --set beanstalkd.binlog=false --set queue.dequeue=0.05 --set queue.extend=0 --set queue.nack=0
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid false' \
        '^\.test\.system-version "beanstalkd [0-9.]+, no binlog"'
}

synced_jobs_survive_the_power() {
    beanstalkd_run dark 1 --nemesis power --set power.targets=all --set power.stall=0s --nemesis-interval 1s --nemesis-duration 200ms \
        --time-limit 3s --set beanstalkd.fsync=always --set queue.dequeue=0.05 --set queue.extend=0 --set queue.nack=0
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid true' '^\.faults\.0\.begin\.verified true'
}

it "killed servers keep their jobs" killed_servers_keep_their_jobs
it "without a binlog a kill loses all" without_a_binlog_a_kill_loses_all
it "synced jobs survive a loss of power" synced_jobs_survive_the_power
it "nothing is left behind" nothing_is_left
finish
