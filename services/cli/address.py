"""Where capture can be reached from this machine."""


def local_url(listen: str) -> str:
    """The address of a listener: HOST:PORT, where every address of the machine means this one."""
    host, _, port = listen.rpartition(":")
    reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "*": "127.0.0.1"}  # noqa: S104 - only read
    return f"http://{reachable.get(host, host)}:{port}"
