"""The examples at the end of every command's help."""


def examples(*commands: str, after: str = "") -> str:
    """An epilog that shows commands as they are typed, one a line, and a closing sentence."""
    shown = "\n".join(f"  {command}".replace("[", r"\[") for command in commands)
    title = "Examples:" if len(commands) > 1 else "Example:"
    return "\n\n".join(filter(None, [f"{title}\n{shown}", after]))
