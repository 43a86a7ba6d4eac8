"""The agent: guard, understanding, tools, answer. One object serves one conversation."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supportdesk.chance import choose
from supportdesk.guard import refuses
from supportdesk.help_centre import find_page
from supportdesk.tools import Toolbox
from supportdesk.transcript import Transcript
from supportdesk.understanding import NEEDS_ORDER, Request, read_amount, understand
from supportdesk.wording import WORDINGS


@dataclass
class Memory:
    """What the agent remembers from earlier turns."""

    order: str | None = None
    intent: str | None = None


class Agent:
    """Answers one signed-in customer."""

    def __init__(self, tools: Toolbox, customer: str, transcript: Transcript) -> None:
        self._tools = tools
        self._customer = customer
        self._transcript = transcript
        self._memory = Memory()

    def answer(self, text: str) -> str:
        """Serve one message, writing down every step, and say what was answered."""
        self._transcript.user(text)
        reply = self._say("refusal") if refuses(text) else self._serve(text)
        self._transcript.assistant(reply)
        return reply

    def _serve(self, text: str) -> str:
        request = understand(text)
        self._remember(request)
        intent = request.intent or self._follow_up(request)
        if intent in NEEDS_ORDER:
            self._memory.intent = intent
            if self._memory.order is None:
                return self._say("which_order")
        return self._act(intent, text, request)

    def _act(self, intent: str | None, text: str, request: Request) -> str:
        """Do what is asked; what is not an action is a question to the help centre."""
        actions: dict[str, Callable[[], str]] = {
            "track": self._track,
            "stock": lambda: self._stock(text),
            "reschedule": lambda: self._reschedule(request),
            "refund": lambda: self._refund(request),
            "order": self._order,
            "export": self._export,
            "subscription": self._cancel,
        }
        action = actions.get(intent) if intent else None
        return action() if action else self._help(text)

    def _remember(self, request: Request) -> None:
        """Keep the order that is talked about.

        Defect `sticky_order`: the first one is never replaced, so that a question about a second
        order is answered with the first.
        """
        if self._memory.order is None:
            self._memory.order = request.order

    def _follow_up(self, request: Request) -> str | None:
        """A bare order number continues what was asked before."""
        return self._memory.intent if request.order else None

    def _say(self, key: str, **facts: Any) -> str:
        seed, place = self._transcript.seed, len(self._transcript.steps)
        return choose(WORDINGS[key], seed, self._transcript.key, place).format(**facts)

    def _call(self, tool: str, **arguments: Any) -> str | None:
        """What the tool returned, or None when it failed."""
        result = self._tools.call(tool, arguments)
        self._transcript.tool(tool, arguments, result)
        return None if result.failed else result.content

    def _tell(self, found: str | None, good: str, bad: str) -> str:
        return self._say(bad) if found is None else self._say(good, **json.loads(found))

    def _track(self) -> str:
        return self._tell(self._call("track_parcel", order=self._memory.order), "place", "no_place")

    def _stock(self, text: str) -> str:
        found = self._call("find_product", query=text)
        if found is None:
            return self._say("no_idea")
        product = json.loads(found)
        units = json.loads(self._call("check_stock", sku=product["sku"]) or "{}")
        if not units.get("units"):
            return self._say("sold_out", **product)
        return self._say("in_stock", **product, units=units["units"])

    def _reschedule(self, request: Request) -> str:
        """Defect `date_as_written`: the day goes to the tool as the customer wrote it."""
        moved = self._call("reschedule_delivery", order=self._memory.order, date=request.date)
        return self._tell(moved, "moved", "not_moved")

    def _refund(self, request: Request) -> str:
        amount = read_amount(request.amount or "")
        paid = self._call("issue_refund", order=self._memory.order, amount=amount)
        return self._tell(paid, "refunded", "not_refunded")

    def _order(self) -> str:
        found = self._call("get_order", order=self._memory.order)
        if found is None:
            return self._say("no_idea")
        record = json.loads(found)
        return self._say("order", **{**record, "items": ", ".join(record["items"])})

    def _export(self) -> str:
        return self._call("export_orders", customer=self._customer) or self._say("no_idea")

    def _cancel(self) -> str:
        done = self._call("cancel_subscription", customer=self._customer)
        return self._tell(done, "cancelled", "no_idea")

    def _help(self, text: str) -> str:
        page = find_page(text)
        self._transcript.retrieval(text, page.text if page else None)
        return self._say("help", text=page.text) if page else self._say("no_idea")
