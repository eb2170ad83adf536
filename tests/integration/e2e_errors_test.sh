#!/bin/bash
# What goes wrong around a run: each is one line that says what to do, ends with status 255 (254 for a bad plan), and
# leaves nothing on the nodes or on this machine.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd

keys() { echo --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts"; }
# The cluster's nodes as plain machines: nothing but SSH is known of them.
run_far() { # NODES OPTION..
    run on_control ordeal run --nodes "$1" --store "$store" --system noop --workload noop --time-limit 1s "${@:2}"
}
run_far_etcd() { # OPTION..
    # shellcheck disable=SC2046
    run on_control ordeal run --nodes n1,n2,n3 $(keys) --store "$store" --system etcd --time-limit 3s "$@"
}
run_here() { # OPTION..
    run ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --time-limit 3s "$@"
}

wrong_key() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/wrong" || fail "no ssh-keygen"
    run_far n1,n2 --ssh-key "$work/wrong" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts"
    expect_problem 255 '^ordeal: n1: ' "'root'" "tried $work/wrong" 'publickey' '1 more node: n2'
    run_far n1 --ssh-key "$work/none" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts"
    expect_problem 255 "$work/none" 'cannot be read'
}
unknown_host_key() {
    : >"$work/empty"
    run_far n1,n2 --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "$work/empty"
    expect_problem 255 'host key of n1:22 is unknown' 'SHA256:' "ssh-keyscan n1 >> $work/empty" '--accept-new-host-keys'
    [ ! -s "$work/empty" ] || fail "the key was added though nobody said so"
    run_far n1,n2 --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "$work/empty" --accept-new-host-keys
    expect_status 0
    [ "$(wc -l <"$work/empty")" -eq 2 ] || fail "the keys were not added"
}
changed_host_key() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/other"
    echo "n1 $(cut -d' ' -f1,2 "$work/other.pub")" >"$work/changed"
    run_far n1 --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "$work/changed" --accept-new-host-keys
    expect_problem 255 'CHANGED' "$work/changed line 1" 'ssh-keygen -R'
}
unreachable_node() {
    # shellcheck disable=SC2046
    run_far n1,10.77.0.99 $(keys) --connect-timeout 2s
    expect_problem 255 '10\.77\.0\.99:22' 'is the node up'
    # shellcheck disable=SC2046
    run_far n1,n2:2222 $(keys) --connect-timeout 2s
    expect_problem 255 'n2:2222 refused the connection' 'is sshd running'
    # shellcheck disable=SC2046
    run_far n1,nowhere.invalid $(keys)
    expect_problem 255 "cannot resolve 'nowhere.invalid'"
    expect_clean_nodes 3 1
}

full_disk_on_a_node() {
    on_node n2 'rm -rf /var/lib/ordeal/bin; mkdir /full && mount -t tmpfs -o size=64k none /full &&
        mount --bind /full /var/lib/ordeal; head -c 1m /dev/zero >/full/ballast' 2>/dev/null
    run_far_etcd
    on_node n2 'umount /var/lib/ordeal; umount /full; rmdir /full'
    expect_problem 255 '^ordeal: n2: ' '/var/lib/ordeal/bin' 'No space left on device'
    expect_clean_nodes 3 1
}
# The history cannot be written: the run ends rather than go on without one.
full_disk_here() {
    rm -rf "$store" && mkdir "$store"
    # shellcheck disable=SC2016
    run unshare -m sh -c 'mount -t tmpfs -o size=256k none "$1" &&
        exec ordeal run --local 3 --cluster "$2" --store "$1" --system noop --workload noop --time-limit 60s --rate 20000' \
        sh "$store" "$cluster"
    expect_status 255
    expect_match err 'history\.ordeal.*No space left on device'
    expect_clean_nodes 3 1
}
unusable_store() {
    : >"$work/file"
    run_here --store "$work/file/store"
    expect_problem 255 "$work/file/store" 'Not a directory'
}

etcd_missing() {
    on_node n2 'mv /usr/bin/etcd /usr/bin/hidden' || fail "cannot hide etcd"
    run_here
    expect_problem 255 'n2: etcd is not installed' 'apt-get install etcd-server'
    run_far_etcd
    expect_problem 255 'n2: etcd is not installed' 'etcd-server'
    on_node n2 'mv /usr/bin/hidden /usr/bin/etcd'
    expect_clean_nodes 3 1
}
etcd_does_not_start() {
    run_here --set etcd.data-dir=/proc/x/y
    expect_problem 255 'etcd ended as soon as it was started' 'cannot access data directory'
    on_node n2 'mkdir -p /var/lib/unwritable && mount -t tmpfs -o ro none /var/lib/unwritable'
    run_here --set etcd.data-dir=/var/lib/unwritable/etcd
    on_node n2 'umount /var/lib/unwritable; rmdir /var/lib/unwritable'
    expect_problem 255 'n2: etcd ended as soon as it was started' 'read-only file system'
    expect_file "$(newest_run)/nodes/n2/etcd.log"
    expect_clean_nodes 3 1
}
ports_taken() {
    # sshd is there on every node, and listens wherever it is told to.
    on_node n3 '/usr/sbin/sshd -f /run/ordeal/sshd_config -o PidFile=/run/squatter.pid -p 2380' ||
        on_node n3 '/usr/sbin/sshd -f /run/ordeal/sshd_config -o PidFile=/run/squatter.pid -o ListenAddress=0.0.0.0:2380'
    wait_until 5 "n3 listens on port 2380" on_node n3 'grep -q ":094C .* 0A " /proc/net/tcp /proc/net/tcp6'
    run_here
    on_node n3 'kill $(cat /run/squatter.pid)'
    expect_problem 255 'n3: port 2380 is taken' 'etcd\.peer-port'
    expect_clean_nodes 3 1
}

