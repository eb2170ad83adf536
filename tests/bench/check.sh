#!/bin/bash
# tests/bench/check.sh BUILD SEEDS OPS HISTORIES: what the linearizable checker takes, as Markdown: generated registers
# over the whole grid up to OPS operations, and Porcupine's logs where HISTORIES has them. Run it with nothing else running.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1 seeds=$2 ops=$3 histories=$4
ordeal=$build/ordeal
printf 'processors: %s, %s; load before: %s\n\n' "$(nproc)" "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)" "$(cut -d' ' -f1 /proc/loadavg)"

# Real histories: each judged by a process of its own, and its verdict held against the manifest's.
failed=0
declare -A expected
judge_all() { # NAME ARGUMENT.. -- FILE..
    local name=$1 arguments=() right=0 began verdicts=() verdict
    shift
    while [ "$1" != -- ]; do arguments+=("$1"); shift; done
    shift
    began=$(date +%s%N)
    for file in "$@"; do
        "$ordeal" check "$file" --checker linearizable "${arguments[@]}" >/dev/null 2>&1
        case $? in 0) verdicts+=(true) ;; 1) verdicts+=(false) ;; 2) verdicts+=(unknown) ;; *) verdicts+=(failed) ;; esac
    done
    printf '| %s | %s | %s ms |' "$name" $# $((($(date +%s%N) - began) / 1000000))
    for file in "$@"; do
        verdict=${verdicts[0]} verdicts=("${verdicts[@]:1}")
        [ "$verdict" = "${expected[${file#"$histories"/}]:-}" ] && right=$((right + 1))
        [ "$verdict" = "${expected[${file#"$histories"/}]:-}" ] ||
            echo "$file: $verdict, expected ${expected[${file#"$histories"/}]:-nothing: the manifest has no row}" >&2
    done
    echo " $right |"
    [ $# -gt 0 ] && [ "$right" -eq $# ] || failed=1
}
if [ -d "$histories/porcupine" ]; then
    while IFS=$'\t' read -r file verdict; do expected[$file]=$verdict; done < <(cut -f4,9 "$histories/MANIFEST.tsv")
    printf '| histories | files | wall, all together | judged as expected |\n|---|---|---|---|\n'
    judge_all "etcd logs of Jepsen, as Porcupine tests with" --model cas-register -- "$histories"/porcupine/jepsen/*.log
    judge_all "key-value logs" --model kv --set 'linearizable.initial=""' --from edn -- "$histories"/porcupine/kv/*.txt
    judge_all "the same, not split by the caller" --model kv --set 'linearizable.initial=""' --from edn --keyed no -- "$histories"/porcupine/kv/*.txt
    echo
else
    echo "no $histories/porcupine: Porcupine's logs are left out"; echo
fi
"$build/tests/bench/linearizable" "$ordeal" "$seeds" "$ops" || failed=1
echo; echo "Distinct values, 1 000 000 operations of 20 clients, the checker alone:"; echo
"$build/tests/bench/distinct" "$seeds" || failed=1
exit $failed
