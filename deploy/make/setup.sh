#!/bin/sh
# Makes .venv from requirements/dev.txt: exact versions, each file checked against its hash.
# uv installs it in seconds and is itself pinned in requirements/uv.txt. Repeating this is harmless.
set -eu

python=${PYTHON:-python3}
export PIP_DISABLE_PIP_VERSION_CHECK=1
export UV_SYSTEM_CERTS=true # the machine's certificates, so that it also works behind a company's proxy

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "setup: $python is missing or older than 3.11. Say which one: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
fi

if [ ! -x .uv/bin/uv ] || ! cmp -s requirements/uv.txt .uv/installed.txt; then
    echo "==> setup: installing uv, the installer, into .uv"
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        echo "==> setup: this Python cannot make environments; installing Debian's python3-venv"
        apt-get update -q >/dev/null && apt-get install -y -q python3-venv >/dev/null
    fi
    "$python" -m venv --clear .uv
    .uv/bin/pip install -q --require-hashes -r requirements/uv.txt
    cp requirements/uv.txt .uv/installed.txt
fi

echo "==> setup: installing pinned requirements into .venv (torch makes it 6 GB; a minute or two the first time)"
[ -x .venv/bin/python ] || .uv/bin/uv venv -q --python "$python" .venv
.uv/bin/uv pip sync -q --compile-bytecode --python .venv/bin/python --require-hashes requirements/dev.txt
.uv/bin/uv pip install -q --python .venv/bin/python --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q services capture dedup grade promote
touch .venv/.complete
echo "==> setup: done; the command is .venv/bin/evalratchet"
