#!/bin/bash
# tools/page.sh build|check|install: the script of report.html, from reports/page to reports/page/built. What is built is kept
# in git, so that nobody needs Node.js to build ordeal; `check` needs none either: it compares the sum of the sources with the
# one that the bundle carries. `build` installs what reports/page/package-lock.json names, under build/.
set -eu
cd "$(dirname "$0")/.."
page=reports/page built=reports/page/built
sources=$(ls $page/*.js $page/*.css $page/package.json $page/package-lock.json tools/page.sh | LC_ALL=C sort)
sum() { cat $sources | sha256sum | cut -c1-64; }

case ${1:-} in
build)
    mkdir -p build/page $built
    cp $page/*.js $page/*.css $page/package.json $page/package-lock.json build/page/
    (cd build/page && npm ci --silent --no-audit --no-fund)
    banner="/* ordeal's page; made by tools/page.sh of sources with the sum $(sum); with uPlot, MIT License, Copyright (c) Leon Sorokin */"
    common=(--bundle --minify --charset=utf8 --target=chrome103,firefox113,safari16.4 --log-level=warning --legal-comments=none)
    (cd build/page && ./node_modules/.bin/esbuild main.js "${common[@]}" --format=iife --banner:js="$banner" --outfile=out/page.js &&
        ./node_modules/.bin/esbuild page.css "${common[@]}" --outfile=out/page.css)
    grep -q '</script' build/page/out/page.js && { echo "page.sh: the bundle contains '</script'" >&2; exit 1; }
    cp build/page/out/page.js build/page/out/page.css $built/ ;;
check)
    grep -q "$(sum)" $built/page.js || { echo "$built is older than its sources: tools/page.sh build" >&2; exit 1; } ;;
*) echo "tools/page.sh: '${1:-}' is none of build, check" >&2; exit 1 ;;
esac
