"""Short trainings with small and large batches, which tell whether nDCG still rises with the batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nearfar.core.config import merged
from nearfar.data.dataset import Dataset
from nearfar.pipeline.config import FitConfig
from nearfar.pipeline.probe import Prober
from nearfar.pipeline.progress import Reporter
from nearfar.pipeline.session import open_session
from nearfar.train.distributed import Workers

BATCH_SIZES = (64, 256, 1024)
MOST_PAIRS = 5000  # of a probe: two passes over them take seconds with a token table, minutes with a transformer


def probed(dataset: Dataset, base: str | Path, settings: FitConfig, reporter: Reporter) -> Mapping[int, float]:
    """nDCG@10 of the dev queries by batch size, each trained on the same share of the pairs for as many passes.

    Batches that the pairs cannot fill twice are left out, as are those that fail.

    Raises:
        BadInput: there is nothing to train on.
        Interrupted: Ctrl-C.
    """
    values = merged(settings.model_dump(exclude_unset=True, exclude={"recipe", "stages"}), {"base": str(base)})
    session = open_session(FitConfig.parse(values, "probe"), dataset, None, reporter, Workers())
    prober = Prober(session.instructed(), ("batch_size",))
    share = min(1.0, MOST_PAIRS / len(session.source))
    sizes = [size for size in BATCH_SIZES if 2 * size <= share * len(session.source)]
    found = {size: prober.run({"batch_size": size}, share) for size in sizes}
    return {size: probe.mean for size, probe in found.items() if not probe.problem}
