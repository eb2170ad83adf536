#!/bin/bash
# Whole runs against real Disque servers, where somebody has them: DISQUE_SERVER names the binary.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

without_a_binary_it_is_refused() {
    run ordeal run --local 1 --cluster "$(cluster_name none)" --store "$store" --system disque --workload queue
    expect_problem 254 'disque has no Debian package: build disque-server .*disque.binary'
}

killed_servers_keep_their_jobs() {
    [ -x "${DISQUE_SERVER:-}" ] || skip "needs a disque-server, named in DISQUE_SERVER"
    cat >"$work/kill.json" <<-'JSON'
	[{"at": "1s", "nemesis": "kill", "set": {"targets": "n1"}, "for": "500ms"}]
	JSON
    run ordeal run --local 3 --cluster "$(cluster_name killed)" --store "$store" --system disque --workload queue --rate 200 --seed 1 \
        --schedule "$work/kill.json" --time-limit 3s --set queue.lease=1s --set queue.delay-max=1s --set queue.settle=2s \
        --set disque.binary="$DISQUE_SERVER"
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.delivery\.promises\.no-loss\.valid true' \
        '^\.test\.system-version "Disque .*, 3 copies, appendfsync always"' '^\.faults\.0\.begin\.verified true'
    expect_file "$(newest_run)"/nodes/n{1,2,3}/disque-server.log
}

it "without a binary it is refused" without_a_binary_it_is_refused
it "killed servers keep their jobs" killed_servers_keep_their_jobs
it "nothing is left behind" nothing_is_left
finish
