#!/bin/bash
# What is told when a system cannot be set up, of whichever system: the command that failed, what it said, how the daemons
# were started and where their logs end; status 255, and nothing left.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v python3 >/dev/null || skip_everything "needs python3"

set_up() { # OPTION..
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --nemesis none --time-limit 1s --ready-timeout 4s "$@"
}
have_system() { ordeal list systems | grep -q "^  $1 " && command -v "$2" >/dev/null; }
# A header, and a line below it before the next header.
expect_told() { # HEADER LINE
    awk -v header="$1" -v line="$2" '!/^    / { below = $0 ~ header } /^    / && below && $0 ~ line { found = 1 } END { exit !found }' err ||
        fail "standard error does not tell '$2' below '$1'"
}

make_own() { # NAME; then edited with sed
    rm -rf "$1" && run ordeal new system "$1" && [ "$status" -eq 0 ] || fail "no skeleton"
}

own_install_fails() {
    make_own one
    sed -i 's/"install": "[^"]*"/"install": "echo looking for it; echo E: no such package >\&2; exit 100"/' one/system.json
    set_up --system ./one
    expect_problem 255 'install one: "install": n1: .*exited with status 100.*no such package'
    expect_told '^n1: the command that failed, with status 100:' '^    echo looking for it; echo E: no such package'
    expect_told '^n1: what it said:' '^    looking for it'
    expect_told '^n1: what it said:' '^    E: no such package'
    expect_match "$(newest_run)/ordeal.log" 'E: no such package'
}
own_daemon_ends() {
    make_own two
    sed -i 's|"run": \[[^]]*\]|"run": ["/bin/sh", "-c", "echo the first line; echo cannot open its data; exit 3"]|' two/system.json
    set_up --system ./two
    expect_problem 255 'start two: n[123]: two ended as soon as it was started'
    expect_told '^n1: two has ended; it was started by:' "^    /bin/sh -c 'echo the first line; echo cannot open its data; exit 3'"
    expect_told '^n1: the end of .*two[.]log:' '^    the first line'
    expect_told '^n1: the end of .*two[.]log:' '^    cannot open its data'
}
own_never_ready() {
    make_own three
    sed -i 's|"ready": .*|"ready": "[ {{node}} != n2 ] \|\| { echo waiting for the moon; exit 7; }",|' three/system.json
    set_up --system ./three
    expect_problem 255 'three does not serve within the ready-timeout of 4s: n2: .*waiting for the moon'
    expect_told '^n2: the command that failed, with status 7:' 'n2 != n2 .*waiting for the moon'
    expect_told '^n2: three runs; it was started by:' 'three'
    expect_match err '^n2: the end of .*three\.log:'
    expect_no_match err '^n1: '
}

etcd_cannot_start() {
    have_system etcd etcd || skip "needs etcd"
    set_up --system etcd --set etcd.data-dir=/proc/x/y
    expect_problem 255 'etcd ended as soon as it was started'
    expect_told '^n[123]: etcd has ended; it was started by:' 'etcd .*--data-dir.*/proc/x/y'
    expect_told '^n[123]: the end of .*etcd[.]log:' 'cannot access data directory'
}
redis_missing() {
    have_system redis redis-server || skip "needs redis-server"
    on_node n2 'mv /usr/bin/redis-server /usr/bin/hidden' || fail "cannot hide it"
    set_up --system redis
    on_node n2 'mv /usr/bin/hidden /usr/bin/redis-server'
    expect_problem 255 'n2: redis is not installed; .*apt-get install redis-server'
    expect_told '^n2: the command that failed, with status 127:' 'redis-server --version'
}
memcached_port_taken() {
    have_system memcached memcached || skip "needs memcached"
    on_node n3 'setsid memcached -u root -d -P /run/squatter.pid -l 0.0.0.0 -p 11211' || fail "cannot take the port"
    wait_until 5 "n3 listens on port 11211" on_node n3 'grep -q ":2BCB .* 0A " /proc/net/tcp /proc/net/tcp6'
    set_up --system memcached
    on_node n3 'kill $(cat /run/squatter.pid)'
    expect_problem 255 'n3: port 11211 is taken'
    expect_told '^n3: what it said:' '^    port 11211 is taken'
}
postgres_bad_option() {
    have_system postgres psql || skip "needs postgresql"
    set_up --system postgres --set postgres.data-dir=/proc/x/y
    expect_problem 255 'postgres'
    expect_told '^n[123]: what it said:' '/proc/x'
}
queue_never_ready() {
    set_up --system queue --workload queue --set queue.defect=never-heard-of
    expect_problem 255 'queue'
    expect_told '^n1: the command that failed' '--defect .never-heard-of. --version'
}
nothing_stays_on_the_nodes() {
    expect_clean_nodes 3 1
}

raise up 3
it "a command of one's own that fails is shown with all it said" own_install_fails
it "a daemon that ends is shown with its command and log" own_daemon_ends
it "a system that never serves is shown with what asked, and its log" own_never_ready
it "etcd that cannot start is shown so" etcd_cannot_start
it "redis that is missing is shown so" redis_missing
it "memcached whose port is taken is shown so" memcached_port_taken
it "postgres whose directory cannot be is shown so" postgres_bad_option
it "a queue that does not run is shown so" queue_never_ready
it "nothing stays on the nodes" nothing_stays_on_the_nodes
it "nothing is left behind" nothing_is_left
finish
