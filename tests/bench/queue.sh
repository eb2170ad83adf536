#!/bin/bash
# tests/bench/queue.sh BUILD [ROUNDS] [SECONDS]: the queue beside others, side by side in one session: adds, and take with
# acknowledgement, bodies of 100 bytes, closed loop, connections x requests outstanding on each. Cells are medians of
# interleaved rounds: thousands of operations a second, and the 50th and 99th percentile of one operation in ms. Installs
# nothing: a server that is missing is named and left out. RESULTS=FILE keeps every round. Needs no root. Everything listens on loopback, ports 21500-21599.
# A part of it: CELLS="16x32 50x1", WHAT="add", SYSTEMS="probe-3-fsync queue-3-fsync stream-always", SNAPSHOTS=no.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${1:-build/release}; rounds=${2:-3}; seconds=${3:-1}
bench=$build/tests/bench/queue_bench; queue=$build/ordeal-queue
work=$(mktemp -d "${TMPDIR:-/tmp}/ordeal-bench-queue.XXXXXX")
pids=()
finish() {
    # Each is the leader of a group: RabbitMQ's script starts its server as a child.
    for pid in "${pids[@]}"; do kill -9 -- "-$pid" 2>/dev/null; done
    wait 2>/dev/null
    [ -n "${RESULTS:-}" ] && cp "$work/results" "$RESULTS"
    # RabbitMQ's name server makes itself a daemon; this one is ours by its port.
    [ -n "${ERL_EPMD_PORT:-}" ] && epmd -kill >/dev/null 2>&1
    rm -rf "$work"
}
trap finish EXIT
run() { local log=$1; shift; set -m; "$@" >"$work/$log.log" 2>&1 & set +m; pids+=($!); }
have() { command -v "$1" >/dev/null || { echo "not installed, left out: $1"; return 1; }; }
wait_port() { for _ in $(seq "${2:-300}"); do (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0; sleep 0.1; done; echo "nothing listens on $1"; return 1; }

chosen() { [ -z "${SYSTEMS:-}" ] || [[ " $SYSTEMS " == *" $1 "* ]]; }
systems=() # name protocol port
serve() { systems+=("$1 $2 $3"); }

info() { # port, field of INFO
    { exec 5<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return
    printf 'INFO\r\nPING\r\n' >&5
    timeout 5 sed -n '/^+PONG/q;s/\r$//;s/^'"$2"'://p' <&5
    exec 5>&-
}
leads() { [ "$(info "$1" leading)" = 1 ]; }
configure() { # port, key, value
    exec 5<>"/dev/tcp/127.0.0.1/$1" && printf 'CONFIG SET %s %s\r\n' "$2" "$3" >&5 && timeout 5 head -1 <&5 | grep -q OK
    local done=$?
    exec 5>&-
    return $done
}

start_queue() { # name, base port, nodes, fsync, options
    local peers="" n
    for n in $(seq "$3"); do peers+="${peers:+,}$n=127.0.0.1:$(($2 + n + 3))"; done
    for n in $(seq "$3"); do
        run "$1-$n" "$queue" --dir "$work/$1-$n" --node "$n" --port $(($2 + n)) --fsync "$4" --bind 127.0.0.1 \
            ${5:-} $([ "$3" -gt 1 ] && echo "--peer-port $(($2 + n + 3)) --peers $peers")
    done
    wait_port $(($2 + 1)) || return
    for _ in $(seq 300); do # clients are at the leader
        for n in $(seq "$3"); do
            leads "$(($2 + n))" && { serve "$1" queue $(($2 + n)); return; }
        done
        sleep 0.1
    done
    echo "no leader of $1"
}

start_probe() { # name, base port, [nosync]
    run "$1-2" "$build/tests/bench/commit_probe" follower $(($2 + 1)) "$work/$1-2" ${3:-}
    run "$1-3" "$build/tests/bench/commit_probe" follower $(($2 + 2)) "$work/$1-3" ${3:-}
    run "$1-1" "$build/tests/bench/commit_probe" leader "$2" "$work/$1-1" $(($2 + 1)) $(($2 + 2)) ${3:-}
    wait_port "$2" && serve "$1" probe "$2"
}

start_redis() { # name, port, appendfsync or "no-aof"
    have redis-server || return
    mkdir "$work/$1"
    local aof="--appendonly yes --appendfsync $3"
    [ "$3" = no-aof ] && aof="--appendonly no"
    run "$1" redis-server --port "$2" --bind 127.0.0.1 --dir "$work/$1" --save "" $aof
    wait_port "$2" && serve "$1" stream "$2"
}

start_beanstalk() {
    have beanstalkd || return
    run "$1" beanstalkd -l 127.0.0.1 -p "$2"
    wait_port "$2" && serve "$1" beanstalk "$2"
}

start_nats() { # name, base port
    have nats-server || return
    local n routes
    routes="nats://127.0.0.1:$(($2 + 4)),nats://127.0.0.1:$(($2 + 5)),nats://127.0.0.1:$(($2 + 6))"
    for n in 1 2 3; do
        run "$1-$n" nats-server -a 127.0.0.1 -p $(($2 + n)) -n "n$n" -js -sd "$work/$1-$n" \
            --cluster_name bench --cluster "nats://127.0.0.1:$(($2 + n + 3))" --routes "$routes"
    done
    export NATS_REPLICAS=3
    wait_port $(($2 + 3)) && sleep 6 && serve "$1" nats $(($2 + 1))
}

start_rabbit() { # name, base port
    have rabbitmq-server || return
    local n script=/usr/lib/rabbitmq/bin
    export ERL_EPMD_PORT=$(($2 + 9)) ERL_EPMD_ADDRESS=127.0.0.1 HOME="$work" RABBITMQ_CONFIG_FILE="$work/none"
    for n in 1 2 3; do
        export RABBITMQ_NODENAME="bench$n@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$(($2 + n))
        export RABBITMQ_DIST_PORT=$(($2 + n + 3)) RABBITMQ_MNESIA_BASE="$work/$1-$n" RABBITMQ_LOG_BASE="$work"
        export RABBITMQ_ENABLED_PLUGINS_FILE="$work/plugins" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-setcookie bench"
        echo '[].' >"$work/plugins"
        cd "$work" && run "$1-$n" "$script/rabbitmq-server"; cd "$OLDPWD" || exit 1
        wait_port $(($2 + n)) 1200 || return
    done
    for n in 2 3; do
        for step in stop_app "join_cluster bench1@localhost" start_app; do
            RABBITMQ_CTL_ERL_ARGS="-setcookie bench" "$script/rabbitmqctl" --erlang-cookie bench -n "bench$n@localhost" $step >>"$work/ctl.log" 2>&1 ||
                { echo "no RabbitMQ cluster: $(tail -1 "$work/ctl.log")"; return; }
        done
    done
    wait_port $(($2 + 1)) && serve "$1" amqp $(($2 + 1))
}

echo "processors: $(nproc), $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1); kernel $(uname -r); load before: $(cut -d' ' -f1 /proc/loadavg); $rounds rounds of $seconds s"
# Of which everybody pays the same: what a system touches that nobody has touched lately.
echo "memory touched for the first time, and again: $("$bench" touch 0.5), $("$bench" touch 0.5)"
chosen probe-3-fsync && start_probe probe-3-fsync 21500
chosen queue-3-fsync && start_queue queue-3-fsync 21510 3 yes
chosen stream-always && start_redis stream-always 21520 always
chosen nats-3-file && start_nats nats-3-file 21530
chosen rabbit-3 && start_rabbit rabbit-3 21540
chosen probe-3-no && start_probe probe-3-no 21550 nosync
chosen queue-1-no && start_queue queue-1-no 21560 1 no
chosen stream-no && start_redis stream-no 21570 no-aof
chosen beanstalk && start_beanstalk beanstalk 21571

cells=${CELLS:-1x1 16x1 50x1 1x32 16x32 50x32} whats=${WHAT:-add get}
for what in $whats; do
    for cell in $cells; do
        for _ in $(seq "$rounds"); do
            for system in "${systems[@]}"; do
                read -r name protocol port <<<"$system"
                [ $what$protocol = getprobe ] && continue
                # Beside a measurement on a two-processor machine nothing else should have work left over from the one before.
                echo "$name $what $cell $($bench "$protocol" "$port" $what "${cell%x*}" "${cell#*x}" "$seconds" 2>>"$work/errors")" >>"$work/results"
            done
        done
    done
done
sort -u "$work/errors" | head -5

median() { sort -n | awk '{v[NR] = $1} END {if (NR) printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2; else printf "0"}'; }
value() { awk -v k="$1 $2 $3" -v f="$4" '$1 " " $2 " " $3 == k && NF > 3 {print $f}' "$work/results" | median; }
for what in $whats; do
    printf '\n%s\n| %-14s |' "$([ $what = add ] && echo "adds: thousands a second (p50 / p99 ms)" || echo "takes with acknowledgement: thousands a second (p50 / p99 ms)")" system
    for cell in $cells; do printf ' %-20s |' "$cell"; done
    printf '\n|%s|' ----------------; for cell in $cells; do printf '%s|' ----------------------; done; echo
    for system in "${systems[@]}"; do
        name=${system%% *}
        [[ $what == get && $name == probe* ]] && continue
        printf '| %-14s |' "$name"
        for cell in $cells; do
            printf ' %-20s |' "$(awk -v r="$(value "$name" $what "$cell" 4)" -v a="$(value "$name" $what "$cell" 5)" -v b="$(value "$name" $what "$cell" 6)" 'BEGIN {printf r ? "%.1f (%.2f / %.1f)" : "-", r / 1000, a / 1000, b / 1000}')"
        done
        echo
    done
done

# One is so many times as fast (or slow, for field 6) as the other, as the median of the rounds' ratios.
ratio() { paste -d' ' <(awk -v k="$1 $3 $4" '$1 " " $2 " " $3 == k && NF > 3' "$work/results") <(awk -v k="$2 $3 $4" '$1 " " $2 " " $3 == k && NF > 3' "$work/results") |
    awk -v f="$5" 'NF == 16 {print $f / $(f + 8)}' | median; }
printf '\n| %-66s | %8s | %-10s | %-7s |\n|%s|%s|%s|%s|\n' demand measured promised "" -------------------------------------------------------------------- ---------- ------------ ---------
failed=0
demand() { # text, ours, other, what, cell, field, least or most, bound
    [[ "${systems[*]}" == *"$2 "* && "${systems[*]}" == *"$3 "* && " $cells " == *" $5 "* && " $whats " == *" $4 "* ]] || { printf '| %-66s | %8s | %-10s | %-7s |\n' "$1" - "$7 $8" "left out"; return; }
    local r; r=$(ratio "$2" "$3" "$4" "$5" "$6")
    local good; good=$(awk -v r="$r" -v b="$8" -v m="$7" 'BEGIN {print (r > 0 && (m == ">=" ? r >= b : r <= b)) ? "met" : "NOT met"}')
    [ "$good" = met ] || failed=1
    printf '| %-66s | %8.2f | %-10s | %-7s |\n' "$1" "$r" "$7 $8" "$good"
}
demand "3 nodes with fsync, adds 16x32, of the bare commit path" queue-3-fsync probe-3-fsync add 16x32 4 '>=' 0.5
demand "3 nodes with fsync, p99 of adds 50x1, of the bare commit path" queue-3-fsync probe-3-fsync add 50x1 6 '<=' 1.5
for what in add get; do
    demand "3 nodes with fsync, $what 16x32, of a Redis stream, appendfsync always" queue-3-fsync stream-always $what 16x32 4 '>=' 1
    demand "3 nodes with fsync, $what 16x32, of NATS JetStream R3 (no fsync)" queue-3-fsync nats-3-file $what 16x32 4 '>=' 1
    demand "3 nodes with fsync, $what 16x32, of a RabbitMQ quorum queue" queue-3-fsync rabbit-3 $what 16x32 4 '>=' 1
    demand "1 node without fsync, $what 16x32, of beanstalkd" queue-1-no beanstalk $what 16x32 4 '>=' 1
    demand "1 node without fsync, $what 16x32, of a Redis stream" queue-1-no stream-no $what 16x32 4 '>=' 0.7
done

[ "${SNAPSHOTS:-yes}" = yes ] || exit $failed
# What a snapshot of a million jobs does to eight clients that add one job after the other: with snapshots written all the
# time, and with none.
start_queue snapshot 21580 1 yes "--snapshot-entries 1000000000 --snapshot-bytes 1000000000000"
port=21581
while [ "$(info $port jobs_ready)" -lt 1000000 ]; do "$bench" queue $port add 16 32 1 >/dev/null || exit 1; done
still=() busy=()
for _ in $(seq "$rounds"); do
    still+=("$("$bench" queue $port add 8 1 "$seconds" | cut -d' ' -f4)")
    before=$(info $port snapshots)
    configure $port snapshot-entries 1 || { echo "snapshot-entries cannot be set"; exit 1; }
    busy+=("$("$bench" queue $port add 8 1 $((seconds * 3)) | cut -d' ' -f4)")
    configure $port snapshot-entries 1000000000
    sleep 3 # the last one ends
    printf 'of %s jobs: %s snapshots in %s s, the last fork held everybody up for %s us; p99.9 of an add %s us meanwhile, %s us without\n' "$(info $port jobs_ready)" \
        $(($(info $port snapshots) - before)) $((seconds * 3)) "$(info $port snapshot_fork_us)" "${busy[-1]}" "${still[-1]}"
    [ $(($(info $port snapshots) - before)) -gt 0 ] || failed=1
done
worst=$(printf '%s\n' "${busy[@]}" | median)
good=$(awk -v w="$worst" 'BEGIN {print w <= 20000 ? "met" : "NOT met"}')
[ "$good" = met ] || failed=1
printf '| %-66s | %8.2f | %-10s | %-7s |\n' "p99.9 ms of an add while a million jobs are written as a snapshot" "$(awk -v w="$worst" 'BEGIN {print w / 1000}')" "<= 20" "$good"
exit $failed
