#!/bin/bash
# tests/prove_schedules.sh RUNS: so many short runs of the clean queue, each with a random schedule of everything at once: of
# every nemesis of the table that works there, up to three in force at a time, at a growing pace.
# After each run nothing may be left on the nodes (rules, mounts, stopped or strange processes, journals, files, control groups) nor
# of loop devices, every fault must have been undone, and the verdict must be right: valid, or unknown with a reason; a conviction
# of the clean queue is a failure.
# SCHEDULE_SEED=1 is the first seed; SCHEDULE_NEMESES=a,b only these; SCHEDULE_TIME=30s each. What was not valid is kept below /tmp.
set -u
cd "$(dirname "$0")/.." || exit 1
runs=${1:-100} first=${SCHEDULE_SEED:-1} time=${SCHEDULE_TIME:-30s} ordeal=${ORDEAL:-$PWD/ordeal} only=${SCHEDULE_NEMESES:-}
[ "$(id -u)" -eq 0 ] || { echo "make prove-schedules needs root: it raises local clusters" >&2; exit 1; }
work=$(mktemp -d) prefix=schedules-$$
trap 'for nodes in 3 5; do "$ordeal" local down --force --cluster $prefix-$nodes >/dev/null 2>&1; done; rm -rf "$work"' EXIT
trap 'exit 143' TERM INT HUP

# All that a fault can leave on a node, a line each, to be compared with what was there before.
traces='
nft list ruleset 2>/dev/null
for tables in iptables ip6tables; do $tables -S 2>/dev/null; done
tc qdisc show 2>/dev/null | grep -E "netem|tbf|prio|htb"
cut -d" " -f2-4 /proc/mounts | sed "s/^/mount /; s/,uuid=[a-z]*//" # which the kernel shows of a first mount only
for status in /proc/[0-9]*/status; do
    name= state=
    while read -r key value rest; do
        case $key in Name:) name=$value ;; State:) state=$value; break ;; esac
    done 2>/dev/null <$status
    case $state in T | t) echo "stopped process $name" ;; Z | "") continue ;; esac
    case $name in sh | bash | find | sshd | sed | cut | grep | tc | nft) ;; *) echo "process $name" ;; esac
done
find /run /tmp /var/tmp /var/lib/ordeal /etc /opt /root -xdev 2>/dev/null
find /sys/fs/cgroup -maxdepth 4 -type d 2>/dev/null | grep ordeal
'
node_traces() { # NODES
    local node
    for node in $(seq "$1"); do
        "$ordeal" local exec --cluster "$cluster" "n$node" -- sh -c "$traces" 2>/dev/null | sed "s/^/n$node: /"
    done
    losetup -a 2>/dev/null | grep -F "$cluster" | sed 's/^/loop device: /'
}
left_behind() { # NODES: what was not there before, once the agents have had a moment
    local tries
    for tries in 1 2 3; do
        traces_seen=$(comm -13 "$work/before.$1" <(node_traces "$1" | sort -u))
        [ -n "$traces_seen" ] || return 1
        sleep $tries
    done
}
queue_run() { # NODES WORKLOAD ARGUMENT..
    local nodes=$1 workload=$2
    shift 2
    "$ordeal" run --local "$nodes" --cluster "$cluster" --store "$work/store" --system queue --workload "$workload" "$@" >"$work/out" 2>&1
}

# What a nemesis among these (a,b,..) must be told.
options_for() {
    case ,$1, in *,port,*) echo --set port.number=7712 ;; esac # of the queue's peers
    case ,$1, in *,hog,*) echo --set hog.memory=10 ;; esac # all nodes have the one machine's
    case ,$1, in *,power,*) echo --set power.file-system=strict ;; esac # as io has it: the data has one disk
}

