#!/bin/bash
# tests/run.sh --build DIR KIND...: runs the test programs of these kinds (unit, fuzz, cluster, integration, browser), each in its
# own process and temporary directory, and ends with "N passed, N failed, N skipped".
#
# A unit or integration program is a cmocka program; it prints TAP. A test that must skip says why with
# "# SKIP reason" (test_skip in tests/lib/test.h). A fuzz program replays its corpus: one file, one test.
# ORDEAL_EXPECT_NO_SKIP=1 makes any skip a failure, as CI wants it.
set -u
cd "$(dirname "$0")/.." || exit 1
build=build/release
[ "${1:-}" = --build ] && { build=$2; shift 2; }
kinds=${*:-unit fuzz}
work=$(mktemp -d "${TMPDIR:-/tmp}/ordeal-tests.XXXXXX")
trap 'rm -rf "$work"' EXIT
export ORDEAL_BUILD=$PWD/$build ORDEAL_SOURCE=$PWD CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=1} UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

run_program() { # program: prints its TAP, then one line of counts
    local program=$1 name limit=${ORDEAL_TEST_TIMEOUT:-300} status
    name=$(echo "${program#"$build"/tests/}" | tr / _)
    mkdir -p "$work/$name.d"
    local started preload=; started=$(date +%s.%N)
    [ -e "$build/tests/lib/no_threads.so" ] && is_unthreaded "$program" && preload=$ORDEAL_SOURCE/$build/tests/lib/no_threads.so
    (cd "$work/$name.d" && TMPDIR=$work/$name.d LD_PRELOAD=$preload timeout -k 5 "$limit" "$ORDEAL_SOURCE/$program" "${@:2}") \
        >"$work/$name.out" 2>"$work/$name.err" </dev/null
    status=$?
    local passed failed skipped
    # cmocka's TAP calls a skipped test "not ok N # SKIP name".
    skipped=$(grep -cE '^(not )?ok[^#]*# SKIP' "$work/$name.out")
    passed=$(grep -E '^ok' "$work/$name.out" | grep -vc '# SKIP')
    failed=$(grep -E '^not ok' "$work/$name.out" | grep -vc '# SKIP')
    if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; echo "not ok - $name ended with status $status" >>"$work/$name.out"; fi
    if [ "$status" -eq 0 ] && [ $((passed + failed + skipped)) -eq 0 ]; then failed=1; echo "not ok - $name ran no test" >>"$work/$name.out"; fi
    if [ "${ORDEAL_EXPECT_NO_SKIP:-}" = 1 ] && [ "$skipped" -gt 0 ]; then failed=$((failed + skipped)); skipped=0; fi
    printf '%-44s %4d passed %3d failed %3d skipped  %5.1f s\n' "${program#"$build"/tests/}" "$passed" "$failed" "$skipped" \
        "$(awk "BEGIN {print $(date +%s.%N) - $started}")" >"$work/$name.line"
    if [ "$failed" -gt 0 ]; then
        grep -E '^not ok' "$work/$name.out" | grep -v '# SKIP' | sed "s|^|${program#"$build"/tests/}: |" >"$work/$name.failures"
        grep -E '^not ok|^#|# SKIP' "$work/$name.out"; tail -n 60 "$work/$name.err"
    else
        grep -E '# SKIP' "$work/$name.out"
    fi
    cat "$work/$name.line"
    echo "$passed $failed $skipped" >"$work/$name.counts"
}
export work build

# Programs that make no thread of their own have no race either: the thread sanitizer, under which the longest of them
# take minutes, would find nothing. That they make none is looked at whenever they run without it.
unthreaded=' linearizable_hiding_test linearizable_engines_test linearizable_appends_test linearizable_certificate_test monitors_truth_test
 models_truth_test delivery_oracle_test generator_nest_test fold_numbers_test fold_sets_test meta_test spool_test raft_defects_test
 storage_test storage_defect_test '
is_unthreaded() { case $unthreaded in *[[:space:]]$(basename "$1")[[:space:]]*) return 0 ;; *) return 1 ;; esac }
case $build in *san-thread*) leave_out=is_unthreaded ;; *) leave_out=false ;; esac

export -f run_program is_unthreaded; export unthreaded

jobs=$(nproc); list=() beside=()
for kind in $kinds; do
    case $kind in
    unit) for t in "$build"/tests/unit/*_test "$build"/tests/queue/*_test; do
        # Clusters of real queue servers wait for elections and time-outs, and what others cost is measured best
        # alone: one after the other, below.
        case $t in */queue/cluster*_test | */queue/defect_test | */queue/robust_test) continue ;; esac
        "$leave_out" "$t" && continue
        [ -x "$t" ] && list+=("$t"); done ;;
    cluster) jobs=1; for t in "$build"/tests/queue/{cluster*,defect,robust}_test; do [ -x "$t" ] && list+=("$t"); done ;;
    browser) jobs=1; for t in tests/browser/*_test.sh; do list+=("$t"); done ;;
    fuzz) for t in "$build"/tests/fuzz/*_fuzz; do [ -x "$t" ] && list+=("$t"); done ;;
    integration) # two whole runs at a time, which mostly wait, beside programs whose times are measured
        jobs=1
        for t in "$build"/tests/queue/{cluster*,defect,robust}_test "$build"/tests/integration/*_test; do [ -x "$t" ] && list+=("$t"); done
        for t in tests/integration/*_test.sh; do [ -x "$t" ] && beside+=("$t"); done ;;
    esac
done
[ $((${#list[@]} + ${#beside[@]})) -gt 0 ] || { echo "no test programs of kind '$kinds' under $build"; exit 1; }
run_list() { # JOBS PROGRAM...
    local jobs=$1 t n; shift
    for t; do
        case $t in
        */fuzz/*) n=$(basename "$t" _fuzz); printf '%s\0%s\0' "$t" "$ORDEAL_SOURCE/tests/fuzz/corpus/$n" ;;
        *) printf '%s\0\0' "$t" ;;
        esac
    done | xargs -0 -n 2 -P "$jobs" bash -c '[ -n "$1" ] && run_program "$0" "$1" || run_program "$0"'
}
[ ${#beside[@]} -gt 0 ] && run_list 2 "${beside[@]}" &
[ ${#list[@]} -gt 0 ] && run_list "$jobs" "${list[@]}"
wait
list+=("${beside[@]}")

total_passed=0; total_failed=0; total_skipped=0; programs=0
for counts in "$work"/*.counts; do
    read -r p f s <"$counts"; programs=$((programs + 1))
    total_passed=$((total_passed + p)); total_failed=$((total_failed + f)); total_skipped=$((total_skipped + s))
done
if [ $programs -ne ${#list[@]} ]; then echo "only $programs of ${#list[@]} test programs reported"; total_failed=$((total_failed + 1)); fi
cat "$work"/*.failures 2>/dev/null | tee -a "${ORDEAL_FAILURES:-/dev/null}"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ -n "${ORDEAL_COUNTS:-}" ] && echo "$total_passed $total_failed $total_skipped" >>"$ORDEAL_COUNTS"
[ $total_failed -eq 0 ]
