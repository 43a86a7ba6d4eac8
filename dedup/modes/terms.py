"""The terms that tell a mode from the others, by class-based TF-IDF.

c-TF-IDF of Grootendorst, "BERTopic" (2022): a mode's texts are one document; a term's share of it times
log(1 + mean number of terms of a mode / how often the term is used in all). Failure texts share
boilerplate (a signal's name, the same apology), which c-TF-IDF still ranks high where modes are few:
a term that the other modes' texts have about as often tells nothing, and is left out.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer

from dedup.modes.names import TEXTS

TERMS = 8
"""So many terms of a mode are kept."""
_VOCABULARY = 20_000
_LIFT = 1.5
"""So many times the share of the other modes' texts must have a term for it to tell something."""
_WORD = r"(?u)\b[^\W\d_][\w'-]+\b"  # begins with a letter: no numbers, no placeholders of digits


_of_line = CountVectorizer(
    ngram_range=(1, 2), stop_words="english", token_pattern=_WORD
).build_analyzer()


def _terms(text: str) -> list[str]:
    """Words and pairs of words; no pair reaches from one part of a failure text into the next."""
    return [term for line in text.splitlines() for term in _of_line(line)]


def telling_terms(documents: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each mode, given some of its texts, its most telling terms, at most TERMS; may be none."""
    texts = [text for document in documents for text in document[:TEXTS]]
    sizes = np.array([min(TEXTS, len(document)) for document in documents])
    counter = CountVectorizer(analyzer=_terms, max_features=_VOCABULARY)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # there is not one word in all of them
        return [[] for _ in documents]
    modes = np.repeat(np.arange(len(documents)), sizes)
    places = np.arange(len(texts))
    belongs = csr_matrix((np.ones(len(texts), np.int64), (modes, places)), (len(sizes), len(texts)))
    weighed = _weighed((belongs @ counts).tocsr())
    having = (belongs @ counts.sign()).tocsr()
    everywhere = np.asarray(having.sum(axis=0)).ravel()
    terms = counter.get_feature_names_out()
    found = []
    for row in range(len(documents)):
        columns, scores = _row(weighed, row)
        told, here = _row(having, row)
        elsewhere = (everywhere[told] - here) / max(1, sizes.sum() - sizes[row])
        telling = here / max(1, sizes[row]) > _LIFT * elsewhere
        if telling.any():
            kept = np.isin(columns, told[telling])
            columns, scores = columns[kept], scores[kept]
        order = np.lexsort((columns, -scores))
        found.append(_distinct([str(terms[columns[place]]) for place in order[: 4 * TERMS]]))
    return found


def _weighed(counts: csr_matrix) -> csr_matrix:
    """c-TF-IDF of how often each mode (row) uses each term (column)."""
    sizes = np.maximum(1, np.asarray(counts.sum(axis=1)).ravel())
    used = np.asarray(counts.sum(axis=0)).ravel()
    shares = counts.multiply(1 / sizes[:, None])
    return shares.multiply(np.log(1 + sizes.mean() / used)[None, :]).tocsr()


def _row(matrix: csr_matrix, row: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns that a row has something in, ascending, and what."""
    start, stop = matrix.indptr[row], matrix.indptr[row + 1]
    order = np.argsort(matrix.indices[start:stop])
    return matrix.indices[start:stop][order], matrix.data[start:stop][order]


def _distinct(terms: Sequence[str]) -> list[str]:
    """Without terms that only repeat words of those before."""
    kept: list[str] = []
    words: set[str] = set()
    for term in terms:
        if not set(term.split()) <= words:
            kept.append(term)
            words.update(term.split())
        if len(kept) == TERMS:
            break
    return kept
