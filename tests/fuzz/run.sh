#!/bin/bash
# tests/fuzz/run.sh SECONDS [TARGET...]: builds the fuzz targets with clang's libFuzzer and sanitizers into
# build/fuzz and runs each for SECONDS, beginning with its corpus. What it finds new stays under build/fuzz/new;
# a crash is left in build/fuzz/crashes, named, and fails the run.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}; shift
command -v clang >/dev/null || { echo "fuzzing needs clang"; exit 1; }
mkdir -p build/fuzz/crashes
make -s -j"$(nproc)" CC=clang B=build/fuzz CFLAGS="-O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" \
    LDFLAGS="-fsanitize=address,undefined" build/fuzz/libordeal.a build/fuzz/libqueue.a || exit 1
targets=${*:-$(basename -s .c tests/fuzz/*_fuzz.c)}
libraries=$(pkg-config --libs libcurl libssh2 libcjson yaml-0.1)
status=0
for target in $targets; do
    name=${target%_fuzz}
    corpus=tests/fuzz/corpus/$name new=build/fuzz/new/$name
    mkdir -p "$new"
    case $name in
    queue_*) parts="tests/queue/lib/disk_shim.c build/fuzz/libqueue.a" ;;
    delivery) parts="tests/lib/delivery_compare.c tests/lib/delivery_oracle.c build/fuzz/libordeal.a" ;;
    *) parts=build/fuzz/libordeal.a ;;
    esac
    # shellcheck disable=SC2086
    clang -std=gnu11 -D_GNU_SOURCE -I. -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -pthread \
        -o "build/fuzz/$target" "tests/fuzz/$target.c" $parts $libraries -lssl -lcrypto -lm -ldl || exit 1
    echo "== $target: $seconds s"
    if ! "build/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/crashes/$name-" "$new" "$corpus" >"build/fuzz/$target.log" 2>&1; then
        status=1
        echo "FAILED $target: see build/fuzz/$target.log"
        tail -n 40 "build/fuzz/$target.log"
    else
        grep -E 'stat::number_of_executed_units|stat::new_units_added|stat::peak_rss_mb' "build/fuzz/$target.log"
    fi
done
exit $status
