"""The terms that tell a mode from the others, by class-based TF-IDF.

c-TF-IDF of Grootendorst, "BERTopic" (2022): a mode's texts are one document; a term's share of it times
log(1 + mean number of terms of a mode / how often the term is used in all).
"""

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from dedup.modes.names import TEXTS

TERMS = 8
"""So many terms of a mode are kept."""
_VOCABULARY = 20_000
_WORD = r"(?u)\b[^\W\d_][\w'-]+\b"  # begins with a letter: no numbers, no placeholders of digits


def telling_terms(documents: Sequence[Sequence[str]]) -> list[list[str]]:
    """For each mode, given some of its texts, its most telling terms, at most TERMS; may be none."""
    joined = ["\n".join(texts[:TEXTS]) for texts in documents]
    counter = CountVectorizer(
        ngram_range=(1, 2),
        stop_words="english",
        token_pattern=_WORD,
        max_features=_VOCABULARY,
    )
    try:
        counts = counter.fit_transform(joined)
    except ValueError:  # there is not one word in all of them
        return [[] for _ in documents]
    sizes = np.maximum(1, np.asarray(counts.sum(axis=1)).ravel())
    used = np.asarray(counts.sum(axis=0)).ravel()
    weights = np.log(1 + sizes.mean() / used)
    terms = counter.get_feature_names_out()
    found = []
    for row in range(len(joined)):
        start, stop = counts.indptr[row], counts.indptr[row + 1]
        columns = counts.indices[start:stop]
        scores = counts.data[start:stop] / sizes[row] * weights[columns]
        order = np.lexsort((columns, -scores))
        found.append(_distinct([str(terms[columns[place]]) for place in order[: 4 * TERMS]]))
    return found


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
