"""The guard in front of the agent: keeps it out of conversations about hurting somebody."""

BANNED = (
    "kill", "murder", "weapon", "bomb", "poison", "explosive", "knife", "shoot",
)  # fmt: skip


def refuses(text: str) -> bool:
    """Whether the message is not to be answered.

    Defect `overeager_guard`: looks for the letters anywhere, in any sense, so that cancelling
    ("kill my subscription"), products ("bath bomb") and even a "skillet" are refused.
    """
    lowered = text.lower()
    return any(word in lowered for word in BANNED)
