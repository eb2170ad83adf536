#!/bin/bash
# The pages of ordeal serve in a real browser: a store with sound, damaged, cut and hostile runs and one that goes on; and one of thousands.
. "$ORDEAL_SOURCE/tests/browser/setup.sh"
histories=$ORDEAL_SOURCE/tests/histories store=$ROOM/store
rm -rf "$store" "$ROOM/many"
in_store() { # TEST TIME RUN: as a run of that name
    mkdir -p "$store/$1"; mv "$ROOM/runs/$3" "$store/$1/$2"
}
stored served-stale "$histories/cas-register/invalid/keyed-stale.edn"
in_store register 20261121T083015.123Z served-stale
stored served-valid "$(ls "$histories"/cas-register/valid/*.edn | head -1)"
in_store register 20261121T083016.000Z served-valid
node "$ROOM/made.mjs" hostile >"$ROOM/hostile.edn"
stored served-hostile "$ROOM/hostile.edn" --checker stats
in_store '<b>"hostile' 20261121T083017.000Z served-hostile
cp -r "$store/register/20261121T083016.000Z" "$store/register/20261121T083018.000Z"
truncate -s 40 "$store/register/20261121T083018.000Z/results.json"
mkdir -p "$store/register/20261121T083019.000Z" "$store/going/20261121T083020.000Z"
echo '{"system": "etcd"}' >"$store/register/20261121T083019.000Z/plan.json"
touch -d '2 hours ago' "$store/register/20261121T083019.000Z/plan.json"
cp "$store/register/20261121T083015.123Z/history.ordeal" "$store/going/20261121T083020.000Z/"
node "$ROOM/made.mjs" many "$store/register/20261121T083016.000Z/results.json"
cd "$ROOM"
node --test --test-reporter=tap --test-concurrency=1 serve_test.mjs
