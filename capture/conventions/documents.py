"""Documents that a retrieval found, in any of the shapes that frameworks have for them, as one."""

from typing import Any

from capture.conventions.shape import decoded

_MOST = 50  # of one retrieval; nobody reads further, and no model was shown more
_DEEPEST = 3  # wrappers within wrappers
_LISTS = ("documents", "docs", "results", "nodes", "matches", "output", "context")
_CONTENT = (
    "content",
    "page_content",  # LangChain
    "pageContent",  # LangChain in JavaScript
    "text",  # LlamaIndex
    "document",  # OpenLLMetry's vector stores
    "entity",  # the same, Milvus
)
_SCORE = ("score", "relevance_score", "relevanceScore", "similarity", "distance")


def documents_of(value: Any, depth: int = 0) -> list[Any] | None:
    """The documents in a value, or None when it has none.

    Each is its text, or an object with `content` and, where told, `score`, `id` and `metadata`.
    """
    value = decoded(value)
    if isinstance(value, dict) and depth < _DEEPEST:
        listed = (value[key] for key in _LISTS if value.get(key))
        return next((found for inner in listed if (found := documents_of(inner, depth + 1))), None)
    if not isinstance(value, list):
        return None
    found = [_document(decoded(item)) for item in value[:_MOST]]
    documents = [document for document in found if document is not None]
    return documents or None


def _document(item: Any) -> Any:
    """One document; text, or an object in which nothing is recognised, as it is."""
    if not isinstance(item, dict):
        return item or None
    outer = item
    inner = item.get("document", item.get("node"))  # OpenInference's; LlamaIndex's with its score
    item = inner if isinstance(inner, dict) else item
    if isinstance(kwargs := item.get("kwargs"), dict):  # LangChain's serialised document
        item = kwargs
    content = next((item[key] for key in _CONTENT if item.get(key) not in (None, "", {})), None)
    score = next(
        (o[k] for k in _SCORE for o in (item, outer) if isinstance(o.get(k), (int, float))), None
    )
    if content is None and score is None:
        return outer
    told = {
        "content": content,
        "score": score,
        "id": item.get("id", item.get("node_id")),
        "metadata": decoded(item.get("metadata")),
    }
    return {name: value for name, value in told.items() if value not in (None, "", {})}
