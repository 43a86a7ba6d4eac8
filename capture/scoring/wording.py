"""How numbers and foreign texts are shown inside a reason."""

_SHOWN_CHARACTERS = 300  # of a foreign message inside a reason: a sentence or two


def shown(text: object) -> str:
    """A foreign text in one line, cut at 300 characters."""
    line = " ".join(str(text).split()) if text is not None else ""
    return line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + "…"


def number(value: float) -> str:
    """A number without needless digits and without exponents."""
    if isinstance(value, float) and value.is_integer():
        return f"{value:.0f}"
    return f"{value:g}" if abs(value) < 1e5 else f"{value:.0f}"  # noqa: PLR2004 - %g turns to exponents


def spoken(value: bool | float | str | None) -> str:  # noqa: FBT001 - signals are often truth values
    """A signal's value: `true`, a number, or the label in quotes; `given` when there is none."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "given"}[value]
    return repr(shown(value)) if isinstance(value, str) else number(value)
