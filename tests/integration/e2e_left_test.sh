#!/bin/bash
# What a run leaves when it is told to, what it does not put on nodes, and what it fetches besides.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v python3 >/dev/null || skip_everything "needs python3"

cluster=$(cluster_name left)
left_run() { # OPTION..
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system ./mydb --time-limit 1s --rate 200 --seed 1 "$@"
}
server_on() { on_node "$1" 'python3 -c "import socket; socket.create_connection((\"127.0.0.1\", 7000), 1)" 2>/dev/null'; }
nobody_serves() { ! server_on n1 && ! server_on n2 && ! server_on n3; }
faults_are_gone() { [ -z "$(on_node "$1" 'nft list tables | grep ordeal; ls /run/ordeal/journal; for s in /proc/[0-9]*/status; do grep -H "^State:.[Tt] " $s; done' 2>/dev/null)" ]; }

the_system_and_the_cluster_stay() {
    run ordeal new system mydb
    left_run --leave-running --nemesis partition,pause --nemesis-interval 900ms --nemesis-duration 800ms --time-limit 2s
    expect_status 0
    expect_match err "left running: mydb on the local cluster $cluster; get at it by: ordeal local ssh --cluster $cluster n1; take it down by: ordeal local down --cluster $cluster"
    expect_json "$(newest_run)/results.json" '^\.faults\.0\.begin\.verified true'
    for node in n1 n2 n3; do
        server_on $node || fail "nobody serves on $node"
        faults_are_gone $node || fail "a fault is left on $node"
    done
    run ordeal local status --cluster "$cluster"
    expect_no_match out 'as long as its creator'
    [ -e "$(newest_run)/nodes/n1/mydb.log" ] || fail "no log of n1"
}
the_next_run_begins_anew() {
    left_run --nemesis none
    expect_status 0
    expect_no_match err 'left running'
    nobody_serves || fail "the daemons of the run before still serve"
    expect_json "$(newest_run)/results.json" '^\.checkers\.linearizable\.valid true'
}
# What is there is used, and what is made for this run is made all the same.
nothing_is_installed() {
    left_run --nemesis none --no-install
    expect_status 0
    on_node n2 'rm /opt/ordeal-mydb/server.py'
    left_run --nemesis none --no-install
    expect_problem 255 'start mydb'
    left_run --nemesis none
    expect_status 0
    on_node n2 'test -s /opt/ordeal-mydb/server.py' || fail "it was not put back"
    command -v memcached >/dev/null && ordeal list systems | grep -q '^  memcached ' || return 0
    on_node n3 'mv /usr/bin/memcached /usr/bin/hidden'
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system memcached --no-install --nemesis none --time-limit 1s
    on_node n3 'mv /usr/bin/hidden /usr/bin/memcached'
    expect_problem 255 'n3: memcached is not installed, and with --no-install nothing is: install the Debian package memcached'
}
other_files_are_fetched() {
    on_node n1 'mkdir -p /var/log/more/deep && echo one >/var/log/more/a.log && echo two >/var/log/more/deep/b.log'
    on_node n2 'mkdir -p /var/log/more && echo three >/var/log/more/a.log && truncate -s 300M /var/log/more/huge.log'
    left_run --nemesis none --log-files '/var/log/more/*.log,/var/log/more/deep/[ab].log'
    expect_status 0
    local nodes
    nodes=$(newest_run)/nodes
    [ "$(cat "$nodes/n1/var/log/more/a.log" "$nodes/n1/var/log/more/deep/b.log" "$nodes/n2/var/log/more/a.log" | tr '\n' ' ')" = "one two three " ] ||
        fail "the files are not all there: $(find "$nodes" -type f | tr '\n' ' ')"
    expect_match err 'n2: /var/log/more/huge\.log has 300 MiB and is not fetched'
    expect_match err 'n3: log-files match no file'
    [ ! -e "$nodes/n2/var/log/more/huge.log" ] || fail "the huge file was fetched"
    left_run --log-files 'relative/*.log'
    expect_problem 254 "log-files: 'relative/\*\.log' is no full path"
    left_run --log-files '/var/log/$(reboot)'
    expect_problem 254 "log-files: "
}
what_cannot_stay_is_refused() {
    left_run --leave-running --nemesis power --nemesis-interval 400ms --nemesis-duration 100ms
    expect_problem 254 'leave-running: .*leave that nemesis out'
    nobody_serves || fail "something was left"
}
machines_are_left_and_ended() {
    local keys="--ssh-key /run/ordeal/clusters/$cluster/key --known-hosts /run/ordeal/clusters/$cluster/known_hosts"
    # shellcheck disable=SC2086
    run on_control ordeal run --nodes n1,n2 $keys --store "$store" --system ./mydb --nemesis none --time-limit 1s --rate 100 --leave-running
    expect_status 0
    expect_match err 'left running: mydb on 2 machines; end it by ordeal heal'
    server_on n1 || fail "nobody serves on n1"
    # shellcheck disable=SC2086
    run on_control ordeal heal --nodes n1,n2 $keys
    expect_status 0
    expect_match out '^n1: .* 1 daemons killed'
    nobody_serves || fail "they still serve"
}

it "with --leave-running the system and the cluster stay, healed" the_system_and_the_cluster_stay
it "the next run begins anew" the_next_run_begins_anew
it "with --no-install nothing is installed" nothing_is_installed
it "--log-files are fetched" other_files_are_fetched
it "what cannot stay is refused" what_cannot_stay_is_refused
it "machines are left running, and heal ends it" machines_are_left_and_ended
it "nothing is left behind" nothing_is_left
finish
