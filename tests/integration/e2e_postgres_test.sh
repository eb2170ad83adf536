#!/bin/bash
# Whole runs against a real PostgreSQL: write skew is found where repeatable read is asked for and not where serializable
# is, and a primary that is killed is followed by a standby.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
ordeal list systems | grep -q '^  postgres .*PostgreSQL' || skip_everything "needs a build with libpq"
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || skip_everything "needs postgresql"

postgres_run() { # NODES ARGUMENTS..
    run ordeal run --local "$1" --cluster "$(cluster_name pg)" --store "$store" --system postgres --op-timeout 2s "${@:2}"
}

# One run for both, since making a cluster takes most of the time. The standby confirms each commit, so nothing is lost.
write_skew_and_a_failover() {
    echo '[{"at": "500ms", "nemesis": "kill", "set": {"targets": "primaries"}, "for": "200ms"}]' >"$work/kill.json"
    postgres_run 2 --workload write-skew --schedule "$work/kill.json" --time-limit 2s --rate 400 --concurrency 6 --seed 1 \
        --set postgres.isolation=repeatable-read --set postgres.failover=promote --set postgres.synchronous-standbys=1
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.valid false' \
        '^\.checkers\.transactions\.anomaly-types\.[0-9]+ "G2-item"' '^\.test\.system-version "PostgreSQL 1[0-9]' \
        '^\.faults\.0\.begin\.verified true' '^\.checkers\.transactions\.ok-count [0-9]{2,}$'
    expect_match "$(newest_run)/ordeal.log" 'n2: promoted: of the standbys that answer it got furthest'
    # What repeatable read is documented to be, it is, through the failover.
    run ordeal check "$(newest_run)" --level snapshot-isolation
    expect_status 0
}

what_cannot_be_is_told() {
    postgres_run 1 --workload bank --nemesis none --set bank.accounts=1
    expect_problem 254 'install postgres: bank\.accounts: 1 is not between 2 and 1000'
    postgres_run 1 --workload register --nemesis none --set postgres.bin-dir=/nowhere
    expect_problem 255 'start postgres: n1: making a database cluster failed: .*/nowhere/initdb.*its log ends with'
}

it "repeatable read has write skew, and a standby takes the place of a primary that was killed" write_skew_and_a_failover
it "what cannot be is told, with what failed" what_cannot_be_is_told
it "nothing is left behind" nothing_is_left
finish
