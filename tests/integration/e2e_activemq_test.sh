#!/bin/bash
# Whole runs against a real ActiveMQ: a broker that is killed keeps its messages.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
[ -e /usr/share/activemq/bin/activemq.jar ] || skip_everything "needs activemq"

killed_brokers_keep_their_messages() {
    cat >"$work/kill.json" <<-'JSON'
	[{"at": "2s", "nemesis": "kill", "set": {"targets": "n1"}, "for": "500ms"}]
	JSON
    run ordeal run --local 1 --cluster "$(cluster_name killed)" --store "$store" --system activemq --workload queue --rate 50 --seed 1 \
        --schedule "$work/kill.json" --time-limit 8s --set queue.lease=1s --set queue.settle=2s
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid true' \
        '^\.checkers\.delivery\.promises\.at-least-once\.valid true' '^\.test\.system-version "ActiveMQ/[0-9.]*, KahaDB, synced always"' \
        '^\.faults\.0\.begin\.verified true'
    expect_file "$(newest_run)"/nodes/n1/activemq.log
    expect_gone "$(cluster_name killed)" 1
}

it "killed brokers keep their messages" killed_brokers_keep_their_messages
it "nothing is left behind" nothing_is_left
finish
