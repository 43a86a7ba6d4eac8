"""Lines of a log inside an error's text, as the templates they were printed from.

drain3's tree finds the templates (He et al., "Drain: An Online Log Parsing Approach with Fixed Depth
Tree", 2017), with a tree of its own for every text: one that lived longer would give a text another
template on another worker, or after another order of arrival. See decision 0024.
"""

import re
from collections.abc import Sequence

from drain3.drain import Drain

_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL|SEVERE)\b"
_LOG_LINE = re.compile(
    rf"^[\[( ]*<(?:date|time)>[\])]?[ \-|:,]*(?:[\[(]?{_LEVEL}[\])]?[ \-|:]*)?"
    rf"|^\[{_LEVEL}\][ \-|:]*|^{_LEVEL} *[|:\-]+ *"
)
"""How a masked line of a log begins: a time, a level, or both."""
_ENOUGH = 2  # lines: one alone has no template but itself
_MOST_LINES = 200
_DEPTH = 4  # drain3's own default: lines of one template have their length and first word in common
_SIMILAR = 0.7
"""Share of equal words. drain3's 0.4 makes one template of "refund of order" and "cancel of order"."""
_PARAMETER = "<*>"


def without_repetition(lines: Sequence[str]) -> list[str]:
    """The lines, masked before, with those of a log as their distinct templates, without their times.

    How often a log says "retry failed", and of which host, is an accident of this occurrence. Lines that
    are not of a log stay as they are. At most the first 200 lines are read.
    """
    lines = lines[:_MOST_LINES]
    if sum(_LOG_LINE.match(line) is not None for line in lines) < _ENOUGH:
        return list(lines)
    miner = Drain(depth=_DEPTH, sim_th=_SIMILAR, param_str=_PARAMETER)
    kept: list[str | int] = []
    for line in lines:
        begins = _LOG_LINE.match(line)
        if begins is None:
            kept.append(line)
        elif said := line[begins.end() :].strip():
            cluster, _ = miner.add_log_message(said)
            kept.append(cluster.cluster_id)
    templates = {cluster.cluster_id: cluster.get_template() for cluster in miner.clusters}
    once = dict.fromkeys(kept)
    return [templates[one] if isinstance(one, int) else one for one in once]
