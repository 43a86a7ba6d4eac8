#!/bin/sh
# Installs what the tests start for themselves: PostgreSQL, Chromium and Node.js from Debian, Kafka's
# jars through Maven. What is there already is left as it is.
set -eu

missing=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
[ -x /usr/bin/chromium ] || missing="$missing chromium"
command -v node >/dev/null 2>&1 || missing="$missing nodejs"
command -v npm >/dev/null 2>&1 || missing="$missing npm"
command -v java >/dev/null 2>&1 || missing="$missing openjdk-17-jre-headless"
command -v mvn >/dev/null 2>&1 || missing="$missing maven"

if [ -n "$missing" ]; then
    echo "==> test servers: installing from Debian:$missing"
    if [ "$(id -u)" != 0 ]; then
        echo "test servers: not root; install these yourself, then try again:$missing" >&2
        exit 1
    fi
    log=$(mktemp)
    # shellcheck disable=SC2086 - several words on purpose
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1; then
        cat "$log" >&2
        exit 1
    fi
    rm -f "$log"
fi

echo "==> test servers: Kafka's jars, through Maven"
"${PYTHON:-python3}" deploy/kafka/local_kafka.py fetch
