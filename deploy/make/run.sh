#!/bin/sh
# Starts all four services on the embedded default, sends traces once they answer, says where to
# look, and stays until Ctrl-C. What is under .evalratchet/ is kept: the next run continues.
set -eu

evalratchet=.venv/bin/evalratchet
export EVALRATCHET_SETTLE_SECONDS="${EVALRATCHET_SETTLE_SECONDS:-1}"

# from the environment or a TOML file: what is in force is what the command itself says
settings=$("$evalratchet" settings --json)
setting() {
    echo "$settings" | .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["settings"][sys.argv[1]])' "$1"
}
home=$(setting home)
address=$(setting listen)

if [ "$(setting embedding_backend)" != sentence-transformers ]; then
    # once, and nothing where it is done: what serves is then small, and ready in a second
    echo "==> run: making sure that the embedding model is compiled (half a minute the first time)"
    "$evalratchet" models compile >/dev/null ||
        echo "run: the model runs as it is, through sentence-transformers, or not at all if EVALRATCHET_EMBEDDING_BACKEND=onnx" >&2
fi

if [ $# -gt 0 ]; then
    for file; do
        [ -f "$file" ] && [ -r "$file" ] || { echo "run: there is no file $file; say TRACES=path/to/traces.jsonl" >&2; exit 2; }
    done
else
    set -- "$home/demo/traces.jsonl"
    mkdir -p "$home/demo"
    echo "==> run: asking the demo support agent (deploy/demo) its questions"
    .venv/bin/python deploy/demo/record.py --out "$1"
fi

answers() {
    .venv/bin/python -c 'import sys, urllib.request; urllib.request.urlopen(f"http://{sys.argv[1]}/readyz", timeout=5)' \
        "$address" 2>/dev/null
}

up=""
if answers; then
    owner=$(cat "$home/capture.lock" 2>/dev/null || true)
    if [ -z "$owner" ] || ! kill -0 "$owner" 2>/dev/null; then
        echo "run: something else answers on $address already. Stop it, or choose another EVALRATCHET_LISTEN." >&2
        exit 1
    fi
    echo "==> run: it is running already (process $owner); sending the traces to it"
else
    "$evalratchet" up &
    up=$!
    trap 'kill -TERM $up 2>/dev/null || true; wait $up || true; exit 0' INT TERM
    until answers; do # or until it has given up and said why
        kill -0 $up 2>/dev/null || { wait $up; exit $?; }
        sleep 0.1
    done
fi

if "$evalratchet" send --wait "$@"; then
    echo
    "$evalratchet" status
    echo
    "$evalratchet" cases list --limit 10
    echo
    echo "==> run: everything is in."
else
    echo "run: the traces were not all taken; the lines above say which and why" >&2
fi

if [ -n "$up" ]; then
    echo "==> run: Ctrl-C stops it; the next \`make run\` continues where this one stopped."
    wait $up
fi