# Those that can work with this system on these nodes: the others say why not, and are left out, once and for all.
find_usable() {
    local name
    usable=()
    for name in ${only//,/ } $([ -n "$only" ] || "$ordeal" list nemeses | sed -n 's/^  \([a-z-]*\) .*/\1/p'); do
        [ "$name" = noop ] && continue
        # shellcheck disable=SC2046
        queue_run 3 queue --nemesis "$name" $(options_for "$name") --time-limit 10ms --set queue.drain-limit=1s
        if grep -q "^ordeal: .*nemesis $name" "$work/out"; then
            echo "left out: $(grep -m1 '^ordeal:' "$work/out")"
        else
            usable+=("$name")
        fi
        rm -rf "$work/store"
    done
}

without() { # NAME..: takes these out of names
    local gone kept name
    for gone; do
        kept=()
        for name in "${names[@]}"; do [ "$name" = "$gone" ] || kept+=("$name"); done
        names=("${kept[@]}")
    done
}
# A schedule drawn from the seed (bash's own generator suffices): four of the nemeses, two to three at a time, at a growing pace. With
# more of them a run this short would not come to each, and be unknown for that; a hundred runs come to every combination of two.
draw() { # SEED NEMESIS..
    RANDOM=$1
    shift
    local names=("$@") chosen='' i at
    for ((i = 0; i < 4 && ${#names[@]} > 0; i++)); do
        at=$((RANDOM % ${#names[@]}))
        chosen+="${chosen:+,}${names[at]}"
        local name=${names[at]}
        case $name in # disks that ordeal makes do not survive a boot: refused in one plan
        reboot) without power io ;;
        power | io) without reboot ;;
        esac
        without "$name"
    done
    echo "[{\"nemesis\": \"$chosen\", \"interval\": \"4s..$((RANDOM % 2 + 2))s\", \"duration\": \"1500ms\", \"overlap\": \"$((RANDOM % 2 + 2))..3\"}]"
}

# The clusters stay up through all runs, so that what a run leaves on their nodes can be seen.
for nodes in 3 5; do
    cluster=$prefix-$nodes
    "$ordeal" local up --nodes $nodes --cluster "$cluster" >/dev/null || exit 1
    queue_run $nodes queue --nemesis none --time-limit 1s --set queue.drain-limit=2s # the queue's and the agent's own traces
    rm -rf "$work/store"
    node_traces $nodes | sort -u >"$work/before.$nodes"
    grep -q 'mount' "$work/before.$nodes" || { echo "the nodes cannot be looked at" >&2; exit 1; }
done
cluster=$prefix-3
# A canary: what is left behind must be seen.
"$ordeal" local exec --cluster "$cluster" n2 -- sh -c 'touch /var/tmp/canary; sleep 600 & kill -STOP $!; nft add table inet canary'
left_behind 3 && grep -q 'n2: /var/tmp/canary' <<<"$traces_seen" && grep -q 'n2: stopped process' <<<"$traces_seen" &&
    grep -q 'n2: table inet canary' <<<"$traces_seen" || { echo "what is left behind is not seen: $traces_seen" >&2; exit 1; }
"$ordeal" local exec --cluster "$cluster" n2 -- sh -c 'rm /var/tmp/canary; nft delete table inet canary
    for status in /proc/[0-9]*/status; do grep -q "^State:.T" $status && kill -KILL $(sed -n "s/^Pid:.//p" $status); done'
! left_behind 3 || { echo "the canary stays: $traces_seen" >&2; exit 1; }
find_usable
[ ${#usable[@]} -gt 0 ] || { echo "no nemesis works here" >&2; exit 1; }
echo "nemeses: ${usable[*]}"
valid=0 unknown=0 convicted=0 failed=0 dirty=0 not_undone=0 faults=0 operations=0
for ((i = 0; i < runs; i++)); do
    seed=$((first + i)) nodes=$((i % 2 == 0 ? 3 : 5)) workload=queue
    [ $((i % 4)) -lt 2 ] || workload=queue-keys
    draw $seed "${usable[@]}" >"$work/schedule.json"
    cluster=$prefix-$nodes
    queue_run $nodes $workload --seed $seed --rate 300 --schedule "$work/schedule.json" --time-limit "$time" --set queue.snapshot-entries=1000 \
        $(options_for "$(sed -n 's/.*"nemesis": "\([a-z,-]*\)".*/\1/p' "$work/schedule.json")")
    status=$?
    run=$(readlink -f "$work/store/latest")
    awk -f tests/lib/json_lines.awk "$run/results.json" >"$work/lines" 2>/dev/null || : >"$work/lines"
    count=$(sed -n 's/^\.checkers\.stats\.count //p' "$work/lines")
    seen=$(grep -cE '^\.faults\.[0-9]+\.begin\.verified true' "$work/lines")
    undone=$(grep -cE '^\.faults\.[0-9]+\.end\.verified true' "$work/lines")
    reasons=$(grep -E '^  (unknown|invalid) ' "$work/out" | head -n 3)
    operations=$((operations + ${count:-0})) faults=$((faults + seen)) keep=''
    case $status in
    0) valid=$((valid + 1)) verdict=valid ;;
    2) unknown=$((unknown + 1)) verdict=unknown; [ -n "$reasons" ] || { failed=$((failed + 1)); verdict="unknown without a reason" keep=1; } ;;
    1) convicted=$((convicted + 1)) verdict=CONVICTED keep=1 ;;
    *) failed=$((failed + 1)) verdict="failed with status $status" keep=1 ;;
    esac
    [ "$undone" -ge "$seen" ] || { not_undone=$((not_undone + 1)) verdict+=", $((seen - undone)) faults NOT UNDONE" keep=1; }
    if left_behind $nodes; then
        dirty=$((dirty + 1)) verdict+=", LEFT BEHIND: $(head -n 5 <<<"$traces_seen" | paste -sd';')" keep=1
        echo "$traces_seen" >"/tmp/schedule-$seed.left" # all of it
        node_traces $nodes | sort -u >>"$work/before.$nodes" # told once
        sort -u -o "$work/before.$nodes" "$work/before.$nodes"
    fi
    echo "run $((i + 1)): $workload, $nodes nodes, seed $seed: $verdict, ${count:-0} operations, $seen faults seen, $undone undone ($(sed -n 's/.*"nemesis": "\([a-z,-]*\)".*/\1/p' "$work/schedule.json"))"
    [ $status -eq 0 ] || { echo "$reasons"; grep -E '^ordeal:' "$work/out"; } | sed 's/^/    /'
    [ $status -eq 0 ] || keep=1
    [ -z "$keep" ] || { cp -r "$run" "/tmp/schedule-$seed" 2>/dev/null; cp "$work/out" "/tmp/schedule-$seed.out"; }
    rm -rf "$work/store"
done
echo "$runs random schedules, $operations operations, $faults faults seen in force: $valid valid, $unknown unknown, $convicted convicted," \
    "$failed did not run, $not_undone with a fault not undone, $dirty left something behind"
[ $((convicted + failed + not_undone + dirty)) -eq 0 ]
