#!/bin/bash
# Machines from an inventory, and behind a jump host that alone can reach their sshd.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

keys() { echo --ssh-key "/run/ordeal/clusters/$cluster/key" --known-hosts "/run/ordeal/clusters/$cluster/known_hosts"; }
run_far() { # OPTION..
    # shellcheck disable=SC2046
    run on_control ordeal run $(keys) --store "$store" --system noop --workload noop --nemesis partition --time-limit 3s \
        --nemesis-interval 1s --nemesis-duration 500ms --rate 50 "$@"
}
only_through_n1() { # NODE
    local address
    address=$(on_control getent ahostsv4 n1 | awk '{print $1; exit}')
    on_node "$1" "nft add table inet gate && nft add chain inet gate in '{ type filter hook input priority 0; }' &&
        nft add rule inet gate in tcp dport 22 ip saddr != $address drop && nft add rule inet gate in meta nfproto ipv6 tcp dport 22 drop" ||
        fail "cannot close $1"
}

behind_a_jump_host() {
    cat >"$work/hosts.yml" <<'END'
all:
  vars: {ansible_user: root}
  children:
    gate: {hosts: {n1: }}
    db:
      hosts: {n2: , n3: }
      vars: {ansible_ssh_common_args: '-o ProxyJump=root@n1'}
END
    only_through_n1 n2
    only_through_n1 n3
    run_far --nodes n2,n3 --connect-timeout 2s
    expect_problem 255 'no answer from n2:22'
    run_far --inventory "$work/hosts.yml"
    expect_problem 254 "node n2: its jump host 'root@n1' is the node n1"
    run_far --inventory "$work/hosts.yml" --inventory-hosts '!gate'
    expect_status 0
    expect_json "$(newest_run)/results.json" '^\.valid true' '^\.test\.nodes\.0 "n2"' '^\.test\.nodes\.1 "n3"' \
        '^\.faults\.0\.begin\.verified true'
    expect_json "$(newest_run)/plan.json" '^\.nodes\.1\.jump "root@n1"'
    # Its plan says where it was, without the inventory.
    rm "$work/hosts.yml"
    run_far "$(newest_run)/plan.json"
    expect_status 0
    run_far --nodes n2,n3 --jump n1 --nemesis none --time-limit 300ms
    expect_status 0
    run_far --nodes n2,n3 --jump n1:99 --connect-timeout 2s
    expect_problem 255 'n2: the jump host: n1:99 refused the connection'
    on_node n2 'nft delete table inet gate'
    on_node n3 'nft delete table inet gate'
    expect_clean_nodes 3 1
}
bad_inventories() {
    printf 'n1\n[db]\nn2 ansible_connection=local\n' >"$work/hosts"
    run_far --inventory "$work/hosts" --store "$work/unmade"
    expect_problem 254 'hosts:3: host n2: ansible_connection is local'
    run_far --inventory "$work/hosts" --inventory-hosts 'db9' --store "$work/unmade"
    expect_problem 254 "no group or host 'db9'; its groups are all, ungrouped, db"
    [ ! -e "$work/unmade" ] || fail "a store was made"
}

raise nodes 3
it "machines of an inventory, behind a jump host" behind_a_jump_host
it "bad inventories" bad_inventories
it "nothing is left behind" nothing_is_left
finish
