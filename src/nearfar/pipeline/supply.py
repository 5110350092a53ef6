"""What teachers say of the training texts, computed once in the run folder and handed to the batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nearfar.core.targets import Floats
from nearfar.data.batches import BatchSource, Ids
from nearfar.data.teachers import TeacherScores
from nearfar.pipeline.locality import with_clusters
from nearfar.pipeline.session import Session
from nearfar.pipeline.teacher_vectors import teacher_vectors
from nearfar.pipeline.teachers import TAUGHT, Desk, Teacher, open_teachers, scores_of
from nearfar.train.needs import check_needs

CACHE = "teachers"  # in the run folder's data


def supplied(session: Session) -> BatchSource:
    """The session's training pairs, with what its losses must be told by teachers, and which are near to each other.

    Raises:
        BadInput: the data and the teachers do not say what a loss needs.
    """
    source, needs, config = session.source, session.config.train.needs & TAUGHT, session.config.teachers
    if needs and not session.workers.is_first:
        session.workers.wait_for_first()  # then what it computed is read
    if needs:
        policy = session.space.policy
        teachers = open_teachers(config, policy.device)
        desk = Desk(cache_of(session), policy, session.space.reporter)
        if "teachers" in needs and (found := scores_of(source, teachers, config, session.config.data, desk)):
            source = replace(source, teachers=TeacherScores.of(found, source, config))
        if "teacher_vectors" in needs:
            vectors = _vectors(source, teachers, session.space.encoder.dimension, desk)
            source = replace(source, teacher_vectors=vectors)
    if needs and session.workers.is_first:
        session.workers.wait_for_first()
    check_needs(source, session.config.train)
    return with_clusters(source, session.config.train, session.space, session.workers)


def cache_of(session: Session) -> Path:
    """Where what teachers said is kept."""
    return Path(session.config.teachers.cache or session.folder / "data" / CACHE)


def _vectors(source: BatchSource, teachers: Sequence[Teacher], dimension: int, desk: Desk) -> tuple[Floats, Floats]:
    """Vectors of all training texts in their numbering, (texts, t), as queries and as documents."""
    queries = np.unique(source.queries)
    documents = np.unique(np.concatenate([source.documents, source.negatives.values]))
    asked, answering = ([source.texts[i] for i in side] for side in (queries, documents))
    found = teacher_vectors(asked, answering, teachers, dimension, desk)
    count = len(source.texts)
    return _placed(found.queries, queries, count), _placed(found.documents, documents, count)


def _placed(vectors: Floats, rows: Ids, count: int) -> Floats:
    placed = np.zeros((count, vectors.shape[1]), np.float32)
    placed[rows] = vectors
    return placed
