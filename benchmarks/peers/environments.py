"""Environments that the peers are installed into: outside the repository, once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_PACKAGES = {
    "mlflow": "mlflow>=3",
    "phoenix": "arize-phoenix",
    "semhash": "semhash",
    "bertopic": "bertopic",
}
_ROOT = Path(__file__).resolve().parents[2]


def installed(folder: Path, name: str) -> Path:
    """The folder of a peer's commands; installs the newest version where there is none yet."""
    binaries = (folder / name).absolute() / "bin"
    return _with(folder, name, binaries / name)


def interpreter(folder: Path, name: str) -> Path:
    """The Python of a peer that is a library; installs the newest version where there is none yet."""
    environment = (folder / name).absolute()
    library = next(environment.glob("lib/python*/site-packages"), environment)
    return _with(folder, name, library / name) / "python"


def _with(folder: Path, name: str, sign: Path) -> Path:
    environment = (folder / name).absolute()
    binaries = environment / "bin"
    if not sign.exists():
        print(f"installing {_PACKAGES[name]} into {environment}", flush=True)
        uv = _uv()
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True
        )
        where = ["--python", str(binaries / "python")]
        subprocess.run([uv, "pip", "install", "--quiet", *where, _PACKAGES[name]], check=True)
    return binaries


def _uv() -> str:
    own = _ROOT / ".uv" / "bin" / "uv"
    found = str(own) if os.access(own, os.X_OK) else shutil.which("uv")
    if found is None:
        message = "uv is not there: `make setup` installs it into .uv"
        raise SystemExit(message)
    return found
