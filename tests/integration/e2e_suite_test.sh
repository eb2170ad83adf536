#!/bin/bash
# Suites, whole: runs as processes of their own on one cluster, a summary, interrupts, going on, parts, bad suites.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster

suite=$work/small.json
cat >"$suite" <<'END'
{
  "about": "three cells",
  "plan": {"system": "noop", "workload": "noop", "time-limit": "200ms", "rate": 100},
  "matrix": {"load": {"light": {"rate": 50}, "heavy": {"rate": 500}}},
  "cells": [{"name": "wrong", "expect": {"verdict": "invalid"}}]
}
END
run_suite() { run ordeal run --suite "$suite" --store "$store" --local 2 --cluster "$cluster" "$@"; }
newest_suite() { readlink -f "$store/suites/$1/latest"; }
run_count() { find "$store" -name results.json -not -path "$store/suites/*" | wc -l; }

all_cells_and_a_summary() {
    run_suite
    expect_status 1
    expect_match out '^Suite small: NOT as it should be'
    expect_match out '^3 cells: 1 disagreed, 2 valid; 3 runs$'
    local directory
    directory=$(newest_suite small)
    expect_file "$directory"/{suite.json,runs.jsonl,summary.json,summary.txt,summary.html,summary.md,junit.xml,plans/wrong.json}
    expect_json "$directory/summary.json" '^\.exit-status 1' '^\.cells\.0\.outcome "valid"' '^\.cells\.2\.outcome "disagreed"' \
        '^\.cells\.2\.first-failed\.seed 1' '^\.interrupted false'
    [ "$(run_count)" -eq 3 ] || fail "$(run_count) runs are kept"
    expect_file "$store/small-heavy/latest/report.html"
    expect_json "$store/small-heavy/latest/plan.json" '^\.rate "500"' '^\.seed "1"'
    run ordeal report "$directory" --format markdown
    expect_status 0
    expect_match out '^\| wrong \| noop \| none \(noop\) \| invalid \| disagreed: '
    run ordeal report "$store/small-heavy/latest" --format markdown
    expect_status 0
    expect_match out '^### Valid: '
    # Nothing is left to do.
    run_suite --continue --json
    expect_status 1
    expect_match err '3 of them are done already'
    expect_json "$work/out" '^\.exit-status 1' '^\.run-count 3'
    [ "$(run_count)" -eq 3 ] || fail "a run was done again"
}
interrupted_and_continued() {
    start ordeal run --suite "$suite" --store "$store" --local 2 --cluster "$cluster" --cell '[lh]*' --time-limit 62s
    wait_until 10 "the first run goes on" grep -qs '62s with' "$store"/small-light/latest/ordeal.log
    kill -INT "$pid"
    await_end 10
    expect_status 2
    expect_match err 'interrupted: the same command with --continue'
    expect_json "$(newest_suite small)/summary.json" '^\.interrupted true' '^\.outcomes\.not run 2'
    run_suite --cell '[lh]*' --continue
    expect_status 0
    expect_match out '^2 cells: 2 valid; 2 runs$'
    expect_clean_nodes 2 1
}
killed_in_the_middle() {
    start ordeal run --suite "$suite" --store "$store" --local 2 --cluster "$cluster" --shard 1/3 --time-limit 61s
    wait_until 10 "the first run goes on" grep -qs '61s with' "$store"/small-light/latest/ordeal.log
    kill_hard "$pid"
    # The run ends with the suite, and heals.
    wait_until 10 "the run has ended" test -s "$store/small-light/latest/results.json"
    run_suite --shard 1/3 --continue --time-limit 100ms
    expect_status 0
    expect_match err "continuing .*/suites/small-1of3/"
    expect_match out '^Suite small, part 1 of 3: as it should be'
    expect_clean_nodes 2 1
}
the_harness_fails() {
    run ordeal run --suite "$suite" --store "$store" --nodes nowhere.invalid --cell light
    expect_status 255
    expect_match err 'the harness failed, so once more \(1 of 1\): .*cannot resolve'
    expect_match out 'tried again, since the harness failed: '
    expect_json "$(newest_suite small)/summary.json" '^\.cells\.0\.outcome "failed"' '^\.cells\.0\.runs\.0\.attempts 2'
}
bad_suites() {
    sed 's/"rate": 500/"rte": 500/' "$suite" >"$work/bad.json"
    run ordeal run --suite "$work/bad.json" --store "$work/unmade"
    expect_problem 254 "bad.json:4: a plan has no field 'rte'; did you mean 'rate'"
    run ordeal run --suite "$suite" plan.json --store "$work/unmade"
    expect_problem 254 "'plan.json' beside --suite"
    run ordeal run --shard 1/2 --store "$work/unmade"
    expect_problem 254 '--shard: this is an option of suites'
    run ordeal run --suite "$suite" --shard 3 --store "$work/unmade"
    expect_problem 254 "--shard: '3' is not I/N"
    run ordeal run --suite "$suite" --cell nobody --store "$work/unmade"
    expect_problem 254 "no cell is called like 'nobody'; there are light, heavy, wrong"
    [ ! -e "$work/unmade" ] || fail "a store was made"
}

raise nodes 2
it "every cell is run and kept, and one summary tells" all_cells_and_a_summary
it "an interrupt ends the run and the suite, which can go on" interrupted_and_continued
it "a suite that is killed takes its run with it" killed_in_the_middle
it "what the harness fails at is tried again, and told" the_harness_fails
it "bad suites" bad_suites
it "nothing is left behind" nothing_is_left
finish