in_use_by_another_run() {
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system noop --workload noop --time-limit 60s --rate 10
    wait_for_line 20 err '^running '
    run_here
    expect_problem 255 "cluster $cluster is in use by pid $pid \(ordeal run" '--cluster NAME'
    run ordeal nemesis partition halves --cluster "$cluster"
    expect_problem 255 "in use by pid $pid"
    run ordeal local down --cluster "$cluster"
    [ "$status" -ge 254 ] || fail "the cluster was taken from under a run"
    # Machines over SSH have no claim, but an agent that refuses a second user.
    run_far_etcd
    expect_problem 255 'n1 is already used' "ordeal run on .*, pid $pid"
    kill -INT "$pid"
    await_end 10
    [ "$status" -le 2 ] || fail "the first run was disturbed: status $status"
    expect_clean_nodes 3 1
    # shellcheck disable=SC2046
    start ordeal local exec --cluster "$cluster" -- ordeal run --nodes n1,n2 $(keys) --store "$store" --system noop --workload noop --time-limit 60s --rate 10
    wait_for_line 20 err '^running '
    # shellcheck disable=SC2046
    run_far n2,n3 $(keys)
    expect_problem 255 'n2 is already used' 'ordeal run on .*, pid [0-9]+'
    kill -INT "$pid"
    await_end 10
    expect_clean_nodes 3 1
}

needs_root() {
    exec 9<"$ORDEAL_BUILD/ordeal" # its folder may be closed to others
    mkdir "$work/nobody" && chown 65534:65534 "$work/nobody"
    run env -C "$work/nobody" setpriv --reuid=65534 --regid=65534 --clear-groups /proc/self/fd/9 run --local 3 --system noop --workload noop
    expect_problem 255 'root'
    run env -C "$work/nobody" setpriv --reuid=65534 --regid=65534 --clear-groups /proc/self/fd/9 local up --cluster "$cluster"
    [ "$status" -eq 255 ] || fail "status $status"
    expect_match err 'root'
}

bad_plan() { # PATTERN OPTION..: refused before anything is made
    run ordeal run --store "$work/unmade" --cluster "$(cluster_name unmade)" "${@:2}"
    expect_problem 254 "$1"
    [ ! -e "$work/unmade" ] || fail "a store was made"
}
misspelt_names() {
    bad_plan "system 'etdc'.*did you mean .?etcd" --system etdc
    bad_plan "workload 'regster'.*did you mean .?register" --workload regster
    bad_plan "nemesis 'partitoin'.*did you mean .?partition" --nemesis kill,partitoin
    bad_plan "checker 'linearisable'.*did you mean .?linearizable" --checkers linearisable
    bad_plan "no option 'raeds'; did you mean 'reads'" --set etcd.raeds=serializable
    bad_plan "no option 'shpe'; did you mean 'shape'" --nemesis partition --set partition.shpe=halves
    bad_plan "no option --tme-limit; did you mean --time-limit" --tme-limit 3s
    bad_plan "'sometimes'" --set etcd.reads=sometimes
    bad_plan "no system, workload, nemesis or checker" --set nobody.cares=1
    bad_plan "time-limit.*'3 parsecs'" --time-limit '3 parsecs'
    bad_plan "rate" --rate -3
    bad_plan "concurrency" --concurrency 0
    bad_plan "needs a value" --seed
    run ordeal rnu
    expect_problem 254 "no command 'rnu'; did you mean 'run'"
    run ordeal nemesis partitoin
    expect_problem 254 "did you mean .?partition"
    run ordeal check "$work/up" --model cas-regster
    expect_problem 254 "did you mean .?cas-register"
}
# What only the nodes can tell is told as a bad plan, too.
unfitting_plans() {
    run_here --set etcd.election-ms=100
    expect_problem 254 'etcd\.election-ms: 100'
    run_here --nemesis partition --set partition.shape=map --set partition.map=n9:n1
    expect_problem 254 "no node is called 'n9'"
    run_here --nemesis pause --set pause.targets=n1+n7
    expect_problem 254 "no node is called 'n7'"
    run_here --nemesis partition --set partition.shape=minority-third
    expect_problem 254 'nemesis partition: partition\.shape=minority-third needs 4 nodes or more; there are 3'
    run_here --local 2
    expect_problem 254 "cluster $cluster is up with 3 nodes, not 2" 'ordeal local down'
    run_here --cluster 'Not A Name'
    expect_problem 254 "'Not A Name'"
    # shellcheck disable=SC2046
    run_far n1,n1 $(keys)
    expect_problem 254 'n1 is named twice'
    # shellcheck disable=SC2046
    run_far n1:99999 $(keys)
    expect_problem 254 "'99999' is not a port"
    expect_clean_nodes 3 1
}
bad_plan_files() {
    local file=$work/bad.json
    printf '{\n  "system": "etcd",\n  "time-limt": "3s"\n}\n' >"$file"
    bad_plan "$file:3: .*'time-limt'; did you mean 'time-limit'" "$file"
    printf '{\n  "system": "etcd",\n\n  "rate": "fast"\n}\n' >"$file"
    bad_plan "$file:4: rate.*'fast'" "$file"
    printf '{\n  "system": "etcd",\n  "rate" 5\n}\n' >"$file"
    bad_plan "$file:3" "$file"
    printf '{"set": {"etcd.reads": ["a", {}]}}\n' >"$file"
    bad_plan "$file:1: .*etcd\.reads" "$file"
    printf '["etcd"]\n' >"$file"
    bad_plan "$file:1: a plan is a JSON object" "$file"
    : >"$file"
    bad_plan "$file" "$file"
    bad_plan "$work/nowhere.json.*No such file" "$work/nowhere.json"
    echo '{}' >"$file"
    bad_plan "two plans" "$file" "$file"
}

