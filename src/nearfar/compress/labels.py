"""Queries that somebody gave an answer to: what codecs learn from that need labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nearfar.compress.codec import Sample
from nearfar.core.ragged import Ragged


def labelled(sample: Sample) -> Sample:
    """The sample with those queries alone that have a document; none where it has no labels."""
    known = Ragged.of([[]] * len(sample.queries)) if sample.positives is None else sample.positives
    rows = np.flatnonzero(known.lengths)
    return replace(sample, queries=sample.queries[rows], positives=known.take(rows))
