#!/bin/bash
# tests/bench/check.sh BUILD SEEDS OPS HISTORIES: what the linearizable checker takes, as Markdown: generated registers
# over the whole grid up to OPS operations, and Porcupine's logs where HISTORIES has them. Run it with nothing else running.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1 seeds=$2 ops=$3 histories=$4
ordeal=$build/ordeal
printf 'processors: %s, %s; load before: %s\n\n' "$(nproc)" "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" "$(cut -d' ' -f1 /proc/loadavg)"

# Real histories: each judged by a process of its own.
judge_all() { # NAME ARGUMENT.. -- FILE..
    local name=$1 arguments=() count=0 began
    shift
    while [ "$1" != -- ]; do arguments+=("$1"); shift; done
    shift
    began=$(date +%s%N)
    for file in "$@"; do
        "$ordeal" check "$file" --checker linearizable "${arguments[@]}" >/dev/null 2>&1
        [ $? -le 1 ] && count=$((count + 1))
    done
    printf '| %s | %s | %s | %s ms |\n' "$name" $# "$count" $((($(date +%s%N) - began) / 1000000))
}
if [ -d "$histories/porcupine" ]; then
    printf '| histories | files | judged | wall, all together |\n|---|---|---|---|\n'
    judge_all "etcd logs of Jepsen, as Porcupine tests with" --model cas-register -- "$histories"/porcupine/jepsen/*.log
    judge_all "key-value logs" --model kv --set 'linearizable.initial=""' --from edn -- "$histories"/porcupine/kv/*.txt
    judge_all "the same, not split by the caller" --model kv --set 'linearizable.initial=""' --from edn --keyed no -- "$histories"/porcupine/kv/*.txt
    echo
else
    echo "no $histories/porcupine: Porcupine's logs are left out"; echo
fi
failed=0
"$build/tests/bench/linearizable" "$ordeal" "$seeds" "$ops" || failed=1
echo; echo "Distinct values, 1 000 000 operations of 20 clients, the checker alone:"; echo
"$build/tests/bench/distinct" || failed=1
exit $failed
