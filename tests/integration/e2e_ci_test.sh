#!/bin/bash
# docs/ci.md: its suite, and every command of its jobs as it stands there, on a cluster of this test's.
. "$ORDEAL_SOURCE/tests/lib/tap.sh"
need_cluster
need_etcd
page=$ORDEAL_SOURCE/docs/ci.md

# Commands of ordeal's in the page's blocks, without what the CI's language puts around them.
commands() {
    sed -n '/^```\(yaml\|groovy\|sh\)$/,/^```$/p' "$page" | grep 'ordeal \(run\|report\)\|summary\.md' |
        sed "s/^ *\(- \)*//; s/^run: //; s/^sh '\(.*\)'$/\1/; s/\${{ matrix.shard }}/1/g; s/sudo //g"
}
# Shorter than the page's, and on a cluster of ours.
follow() { # COMMAND
    local command=$1 faster="--cluster $(cluster_name ci) --time-limit 1s --nemesis-interval 500ms --nemesis-duration 300ms --rate 100"
    [[ $command == 'ordeal run'* && $command != *--system* ]] && faster="$faster --seed 1"
    [[ $command == 'ordeal run'*suite.json* && $command != *--shard* ]] && faster="$faster --cell 'register-*'"
    [[ $command == 'ordeal run'* ]] && command="$command $faster"
    run bash -c "$command"
    # In so short a run it may be that too little was tested: that is unknown, and no mistake of the page's.
    [ "$status" -eq 0 ] || { [[ $command == 'ordeal run'* ]] && [ "$status" -eq 2 ]; } ||
        fail "the page's command ended with status $status: $1"
}
the_commands_work() {
    mkdir ci && sed -n '/^```json$/,/^```$/p' "$page" | grep -v '^```' >ci/suite.json
    export CI_NODE_INDEX=2 CI_NODE_TOTAL=4 GITHUB_STEP_SUMMARY=$work/summary
    mapfile -t lines < <(commands)
    [ "${#lines[@]}" -eq 9 ] || fail "the page has ${#lines[@]} commands: ${lines[*]}"
    for line in "${lines[@]}"; do
        case $line in
        *--continue*) ;; # of the suite before
        *'suite.json'*) rm -rf store ;; # a job begins without any
        esac
        follow "$line"
    done
    expect_match summary 'ci'
    expect_file junit.xml
}
what_the_jobs_keep_is_there() {
    for file in summary.html summary.md junit.xml; do expect_file store/suites/latest/$file store/suites/ci/2*/$file; done
}
an_invalid_run_is_annotated() {
    cat >broken.json <<'END'
{"name": "broken", "plan": {"system": "noop", "workload": "noop", "checkers": "set", "nemesis": "none", "local": 1, "time-limit": "100ms"}}
END
    run ordeal run --suite broken.json --cluster "$(cluster_name ci1)" --store bad
    [ "$status" -eq 1 ] || [ "$status" -eq 2 ] || fail "status $status"
    run ordeal report bad/broken-*/2* --format github
    expect_match out '^::(error|warning) title=set'
}

raise ci 3
it "every command of the page works, in its order" the_commands_work
it "what jobs keep is there" what_the_jobs_keep_is_there
it "a run that is not valid is annotated" an_invalid_run_is_annotated
it "nothing is left behind" nothing_is_left
finish
