"""A task over parts of the data, on Ray Data: each part becomes a shard in a folder.

Every process opens its task once, with the model in it, and does one part after the other. Ray starts a process that
was lost anew, and gives its part to another; what is done stands in the folder, for this run and the next.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tqdm import tqdm

from amodal.errors import UserError
from amodal.folder_lock import locked
from amodal.scale.cluster import connected
from amodal.scale.shards import About, Existing, ShardFolder

if TYPE_CHECKING:
    import pyarrow as pa


class Task(Protocol):
    """What is done with a part. Can be sent to another machine, where it finds all files under the same paths."""

    @property
    def uses_gpu(self) -> bool:
        """Whether a GPU helps."""
        ...

    def open(self, device: str | None) -> "Callable[[Any], pa.Table]":
        """Loads what it needs, once a process; gives what makes a part's table. Raises UserError."""
        ...


@dataclass(frozen=True)
class Cluster:
    """Where work is done.

    Attributes:
        address: As `amodal.scale.cluster.connected` takes it.
        device: cpu or cuda; None takes GPUs where there are any.
    """

    address: str
    device: str | None = None


def run(
    task: Task, parts: Sequence[Any], shards: ShardFolder, about: About, *, cluster: Cluster, existing: Existing
) -> None:
    """Does the parts of which there is no shard yet.

    Args:
        task: What is done.
        parts: Of all data; part n becomes shard n.
        shards: Where to.
        about: What run it is.
        cluster: Where.
        existing: What becomes of shards that are there.

    Raises:
        UserError: The folder is another run's, or another process is writing there; there is no such cluster, or a part
            could not be done.
    """
    with locked(shards.folder):
        _run(task, parts, shards, about, cluster, existing)


def _run(
    task: Task, parts: Sequence[Any], shards: ShardFolder, about: About, cluster: Cluster, existing: Existing
) -> None:
    """As `run`, with nobody else in the folder."""
    missing = shards.plan(about, existing)
    if not missing:
        return
    with connected(cluster.address) as ray:
        shards.start(about, existing)
        on_gpu = task.uses_gpu and ray.cluster_resources().get("GPU", 0) > 0 and cluster.device in (None, "cuda")
        worker = (task, str(shards.folder.absolute()), "cuda" if on_gpu else cluster.device or "cpu")
        items = [{"number": number, "part": pickle.dumps(parts[number])} for number in missing]
        done = ray.data.from_items(items, override_num_blocks=min(len(items), 10_000)).map_batches(
            _Worker,
            fn_constructor_args=worker,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_tasks_in_flight_per_actor=2),
            num_cpus=1,
            num_gpus=1 if on_gpu else 0,
        )
        problems = []
        try:
            for row in tqdm(done.iter_rows(), total=len(items), unit="shard"):
                problems += [row["problem"]] if row["problem"] else []
        except (ray.exceptions.RayError, RuntimeError) as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            left = len(shards.missing(len(parts)))
            raise UserError(
                f"the cluster gave up, {left:,} of {len(parts):,} shards are missing ({said})",
                file=shards.folder,
                remedy="Is amodal installed on all of its machines, and enough memory left? What is done stays",
            ) from error
    if problems:
        others = f" (and {len(problems) - 1:,} more shards)" if len(problems) > 1 else ""
        raise UserError(f"{problems[0]}{others}", remedy="What is done stays: the same command does the rest")


class _Worker:
    """One process of the cluster."""

    def __init__(self, task: Task, folder: str, device: str) -> None:
        self._task, self._shards, self._device = task, ShardFolder(Path(folder)), device
        self._work: Callable[[Any], pa.Table] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Does one part; what a user can mend comes back as words."""
        number, problem = int(batch["number"][0]), ""
        try:
            if not self._shards.path(number).exists():  # else another process was taken for lost, and was not
                self._shards.attempt(number)
                self._work = self._work or self._task.open(self._device)
                self._shards.write(number, self._work(pickle.loads(batch["part"][0])))
        except UserError as error:
            problem = str(error)
        return {"number": batch["number"], "problem": [problem]}
