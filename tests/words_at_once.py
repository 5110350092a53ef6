"""The search by words that every index is held against: over segments that were made at once (tests/text)."""

import numpy as np

from nearfar.text.postings import Postings
from nearfar.text.segmented_bm25 import SegmentedBM25


def words_at_once(texts):
    return SegmentedBM25.over([Postings.of(texts)], [np.arange(len(texts), dtype=np.int32)])
