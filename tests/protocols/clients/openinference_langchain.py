"""LangChain with a retriever, a tool and a model without network, instrumented by OpenInference."""

import exporting
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from openinference.instrumentation import using_session, using_user
from openinference.instrumentation.langchain import LangChainInstrumentor


class Shelf(BaseRetriever):
    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [Document(page_content="Parcels take two days.", metadata={"source": "faq"})]


@tool
def find_order(order: str) -> str:
    """Look an order up."""
    return f"order {order} is sent"


traces = exporting.tracing()
LangChainInstrumentor().instrument()
call = {"name": "find_order", "args": {"order": "8812"}, "id": "call_1"}
usage = {"input_tokens": 11, "output_tokens": 5, "total_tokens": 16}
model = GenericFakeChatModel(
    messages=iter(
        [
            AIMessage(content="", tool_calls=[call], usage_metadata=usage),
            AIMessage(content="It is on its way.", usage_metadata=usage),
        ]
    )
)
shelf = Shelf()


def answer(asked: dict[str, str]) -> str:
    shelf.invoke(asked["question"])
    messages = [HumanMessage(asked["question"])]
    first = model.invoke(messages)
    returned = find_order.invoke({**first.tool_calls[0], "type": "tool_call"})
    return str(model.invoke([*messages, first, returned]).content)


with using_session("s-1"), using_user("u-1"):
    RunnableLambda(answer, name="support").invoke({"question": "Where is my order 8812?"})
traces.shutdown()
