#!/bin/bash
# tools/coverage.sh BUILD: line coverage of the quick tests, file by file, from gcov's counts.
cd "$(dirname "$0")/.." || exit 1
build=${1:-build/coverage}
find "$build" -name '*.gcda' ! -path '*/tests/*' | while read -r data; do
    gcov -n -o "$(dirname "$data")" "$data" 2>/dev/null
done | awk -F"'" '/^File/ {file = $2} /^Lines executed/ {split($0, a, /[:% ]+/); if (file ~ /^(harness|nemeses|checkers|workloads|reports)/) print a[3] "%", file}' |
    sort -n | uniq
