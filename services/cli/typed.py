"""How the command line is typed where it runs, so that hints can be run as they stand."""

import shutil
import sys
from pathlib import Path

_NAME = "evalratchet"


def own_name() -> str:
    """`evalratchet` where the shell finds this installation by that name, else the path to it."""
    running = Path(sys.argv[0])
    if running.name != _NAME or not running.is_file():
        return _NAME  # run as a module, or from a test
    found = shutil.which(_NAME)
    if found is not None and running.samefile(found):
        return _NAME
    path = running.absolute()
    if not path.is_relative_to(Path.cwd()):
        return str(path)
    relative = path.relative_to(Path.cwd())
    return str(relative) if len(relative.parts) > 1 else f"./{relative}"
