"""The training pairs that the settings of the data ask for."""

from __future__ import annotations

from collections.abc import Collection

from nearfar.core.targets import Need
from nearfar.data.batches import BatchSource, batch_source
from nearfar.data.config import DataConfig
from nearfar.data.dataset import Dataset
from nearfar.data.select import selected


def training_pairs(dataset: Dataset, config: DataConfig, told: Collection[Need] = ()) -> BatchSource:
    """Number the texts, mask what is to be masked, keep what is to be kept.

    Raises:
        BadInput: fewer than two different documents are left.
    """
    return selected(batch_source(dataset, told, mask_near_duplicates=config.mask_near_duplicates), config.select)
