#!/bin/bash
# --pcap: what clients and peers say to each other is captured on every node, within a bound, and nothing of it stays there.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd
command -v tcpdump >/dev/null || skip_everything "needs tcpdump"

pcap_run() { # OPTION..
    ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --nemesis none --seed 1 --pcap "$@"
}
packets() { # NODE FILTER: how many of the newest run
    tcpdump -n -r "$(newest_run)/nodes/$1/capture.pcap" "$2" 2>/dev/null | wc -l
}
# A capture's process or file, on any node.
captures_left() {
    local node
    for node in n1 n2 n3; do
        on_node "$node" 'ls -d /var/lib/ordeal/capture-* 2>/dev/null; pgrep -x tcpdump; pgrep -f "[e]xe capture"'
    done
}
nothing_is_captured() { [ -z "$(captures_left)" ]; }

both_sides_are_heard() {
    run pcap_run --time-limit 2s --rate 200
    expect_status 0
    for node in n1 n2 n3; do
        [ "$(packets $node 'tcp port 2379 and host 10.77.0.1')" -gt 100 ] ||
            [ "$(packets $node 'tcp port 2379')" -gt 100 ] || fail "$node: no packets of clients"
        [ "$(packets $node 'tcp port 2380')" -gt 50 ] || fail "$node: no packets of peers"
        [ "$(packets $node 'tcp port 22')" -eq 0 ] || fail "$node: ordeal's own connection is in it"
    done
    nothing_is_captured || fail "left on nodes: $(captures_left)"
}
a_filter_chooses() {
    run pcap_run --time-limit 1s --rate 100 --pcap-filter 'tcp port 2380'
    expect_status 0
    [ "$(packets n1 'tcp port 2380')" -gt 10 ] || fail "no packets of peers"
    [ "$(packets n1 'not tcp port 2380')" -eq 0 ] || fail "others are in it"
}
the_newest_are_kept() {
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --nemesis none --seed 1 --pcap --pcap-size 1 --time-limit 5s
    wait_for_line 30 err '^running '
    on_node n2 'ping -q -f -c 1000 -s 1400 10.77.0.11' >/dev/null || fail "n1 does not answer n2"
    await_end 60
    expect_status 0
    local file
    file=$(newest_run)/nodes/n1/capture.pcap
    [ "$(stat -c %s "$file")" -le 1048576 ] || fail "it has $(stat -c %s "$file") bytes"
    [ "$(stat -c %s "$file")" -gt 400000 ] || fail "it was never full: $(stat -c %s "$file") bytes"
    # In order, through the seam, to the end of the run.
    tcpdump -tt -n -r "$file" 2>/dev/null | awk '{ if ($1 < last) exit 1; last = $1 }' || fail "the packets are not in order"
    tcpdump -n -r "$file" 2>&1 >/dev/null | grep -q truncated && fail "it ends within a packet"
    true
}
what_cannot_be_is_refused() {
    run pcap_run --pcap-filter 'tcp prot 2380'
    expect_problem 254 'pcap-filter: tcpdump on n1 says: .*syntax error'
    run pcap_run --pcap-size 0
    expect_problem 254 'pcap-size: 0 is not between'
    local tcpdump
    tcpdump=$(command -v tcpdump)
    on_node n2 "mv $tcpdump $tcpdump.hidden"
    run pcap_run
    on_node n2 "mv $tcpdump.hidden $tcpdump"
    expect_problem 255 'n2: --pcap needs tcpdump there: install the Debian package tcpdump'
    expect_no_match err 'setting up .* serves'
}
nothing_stays_after_a_kill() {
    start ordeal run --local 3 --cluster "$cluster" --store "$store" --system etcd --nemesis none --pcap --time-limit 60s
    wait_for_line 30 err '^running '
    [ -n "$(captures_left)" ] || fail "nothing is being captured"
    kill_hard
    wait_until 15 "the captures are gone" nothing_is_captured
    expect_clean_nodes 3 10
}

raise pcap 3
it "clients and peers are heard on every node, ordeal is not" both_sides_are_heard
it "a filter chooses" a_filter_chooses
it "the newest packets are kept, within the bound" the_newest_are_kept
it "what cannot be is refused in one line" what_cannot_be_is_refused
it "nothing stays on the nodes when ordeal is killed" nothing_stays_after_a_kill
it "nothing is left behind" nothing_is_left
finish
