"""Batches as a pure function of seed, step, rank and number of processes.

Nothing is drawn from a state that a restart would lose, so a resumed run sees exactly the batches that an
uninterrupted one would, and the number of workers changes nothing but the speed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from torch.utils.data import DataLoader, Dataset

from amodal.data.config import AugmentConfig
from amodal.data.dataset import Sample, SampleSet
from amodal.data.transforms import augment
from amodal.data.workers import settle
from amodal.errors import UserError

Batch = list[Sample]


@dataclass(frozen=True)
class BatchPlan:
    """Which samples make up the batch of a step.

    Samples are numbered without end over all steps and processes: 0 to batch_size - 1 in step 0, and so on; a process
    takes its consecutive share of each step's. Samples of a data set of `length` are shuffled anew in every epoch.
    """

    batch_size: int
    """Samples of a step in all processes together."""
    seed: int = 0
    length: int | None = None
    """Samples in the data set. None: it never ends, and sample number n is its item n."""
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        """Raises UserError where the processes cannot share a batch evenly, or where there is nothing to share."""
        if self.batch_size < 1 or self.batch_size % self.world_size:
            raise UserError(
                f"a batch of {self.batch_size} cannot be shared evenly by {self.world_size} process(es)",
                remedy="Pass a --batch-size that is a multiple of their number",
            )
        if self.length == 0:
            raise UserError("the data set is empty", remedy="Give one with images")

    def numbers(self, step: int) -> range:
        """The numbers of this process's samples of a step (from 0)."""
        share = self.batch_size // self.world_size
        first = step * self.batch_size + self.rank * share
        return range(first, first + share)

    def index(self, number: int) -> int:
        """The place in the data set of sample `number`."""
        if self.length is None:
            return number
        epoch, place = divmod(number, self.length)
        return int(_permutation(self.seed, epoch, self.length)[place])


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(length)


class StepBatches(Dataset[Batch | UserError]):
    """Item `step` is that step's whole batch, so that one worker prepares it while others prepare the next ones.

    A UserError is handed over as an item: raised in a worker it would reach the user as that worker's traceback.
    """

    def __init__(self, samples: SampleSet, plan: BatchPlan, config: AugmentConfig) -> None:
        self.samples, self.plan, self.config = samples, plan, config

    def __getitem__(self, step: int) -> Batch | UserError:
        try:
            return [self._sample(number) for number in self.plan.numbers(step)]
        except UserError as error:
            return error

    def _sample(self, number: int) -> Sample:
        seed = int(np.random.SeedSequence((self.plan.seed, number)).generate_state(1)[0])
        return augment(self.samples[self.plan.index(number)], self.config, seed)


Item = TypeVar("Item")


def batches(
    items: Dataset[Item | UserError], steps: range, *, workers: int = 0, pin_memory: bool = False
) -> Iterator[Item]:
    """The batches of the given steps, in order, prepared ahead by `workers` processes of one thread each.

    Args:
        items: Batches by step, as `StepBatches` gives them; of what they are does not matter.
        steps: Which ones; a resumed run starts where it was left.
        workers: Processes. 0 prepares each batch when it is asked for.
        pin_memory: Copy the batches to memory that a GPU reads directly.

    Raises:
        UserError: A sample cannot be read.
    """
    loader: DataLoader[Item | UserError] = DataLoader(
        items,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        collate_fn=_unchanged,  # type: ignore[arg-type]
        pin_memory=pin_memory,
        worker_init_fn=settle,
    )
    for batch in loader:
        if isinstance(batch, UserError):
            raise batch
        yield batch


def _unchanged(batch: Item | UserError) -> Item | UserError:
    """Images differ in size and number of objects: a batch stays a list."""
    return batch
