#!/bin/sh
# Writes requirements/*.txt: names, versions and hashes, and no address they were fetched from, so
# that the project is tied to no registry.
set -eu
export UV_SYSTEM_CERTS=true
compile() {
    .uv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-header "$@"
}
compile --upgrade requirements/uv.in -o requirements/uv.txt
compile --upgrade pyproject.toml --group dev -o requirements/dev.txt
compile pyproject.toml -c requirements/dev.txt -o requirements/run.txt
