#!/bin/bash
# A real RabbitMQ: quorum queues keep what was confirmed while a broker is paused.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || skip_everything "needs rabbitmq-server"
ordeal list systems | grep -q '^  rabbitmq ' || skip_everything "was built without librabbitmq"

quorum_queues_keep_messages() {
    cat >"$work/pause.json" <<-'JSON'
	[{"at": "2s", "nemesis": "pause", "set": {"targets": "n2"}, "for": "2s"}]
	JSON
    run ordeal run --local 3 --cluster "$(cluster_name quorum)" --store "$store" --system rabbitmq --workload queue --rate 50 \
        --schedule "$work/pause.json" --time-limit 6s --seed 1 --set rabbitmq.net-ticktime=20 --set queue.lease=1s --set queue.settle=2s
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid true' \
        '^\.checkers\.delivery\.promises\.at-least-once\.valid true' '^\.test\.system-version "RabbitMQ [0-9.]*, quorum queues, pause_minority"'
    expect_match "$(newest_run)/schedule.jsonl" '"verified":true'
    expect_file "$(newest_run)"/nodes/n{1,2,3}/rabbitmq.log
    expect_gone "$(cluster_name quorum)" 1
}

it "quorum queues keep messages" quorum_queues_keep_messages
it "nothing is left behind" nothing_is_left
finish
