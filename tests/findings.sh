#!/bin/bash
# tests/findings.sh [SUITE..]: runs the suites of tests/findings (all, or those named) and writes what they show into
# docs/findings.md, a section a suite; sections of suites that were not run now stay as they are. An interrupted run
# goes on where it was, until FINDINGS_STORE is removed. As root; minutes a cell.
set -u
cd "$(dirname "$0")/.." || exit 1
store=${FINDINGS_STORE:-build/findings}
page=docs/findings.md
worst=0
names=${*:-$(for file in tests/findings/*.json; do basename "$file" .json; done)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The worst wins: the harness failed, invalid, unknown, valid.
worse() { for one in 255 254 1 2; do case " $1 $2 " in *" $one "*) echo $one; return ;; esac; done; echo 0; }

for name in $names; do
    file=tests/findings/$name.json
    [ -e "$file" ] || { echo "findings: there is no $file" >&2; exit 254; }
    # Options for all runs, such as FINDINGS_OPTIONS='--cluster mine --time-limit 60s'.
    # shellcheck disable=SC2086
    ./ordeal run --suite "$file" --store "$store" --continue ${FINDINGS_OPTIONS:-}
    status=$?
    worst=$(worse $worst $status)
    summary=$store/suites/$name/latest
    [ -e "$summary/summary.json" ] || continue
    {
        ./ordeal report "$summary" --format markdown
        echo
        echo "Made by \`make findings FINDINGS=$name\` on $(date -u +%Y-%m-%d), commit $(git describe --always --dirty), with $(nproc) processors."
    } >"$work/$name.md" || exit 255
done

section() { # NAME: of the page as it is
    [ -e "$page" ] && awk -v head="## $1" '/^## / { inside = $0 == head } inside' "$page"
}
{
    cat <<'END'
# Findings

What ordeal finds in systems as they are packaged, and what it finds to hold. `make findings` writes this page from the
results of the suites in [tests/findings](../tests/findings); nothing here is written by hand, and nothing is left out.

*Expected* is what the suite says that the runs show; *found* is whether they agreed, and the first anomaly (or the verdict)
in the checker's words; *rate* counts the runs that showed what is expected; *seed* is the first that did, or the first that
did not where a cell disagrees.
END
    for file in tests/findings/*.json; do
        name=$(basename "$file" .json)
        echo
        if [ -e "$work/$name.md" ]; then cat "$work/$name.md"; else section "$name" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'; fi
    done
} >"$work/page" && cat -s "$work/page" >"$page"
echo "written: $page"
exit "$worst"
