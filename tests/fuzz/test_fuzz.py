import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.slow
def test_no_bytes_make_a_decoder_do_anything_but_refuse(tmp_path: Path) -> None:
    """A few seconds from a fixed seed; CONTRIBUTING.md says how to go on for longer."""
    arguments = [
        "-atheris_runs=200000",
        "-seed=4",
        "-max_len=4096",
        "-timeout=10",
        "-rss_limit_mb=2048",
    ]
    run = subprocess.run(
        [sys.executable, HERE / "fuzz_decoders.py", *arguments, tmp_path / "corpus"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "Done 200000" in run.stderr
