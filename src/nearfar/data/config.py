"""Settings of reading, cleaning and splitting."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nearfar.core.config import Config
from nearfar.data.select import SelectConfig

FieldName = Literal["query", "positive", "negative", "score", "group", "source", "task", "text", "label"]


class DataConfig(Config):
    source: str | None = None
    """A file (.jsonl, .json, .csv, .tsv, .parquet; .gz too), a folder (BEIR, or train/dev/test files) or a hub name."""
    licence: str | None = None
    """Licence of the data, for the data card; nothing depends on it."""
    columns: dict[FieldName, str] = Field(default_factory=dict)
    """Which column holds a field when its name does not say so, such as {query: title, positive: body}."""
    skip_bad_rows: bool = False
    """Leave out rows that cannot be used, count them and list the first ten, instead of stopping at the first."""
    positive_above: float | None = Field(default=None, allow_inf_nan=False)
    """A scored pair is positive above this score, else a judged negative; unset: half of the highest score seen."""
    select: SelectConfig = SelectConfig()
    """Which training pairs are used."""
    mask_near_duplicates: bool = False
    """Take a document that says nearly the same as an answer for one (Jaccard 0.8 of tokens): no negative of it."""
    drop_leaked: bool = False
    """Leave out training queries that are in dev or test too, but for case and white space."""
    dev_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the queries that go into a dev split when the data has none."""
    test_fraction: float = Field(default=0.1, gt=0, lt=0.5)
    """Share of the queries that go into a test split when the data has none."""
    seed: int = Field(default=0, ge=0)
    """Seed of the splits that are made."""

    def rules(self) -> str:
        """What decides which of the data's pairs and negatives are trained on, for digests."""
        return f"{self.select.model_dump_json()}{self.mask_near_duplicates}"
