# tests/lib/tap.sh: for end-to-end tests in bash, which source it. See tests/integration/e2e_*_test.sh.
#
#   it NAME FUNCTION   runs FUNCTION in a subshell and prints its TAP line; `fail` and `skip` end it
#   finish             ends the program; the EXIT trap takes every cluster of this program down
#
# A test asks through `ordeal` (the program under test) and `run`, which leaves $status, out and err; what failed is
# shown with the last of both. Everything that is awaited has a deadline, and none is a plain sleep.
set -u
: "${ORDEAL_BUILD:?run me through tests/run.sh}" "${ORDEAL_SOURCE:?}"
work=$PWD
store=$work/store
cluster_prefix=e2e-$$
test_count=0 fail_count=0
main_pid=$BASHPID

PATH=$ORDEAL_BUILD:$PATH:/usr/sbin:/sbin

# ---- Running and ending tests ----

note() { printf '%s\n' "$*" | sed 's/^/# /'; }

show_last() { # FILE
    [ -s "$1" ] && { note "the end of $1:"; tail -n 25 "$1" | sed 's/^/#   /'; }
}

fail() {
    note "$@"
    [ -e "$work/ran" ] && note "after: $(cat "$work/ran")"
    show_last "$work/out"
    show_last "$work/err"
    exit 1
}

skip() { echo "$*" >"$work/skip"; exit 77; }

it() {
    local name=$1 began=$SECONDS outcome
    test_count=$((test_count + 1))
    : >"$work/out"; : >"$work/err"; rm -f "$work/ran"
    ("$2")
    outcome=$?
    end_started # a test that failed must not be in the next one's way
    case $outcome in
    0) echo "ok $test_count - $name ($((SECONDS - began)) s)" ;;
    77) echo "ok $test_count - $name # SKIP $(cat "$work/skip")" ;;
    *) echo "not ok $test_count - $name"; fail_count=$((fail_count + 1)) ;;
    esac
}

finish() {
    echo "1..$test_count"
    [ $fail_count -eq 0 ]
    exit
}

skip_everything() {
    echo "ok 1 - $(basename "$0") # SKIP $*"
    echo "1..1"
    exit 0
}

# What every program here needs before anything else.
need_cluster() {
    [ "$(id -u)" -eq 0 ] || skip_everything "needs root for a local cluster"
    command -v sshd >/dev/null || skip_everything "needs sshd (openssh-server)"
    # Without it `leftovers` would see no rule, whatever is there.
    command -v nft >/dev/null || skip_everything "needs nft (nftables)"
}
need_etcd() { command -v etcd >/dev/null || skip_everything "needs etcd (etcd-server)"; }
have_report() { ordeal list reports | grep -q "^  $1 "; }

# ---- Asking ----

run() { # COMMAND..: its exit status in $status, its output in out and err
    echo "$*" >"$work/ran"
    "$@" >"$work/out" 2>"$work/err" </dev/null
    status=$?
}

# Starts a command on its own, with its pid in $pid; for background jobs bash ignores SIGINT, which is undone here.
start() {
    echo "$*" >"$work/ran"
    env --default-signal=INT "$@" >"$work/out" 2>"$work/err" </dev/null &
    pid=$!
    echo "$pid" >>"$work/pids"
}
kill_hard() { # $pid, as nothing can prevent
    kill -KILL "$pid"
    { wait "$pid"; } 2>/dev/null # where bash would tell
}

await_end() { # SECONDS: of $pid; its exit status in $status
    wait_until "$1" "pid $pid ends" ended "$pid"
    wait "$pid" 2>/dev/null
    status=$?
}
ended() {
    local state
    state=$(sed -n 's/^State:\t\(.\).*/\1/p' "/proc/$1/status" 2>/dev/null)
    [ -z "$state" ] || [ "$state" = Z ]
}

