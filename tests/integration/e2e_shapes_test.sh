#!/bin/bash
# Every shape of a partition as the nodes themselves find it: who hears whose datagrams, in which direction, and that all do afterwards.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
command -v perl >/dev/null || skip_everything "needs perl"

nodes=(n1 n2 n3 n4 n5)
# Every node writes down whom it hears.
listen() {
    local node
    for node in "${nodes[@]}"; do
        on_node "$node" 'setsid perl -MIO::Socket::INET -e '"'"'my $s = IO::Socket::INET->new(LocalPort => 9999, Proto => "udp") or die;
            while (1) { $s->recv(my $m, 99); open(my $f, ">>", "/run/heard"); print $f $m; close $f }'"'"' >/dev/null 2>&1 </dev/null &'
    done
}
hear() { # leaves who hears whom in $heard, as "n1<n2", a line each
    local node pids=() round
    round=$(date +%s%N)
    for node in "${nodes[@]}"; do
        on_node "$node" "bash -c 'for i in 1 2 3; do for to in ${nodes[*]}; do [ \$to = $node ] || echo $round:$node >/dev/udp/\$to/9999; done; sleep 0.03; done'" &
        pids+=($!)
    done
    wait "${pids[@]}"
    pids=()
    for node in "${nodes[@]}"; do
        on_node "$node" "sed -n 's/^$round:/$node</p' /run/heard | sort -u" >"$work/heard.$node" 2>/dev/null &
        pids+=($!)
    done
    wait "${pids[@]}"
    heard=$(cat "$work"/heard.n?)
}
# What `hear` found, in $heard: how many of the 20 directions are open, how many of those both ways, and who hears how many.
look() { hear; open=$(grep -c . <<<"$heard"); }
both_ways() {
    local pair count=0
    for pair in $heard; do [[ $'\n'$heard$'\n' == *$'\n'"${pair#*<}<${pair%<*}"$'\n'* ]] && count=$((count + 1)); done
    echo $count
}
hears() { grep -c "^$1<" <<<"$heard"; }
degrees() { local node; for node in "${nodes[@]}"; do hears "$node"; done | sort -n | tr -d '\n'; } # "00334": two hear nobody ...
all_hear() { look; [ "$open" -eq 20 ]; }

shape_is() { # SHAPE OPEN BOTH-WAYS DEGREES [OPTION..]: by hand, until Ctrl-C
    start ordeal nemesis partition "$1" --cluster "$cluster" "${@:5}"
    wait_for_line 10 err "^partition of "
    look
    [ "$open $(both_ways) $(degrees)" = "$2 $3 $4" ] || fail "$1: $open open, $(both_ways) of them both ways, degrees $(degrees): $(tr '\n' ' ' <<<"$heard")"
}
undo() {
    kill -INT "$pid"
    await_end 10
    expect_status 0
    all_hear || fail "after it, $open of 20 directions are open: $(tr '\n' ' ' <<<"$heard")"
}
parts() {
    listen
    wait_until 5 "everybody hears everybody" all_hear
    shape_is halves 8 8 11222
    [ "$(grep -c "^n[12]<n[12]$" <<<"$heard")" -eq 2 ] || fail "n1 and n2 are no half"
    undo
    shape_is random-halves 8 8 11222 && undo
    shape_is one 12 12 03333 && undo
    shape_is minority-third 12 12 03333 && undo
    expect_clean_nodes 5 1
}
rings_and_bridges() {
    shape_is majorities-ring 10 10 22222 && undo
    shape_is bridge 12 12 22224 && undo
    expect_clean_nodes 5 1
}
one_direction() {
    shape_is map 17 14 23444 --set partition.map=n1:n2+n3,n2:n4
    undo
    start ordeal nemesis partition one-way --cluster "$cluster"
    wait_for_line 10 err "^partition of "
    look
    [ "$open" -lt 20 ] && [ $((open - $(both_ways))) -eq $((20 - open)) ] || fail "$open are open, $(both_ways) both ways: not one way"
    undo
    expect_clean_nodes 5 1
}
# Messages do not arrive, while connections are made and live.
data_only() {
    shape_is one 12 12 03333 --set partition.packets=data
    local alone=0 node other
    for node in "${nodes[@]}"; do
        [ "$(hears "$node")" -eq 0 ] || continue
        alone=$node
        other=n1
        [ "$node" != n1 ] || other=n2
        on_node "$other" "timeout 2 bash -c '</dev/tcp/$node/22'" || fail "$other cannot connect to $node"
    done
    [ "$alone" != 0 ] || fail "nobody is alone"
    undo
    expect_clean_nodes 5 1
}
clogged() {
    start ordeal nemesis clog all --set clog.step=100ms --cluster "$cluster"
    wait_for_line 20 err "^clog of n1, n2, n3, n4, n5: "
    look
    [ "$open" -eq 0 ] || fail "$open are open: $heard"
    undo
    expect_clean_nodes 5 1
}
# Who leads is alone; then is heard, and hears nobody; then ordeal is killed.
primaries() {
    echo '[{"at": "500ms", "nemesis": "partition", "set": {"shape": "primaries"}, "for": "2s"},
        {"at": "4s", "nemesis": "partition", "set": {"shape": "deaf-primaries", "packets": "all"}}]' >"$work/primaries.json"
    start ordeal run --local 5 --cluster "$cluster" --store "$store" --system queue --workload queue --rate 50 --time-limit 60s \
        --schedule "$work/primaries.json"
    wait_for_line 30 err '^fault 1: partition of '
    look
    [ "$open $(both_ways) $(degrees)" = "12 12 03333" ] || fail "the leader is not alone: $(tr '\n' ' ' <<<"$heard")"
    wait_for_line 20 err '^fault 2: partition of '
    look
    [ "$open $(degrees)" = "16 04444" ] || fail "the leader is not deaf alone: $(tr '\n' ' ' <<<"$heard")"
    kill_hard
    wait_until 5 "everybody hears everybody" all_hear
    expect_clean_nodes 5 5
}

raise shapes 5
it "parts hear themselves and nobody else" parts
it "rings and bridges" rings_and_bridges
it "one direction is cut and the other is not" one_direction
it "only packets with data are cut" data_only
it "clogging cuts all, and lets go" clogged
it "leaders are cut off, or deaf, until ordeal is killed" primaries
it "nothing is left behind" nothing_is_left
finish
