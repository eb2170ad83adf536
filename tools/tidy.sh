#!/bin/bash
# tools/tidy.sh: style and structure, checked. Prints every complaint; fails when there is one.
cd "$(dirname "$0")/.." || exit 1
failed=0
complain() { echo "tidy: $*"; failed=1; }
sources=$(git ls-files '*.c' '*.h')

# Format.
if command -v clang-format >/dev/null; then
    for file in $(echo "$sources" | xargs -P"$(nproc)" -n 40 clang-format --dry-run 2>&1 | sed -n 's/:[0-9]*:[0-9]*: warning: .*//p' | sort -u); do
        complain "$file: not as clang-format has it (make format)"
    done
else
    complain "clang-format is not installed (tools/deps.sh dev)"
fi

# Nothing at the top but what the map names: a test that is run by hand leaves its files where it was started.
stray=$(git ls-files | cut -d/ -f1 | sort -u | grep -vxE '\.(ci|clang-format|gitignore)|(CONTRIBUTING|README)\.md|LICENSE|Makefile|harness|nemeses|checkers|workloads|reports|queue|tests|tools|docs|examples')
[ -n "$stray" ] && complain "at the top there is what belongs nowhere:" $stray

# Dependencies run one way: plug-ins -> harness/*.h -> harness/base; a plug-in never includes another's folder.
includes() { grep -n '^#include "' "$@" /dev/null | sed 's/:\([0-9]*\):#include "\([^"]*\)".*/ \1 \2/'; }
while read -r file line target; do
    from=${file%/*}; to=${target%/*}
    case $from in
    harness/base) [ "$to" = harness/base ] || complain "$file:$line: harness/base may not include $target" ;;
    harness/agent) case $to in harness/base | harness/agent) ;; *) complain "$file:$line: the agent may not include $target" ;; esac ;;
    harness | harness/cluster | harness/cli | harness/generators | harness/histories | harness/remote | harness/schedules | harness/suites | harness/inventories) case $target in
        nemeses/* | checkers/* | workloads/* | reports/* | queue/*) complain "$file:$line: the core knows plug-ins only through their tables, not $target" ;; esac ;;
    nemeses | checkers* | workloads* | reports*) case $target in
        harness/*) ;;
        "${from%%/*}"/*) ;;
        *) complain "$file:$line: a plug-in may not include $target" ;; esac ;;
    queue) case $target in queue/*) ;; *) complain "$file:$line: queue includes only queue, not $target" ;; esac ;;
    esac
done < <(includes $(echo "$sources" | grep -v '^tests/'))

# A library is met in one place.
one_place() { # HEADER PLACE-REGEX
    grep -ln "#include <$1" $sources | grep -Ev "$2" | while read -r file; do echo "tidy: $file: <$1> is met in $2 only"; done
}
met=$(one_place cJSON.h '^harness/base/json\.c$'; one_place libssh2.h '^harness/remote/(remote_ssh|ssh_)[a-z_]*\.[ch]$|^tests/'; one_place curl/curl.h '^workloads/http\.c$|^nemeses/ec2_api\.c$|^tests/'
    one_place hiredis.h '^workloads/redis\.c$|^tests/'; one_place microhttpd.h '^reports/serve/http\.c$|^tests/'; one_place yaml.h '^harness/inventories/ansible_yaml\.c$'; one_place archive.h '^reports/serve/files\.c$'; one_place zlib.h '^reports/page_pack\.c$')
[ -n "$met" ] && { echo "$met"; failed=1; }

# Lines, debts, long files.
grep -nE '.{101,}' $sources | sed 's/^/tidy: longer than 100 columns: /' | grep . && failed=1
grep -nwE 'TODO|FIXME|XXX|HACK' $sources | sed 's/^/tidy: a debt: /' | grep . && failed=1
while read -r lines file; do
    [ "$file" != total ] && [ "$lines" -gt 800 ] && complain "$file: $lines lines; split it by subject (800 at most)"
done < <(wc -l $(echo "$sources" | grep -v '^tests/'))

# The page's bundle is built from what is there.
tools/page.sh check 2>/dev/null || complain "reports/page/built is older than its sources (make page)"

# Every file is named in the map; every man page is clean.
map=$(<docs/architecture.md)
for file in $(echo "$sources" | grep -E '^(harness|nemeses|checkers|workloads|reports)/.*\.c$'); do
    name=${file##*/}; name=${name%.c}
    [[ $map == *"$name"* ]] || complain "$file: docs/architecture.md does not say what it is for"
done
for page in docs/man/*.[1-8]; do
    [ -e "$page" ] || continue
    if command -v mandoc >/dev/null; then mandoc -Tlint -Wwarning "$page" || failed=1; else complain "mandoc is not installed (tools/deps.sh dev)"; fi
done
for table in nemeses/nemeses.h workloads/workloads.h workloads/systems/systems.h checkers/checkers.h checkers/models/models.h reports/reports.h; do
    for name in $(sed -n '/^#define [A-Z]*(X[,)]/,/[^\\]$/p' $table | grep -oE 'X\([a-z_]+\)' | sed 's/X(\(.*\))/\1/; s/_/-/g' | sort -u); do
        grep -qE "^\.It (Cm|Ic|Sy) $name( |$)" docs/man/*.[1-8] || complain "$table: $name has no entry in docs/man"
    done
done
page=docs/man/ordeal-queue.8
for name in $(sed -n '/settings\[\] = {/,/^};/s/^ *{"\([a-z-]*\)".*/\1/p' queue/config.c); do
    grep -q "^\.It Fl -$name\( \|$\)" $page || complain "queue/config.c: $name has no entry in $page"
done
for name in $(grep -hoE '(\.name = |IDS\(|READ\(|LOCAL\()"[A-Z]+"' queue/commands_*.c | sed 's/.*"\(.*\)"/\1/'); do
    grep -q "^\.It Ic $name\( \|$\)" $page || complain "queue: the command $name has no entry in $page"
done
[ $failed -eq 0 ] && echo "tidy: nothing to complain of"
exit $failed
