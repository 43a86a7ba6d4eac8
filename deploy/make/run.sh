#!/bin/sh
# Starts all four services on the embedded default, sends traces once they answer, says where to
# look, and stays until Ctrl-C. What is under .evalratchet/ is kept: the next run continues.
set -eu

evalratchet=.venv/bin/evalratchet
export EVALRATCHET_SETTLE_SECONDS="${EVALRATCHET_SETTLE_SECONDS:-1}"

if [ $# -gt 0 ]; then
    traces=$*
    for file in $traces; do
        [ -r "$file" ] || { echo "run: there is no file $file; say TRACES=path/to/traces.jsonl" >&2; exit 2; }
    done
else
    traces=${EVALRATCHET_HOME:-.evalratchet}/demo/traces.jsonl
    mkdir -p "$(dirname "$traces")"
    echo "==> run: asking the demo support agent (deploy/demo) its questions"
    .venv/bin/python deploy/demo/record.py --out "$traces"
fi

"$evalratchet" up &
up=$!
trap 'kill -TERM $up 2>/dev/null || true; wait $up || true; exit 0' INT TERM

# wait until it answers, or has given up and said why
.venv/bin/python - "$up" <<'PY'
import os, sys, time, urllib.error, urllib.request

url = f"http://{os.environ.get('EVALRATCHET_LISTEN', '127.0.0.1:8321')}/readyz"
while os.path.exists(f"/proc/{sys.argv[1]}"):
    try:
        urllib.request.urlopen(url, timeout=5).close()
        break
    except (urllib.error.URLError, OSError):
        time.sleep(0.1)
PY
kill -0 $up 2>/dev/null || wait $up

# shellcheck disable=SC2086 - several files on purpose
if "$evalratchet" send --wait $traces; then
    echo
    "$evalratchet" status
    echo
    "$evalratchet" cases list --limit 10
    echo
    echo "==> run: everything is in. Stop with Ctrl-C; \`make run\` continues where this stopped."
else
    echo "run: the traces were not all taken; the lines above say which and why" >&2
fi

wait $up
