#!/bin/sh
# Runs every test in two processes: the tests that start servers or a browser, or take long, and beside
# them all others; the first mostly wait, and not for a processor. What the second says is shown when the
# first is done. Arguments are pytest's; with any there is one process.
set -eu

pytest=.venv/bin/pytest
# a random order, which the sources' content decides: the same content, the same order
tree=$(git rev-parse --short=7 'HEAD^{tree}' 2>/dev/null || echo 1)
seed="--randomly-seed=${SEED:-$(printf %d "0x$tree")}"
[ $# -eq 0 ] || exec "$pytest" "$seed" "$@"

apart="kafka or postgres or browser or slow"
said=$(mktemp)
"$pytest" "$seed" -m "not ($apart)" >"$said" 2>&1 &
others=$!
trap 'kill "$others" 2>/dev/null || true; rm -f "$said"' EXIT
trap 'exit 130' INT TERM

failed=0
"$pytest" "$seed" -m "$apart" || failed=1
echo "==> tests: the others, which ran beside these"
wait "$others" || failed=1
cat "$said"
exit $failed
