#!/bin/bash
# Whole runs against a real MariaDB: updates are lost where repeatable read is asked for, and not with innodb_snapshot_isolation;
# and between the nodes of a Galera cluster.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
ordeal list systems | grep -q '^  mariadb .*InnoDB' || skip_everything "needs a build with libmariadb"
command -v mariadbd >/dev/null || skip_everything "needs mariadb-server"

mariadb_run() { # NODES ARGUMENTS..
    run ordeal run --local "$1" --cluster "$(cluster_name my)" --store "$store" --system mariadb --workload lost-update --nemesis none \
        --set mariadb.isolation=repeatable-read --set transactions.level=snapshot-isolation --op-timeout 2s --concurrency 4 "${@:2}"
}

updates_are_lost() {
    mariadb_run 1 --time-limit 2s --rate 300 --seed 1
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.valid false' \
        '^\.checkers\.transactions\.anomaly-types\.[0-9]+ "lost-update"' '^\.test\.system-version "MariaDB 1[0-9]'
}

snapshots_keep_them() {
    mariadb_run 1 --time-limit 2s --rate 300 --seed 1 --set mariadb.snapshot-isolation=true
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.valid true' '^\.checkers\.transactions\.ok-count [0-9]{2,}$'
}

galera_loses_them() {
    [ -e /usr/lib/galera/libgalera_smm.so ] && command -v rsync >/dev/null || skip "needs galera-4 and rsync"
    mariadb_run 2 --time-limit 2s --rate 0 --seed 3 --set mariadb.mode=galera
    expect_status 1
    expect_json "$(newest_run)/results.json" '^\.checkers\.transactions\.anomaly-types\.[0-9]+ "lost-update"' \
        '^\.test\.system-version "MariaDB 1.* with Galera'
}

one_server_takes_one_node() {
    mariadb_run 2 --time-limit 2s
    expect_problem 254 'mariadb\.mode=single takes one node, and there are 2'
}

it "updates are lost at repeatable read" updates_are_lost
it "snapshots of their own keep them" snapshots_keep_them
it "two nodes of a Galera cluster lose them" galera_loses_them
it "one server takes one node" one_server_takes_one_node
it "nothing is left behind" nothing_is_left
finish
