"""The line before training says what the batches will be."""

import numpy as np
import pytest
from batches_of_tokens import policy

from nearfar.data.batches import batch_source
from nearfar.data.read import from_records
from nearfar.encoder.encode import open_store
from nearfar.train.config import TrainConfig
from nearfar.train.data import training_data
from nearfar.train.estimate import estimate
from tiny_models import pairs, tiny_static


@pytest.mark.parametrize(("batch_size", "batches"), [(2, 20), (7, 6), (32, 2), (39, 1), (100, 1)])
def test_negatives_are_those_of_the_largest_batch_there_is(batch_size, batches):
    encoder = tiny_static()
    config = TrainConfig(batch_size=batch_size, epochs=3)
    data = training_data(batch_source(from_records(pairs(39))), encoder, open_store(encoder), config)

    found = estimate(encoder, data, config, policy())

    epoch = [data.source.batch(numbers, 0, (0,)) for numbers in data.sampler.epoch(0)]
    largest = max(len(np.setdiff1d(texts.documents, data.source.known[int(query)]))
                  for texts in epoch for query in texts.queries)  # fmt: skip
    assert found.negatives == largest
    assert found.steps == 3 * batches == 3 * len(epoch)
