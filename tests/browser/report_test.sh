#!/bin/bash
# report.html in a real browser: runs judged here, of recorded histories and of a million operations made up.
. "$ORDEAL_SOURCE/tests/browser/setup.sh"
histories=$ORDEAL_SOURCE/tests/histories
stored stale "$histories/cas-register/invalid/keyed-stale.edn"
stored lost "$histories/queue/invalid/lost.edn" --checker delivery --promise no-loss
stored mutex "$histories/mutex/invalid/held-twice.edn" --model mutex
stored valid "$(ls "$histories"/cas-register/valid/*.edn | head -1)"
: >"$ROOM/empty.edn"
stored empty "$ROOM/empty.edn" --checker stats
node "$ROOM/made.mjs" cycle >"$ROOM/cycle.edn"
stored cycle "$ROOM/cycle.edn" --checker transactions
mkdir -p "$ROOM/runs/cycle/nodes/n2"
node "$ROOM/made.mjs" logged "$ROOM/runs/cycle/results.json" >"$ROOM/runs/cycle/nodes/n2/db.log"
"$ORDEAL" report "$ROOM/runs/cycle" --format html -o "$ROOM/runs/cycle/report.html"
node "$ROOM/made.mjs" hostile >"$ROOM/hostile.edn"
stored hostile "$ROOM/hostile.edn" --checker stats,linearizable --keyed yes
node "$ROOM/made.mjs" large 150000 >"$ROOM/medium.edn"
stored medium "$ROOM/medium.edn" --checker stats
node "$ROOM/made.mjs" large 1000000 >"$ROOM/large.edn"
stored large "$ROOM/large.edn" --checker stats,linearizable --time 10s
rm -f "$ROOM/large.edn"
cd "$ROOM"
node --test --test-reporter=tap --test-concurrency=1 page_test.mjs data_test.mjs schema_test.mjs report_test.mjs