expect_status() { [ "$status" -eq "$1" ] || fail "exit status $status instead of $1"; }
expect_match() { grep -qE -- "$2" "$1" || fail "$1 has no line like: $2"; }
expect_no_match() { ! grep -qE -- "$2" "$1" || fail "$1 has a line like '$2': $(grep -m1 -E -- "$2" "$1")"; }
expect_file() { local file; for file; do [ -s "$file" ] || fail "$file is missing or empty"; done; }

# The last line on standard error is the problem, told once: what went wrong and what to do.
expect_problem() { # EXIT-STATUS PATTERN..
    expect_status "$1"
    local pattern last
    last=$(tail -n 1 "$work/err")
    [[ $last == "ordeal: "* ]] || fail "standard error does not end with a problem"
    [ "$(grep -c '^ordeal: ' "$work/err")" -eq 1 ] || fail "more than one problem on standard error"
    for pattern in "${@:2}"; do
        grep -qE -- "$pattern" <<<"$last" || fail "the problem is not told like '$pattern'"
    done
}

now_ms() { echo $(($(date +%s%N) / 1000000)); }

wait_until() { # SECONDS WHAT CONDITION..
    local deadline=$(($(now_ms) + $1 * 1000)) what=$2
    shift 2
    until "$@"; do
        [ "$(now_ms)" -lt $deadline ] || fail "not within the deadline: $what"
        sleep 0.05
    done
}
wait_for_line() { # SECONDS FILE PATTERN
    wait_until "$1" "$2 has a line like '$3'" grep -qsE -- "$3" "$2"
}

# A JSON file as lines: .checkers.stats.valid true
json_lines() { awk -f "$ORDEAL_SOURCE/tests/lib/json_lines.awk" "$1"; }
expect_json() { # FILE PATTERN..: each matches a line
    local pattern
    json_lines "$1" >"$work/lines" || fail "$1 is not one JSON value"
    for pattern in "${@:2}"; do
        grep -qE -- "$pattern" "$work/lines" || fail "$1 has nothing like '$pattern'; it has: $(head -c 1500 "$work/lines")"
    done
}

newest_run() { readlink -f "$store/latest"; }

# ---- Clusters ----

# Names are this program's own, so that others may have clusters meanwhile.
cluster_name() { echo "$cluster_prefix-$1"; }
raise() { # SUFFIX NODES: raises a cluster that outlives commands
    cluster=$(cluster_name "$1")
    ordeal local up --cluster "$cluster" --nodes "$2" >"$work/up" 2>&1 || fail "cannot raise a cluster: $(cat "$work/up")"
}
lower() { ordeal local down --force --cluster "$1" >/dev/null 2>&1; }
on_node() { ordeal local exec --cluster "$cluster" "$1" -- sh -c "$2"; } # NODE SCRIPT
on_control() { ordeal local exec --cluster "$cluster" -- "$@"; }

# Prints whatever of a run is still on the node: rules, stopped processes, daemons, agents.
leftovers_script='
nft list tables 2>/dev/null | grep -w ordeal
for tables in iptables ip6tables; do $tables -S 2>/dev/null | grep ORDEAL; done
for status in /proc/[0-9]*/status; do
    name= state=
    while read -r key value rest; do
        case $key in Name:) name=$value ;; State:) state=$value; break ;; esac
    done 2>/dev/null <$status
    case $state in T | t) echo "stopped: $name" ;; Z | "") continue ;; esac
    case $name in etcd | ordeal-agent*) echo "running: $name" ;; esac
done
ls /run/ordeal/journal 2>/dev/null
tc qdisc show 2>/dev/null | grep dea1:
true'
leftovers() { # NODES
    local i
    for ((i = 1; i <= $1; i++)); do
        on_node "n$i" "$leftovers_script" 2>&1 | sed "s/^/n$i: /"
    done
}
nodes_are_clean() { [ -z "$(leftovers "$1")" ]; }
expect_clean_nodes() { # NODES SECONDS
    local began
    began=$(now_ms)
    until nodes_are_clean "$1"; do
        [ $(($(now_ms) - began)) -lt $(($2 * 1000)) ] || fail "left on the nodes after $2 s: $(leftovers "$1" | tr '\n' ' ')"
    done
}

