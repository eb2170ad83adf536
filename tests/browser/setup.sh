# Sourced by the browser tests: what they need, under build/browser. Sets ROOM, where they put runs and pictures.
set -eu
: "${ORDEAL_SOURCE:?}" "${ORDEAL_BUILD:?}"
here=$ORDEAL_SOURCE/tests/browser ROOM=$ORDEAL_SOURCE/build/browser
ORDEAL=$ORDEAL_BUILD/ordeal
export ROOM ORDEAL
command -v node >/dev/null && command -v npm >/dev/null && command -v chromium >/dev/null || {
    echo "not ok 1 - node, npm and chromium are there (tools/deps.sh browser)"; exit 1; }
mkdir -p "$ROOM/pictures"
cp "$here"/*.mjs "$here/package.json" "$here/package-lock.json" "$ROOM"
cmp -s "$here/package-lock.json" "$ROOM/installed" || {
    (cd "$ROOM" && npm ci --silent --no-audit --no-fund) && cp "$here/package-lock.json" "$ROOM/installed"; }

# stored NAME HISTORY [OPTION..]: a run directory of a recorded history, judged now.
stored() {
    local room=$ROOM/runs/$1 history=$2; shift 2
    rm -rf "$room"; mkdir -p "$room"
    "$ORDEAL" convert "$history" "$room/history.ordeal" >/dev/null
    "$ORDEAL" check "$history" "$@" --json >"$room/results.json" || [ $? -le 2 ]
    "$ORDEAL" report "$room" --format html -o "$room/report.html"
}