# A machine where one logs in as somebody who may become root.
sudo_user() {
    { command -v sudo && command -v useradd; } >/dev/null || skip "needs sudo and useradd"
    local i key
    key=$(cat "/run/ordeal/clusters/$cluster/key.pub")
    for i in n1 n2 n3; do
        on_node $i "useradd -m -s /bin/bash visitor && mkdir -m 700 ~visitor/.ssh && echo '$key' >~visitor/.ssh/authorized_keys &&
            chown -R visitor ~visitor/.ssh && passwd -d visitor >/dev/null" || fail "cannot add a user on $i"
    done
    # shellcheck disable=SC2046
    run_far visitor@n1,visitor@n2,visitor@n3 $(keys)
    expect_problem 255 'n1: ' 'sudo' 'NOPASSWD'
    for i in n1 n2 n3; do
        on_node $i 'mkdir -p /etc/sudoers.d && echo "visitor ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/visitor'
    done
    # shellcheck disable=SC2046
    run on_control ordeal run --nodes n1,n2,n3 --ssh-user visitor $(keys) --store "$store" --system etcd --time-limit 8s \
        --nemesis partition,pause --nemesis-interval 3s --nemesis-duration 1500ms --rate 200
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.faults\.0\.begin\.verified true' '^\.faults\.0\.end\.verified true'
    expect_file "$(newest_run)"/nodes/n{1,2,3}/etcd.log
    expect_clean_nodes 3 1
}

# Where root may not touch the network, as in many containers: said before the run, not by a fault that does not happen.
no_packet_filter() {
    command -v setpriv >/dev/null || skip "needs setpriv (util-linux)"
    local nemesis
    on_node n2 'setpriv --bounding-set -net_admin --inh-caps -net_admin $(command -v sshd || echo /usr/sbin/sshd) -f /run/ordeal/sshd_config \
        -o PidFile=/run/bounded.pid -p 2222' || fail "no second sshd"
    for nemesis in partition clog flap clients port reset packets; do
        # shellcheck disable=SC2046
        run_far n1,n2:2222 $(keys) --accept-new-host-keys --nemesis $nemesis $([ $nemesis = port ] && echo --set port.number=22)
        [ $nemesis = packets ] || expect_problem 254 "nemesis $nemesis: n2 cannot drop packets: no packet filter works there: "
        expect_problem 254 "nemesis $nemesis: n2 cannot.*: "
        expect_no_match err '^running '
    done
    on_node n2 'kill $(cat /run/bounded.pid)'
    expect_clean_nodes 3 1
}

raise nodes 3
it "a key that opens nothing" wrong_key
it "an unknown host key" unknown_host_key
it "a changed host key" changed_host_key
it "nodes that do not answer" unreachable_node
it "a full disk on a node" full_disk_on_a_node
it "a full disk here" full_disk_here
it "a store that cannot be" unusable_store
it "etcd is missing on a node" etcd_missing
it "etcd does not start" etcd_does_not_start
it "ports are taken" ports_taken
it "nodes in use by another run" in_use_by_another_run
it "no packet filter works on a node" no_packet_filter
it "a local cluster without root" needs_root
it "misspelt names" misspelt_names
it "plans that do not fit the nodes" unfitting_plans
it "bad plan files" bad_plan_files
it "a user who becomes root through sudo" sudo_user
it "nothing is left behind" nothing_is_left
finish