command_of() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null; } # PID: "" when it has ended
# The keeper and the nodes' first processes: with one of these, all of its node ends.
cluster_processes() { # NAME
    local process
    for process in /proc/[0-9]*; do
        if command_of "${process#/proc/}" | grep -qE "^ordeal-(keeper|init) $1(/| |\$)"; then
            echo "${process#/proc/}"
        fi
    done
}
cluster_traces() { # NAME: anything on this machine that is of that cluster
    cluster_processes "$1" | sed 's/^/process /'
    grep -F "/clusters/$1/" /proc/mounts
    ls -d "/run/ordeal/clusters/$1" "/var/lib/ordeal/clusters/$1" 2>/dev/null
    ip netns list 2>/dev/null | grep -F -- "$1"
}
cluster_is_gone() { [ -z "$(cluster_traces "$1")" ]; }
expect_gone() { # NAME SECONDS
    local began
    began=$(now_ms)
    until cluster_is_gone "$1"; do
        [ $(($(now_ms) - began)) -lt $(($2 * 1000)) ] || fail "left of cluster $1 after $2 s: $(cluster_traces "$1" | tr '\n' ' ')"
    done
}
# Nothing of the cluster runs or is mounted; an empty directory, made just before the kill and before there was a
# keeper to remove it, may wait for the next up or down.
expect_only_directories() { # NAME SECONDS
    local began
    began=$(now_ms)
    until [ -z "$(cluster_traces "$1" | grep -v '^/')" ]; do
        [ $(($(now_ms) - began)) -lt $(($2 * 1000)) ] || fail "left of cluster $1 after $2 s: $(cluster_traces "$1" | tr '\n' ' ')"
    done
    lower "$1"
    cluster_is_gone "$1" || fail "down leaves of cluster $1: $(cluster_traces "$1" | tr '\n' ' ')"
}

# The last test of every program: this machine is as it was found.
nothing_is_left() {
    local name
    for name in $(list_my_clusters); do lower "$name"; done
    for name in $(ls /run/ordeal/clusters /var/lib/ordeal/clusters 2>/dev/null | grep "^$cluster_prefix-"); do
        fail "cluster $name cannot be taken down: $(cluster_traces "$name" | tr '\n' ' ')"
    done
    grep -F "$cluster_prefix-" /proc/mounts && fail "mounts are left"
    [ -z "$(cluster_processes "$cluster_prefix-[^/ ]*")" ] || fail "processes are left"
    host_traces >"$work/after"
    cmp -s "$work/before" "$work/after" ||
        fail "this machine's own network has changed: $(diff "$work/before" "$work/after" | tr '\n' ' ')"
}
list_my_clusters() { ls /run/ordeal/clusters 2>/dev/null | grep "^$cluster_prefix-"; }
# What nobody may touch outside the clusters: links, firewall tables, named network namespaces.
host_traces() {
    {
        ip -o link show | sed 's/^[0-9]*: \([^:@]*\).*/link \1/'
        nft list tables
        ip netns list
    } 2>/dev/null | sort
}
host_traces >"$work/before"

# Whether the pid is still the process that was started: all of them name a store or a cluster of ours.
is_mine() { command_of "$1" | grep -qF -e "$work" -e "$cluster_prefix-"; }

end_started() {
    local pid
    for pid in $(cat "$work/pids" 2>/dev/null); do
        is_mine "$pid" && kill -KILL "$pid" 2>/dev/null
    done
    rm -f "$work/pids"
}

cleanup() {
    local name
    [ "$BASHPID" = "$main_pid" ] || return
    trap '' TERM INT HUP
    end_started
    for name in $(list_my_clusters); do lower "$name"; done
}
trap cleanup EXIT
trap 'exit 143' TERM INT HUP
