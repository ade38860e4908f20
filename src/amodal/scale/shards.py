"""A folder of Parquet shards, each whole or not there: a run that is started again does those that are missing.

    about.json              the run's settings, and how many shards it has
    part-00000000.parquet   shard 0

Whoever makes shard n makes the same one, so machines need not agree on anything: where two make it, one wins. All see
the folder under the same path.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from amodal import outputs, temporaries
from amodal.arrow_files import arrow
from amodal.errors import UserError
from amodal.files import read_json, replacing, write_json

if TYPE_CHECKING:
    import pyarrow as pa

ABOUT, KIND = "about.json", "amodal shards"
TRIES = 5
"""Times that a shard may cost its process: one that breaks every process would go on for ever."""
Existing = Literal["refuse", "resume", "replace"]
REMEDY = "Give the folder that a command wrote with --ray"


@dataclass(frozen=True)
class About:
    """What a run is.

    Attributes:
        count: Its shards.
        settings: All that the rows follow from, as JSON has it.
    """

    count: int
    settings: dict[str, Any]


class ShardFolder:
    """The shards in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, number: int) -> Path:
        """Where a shard is, or will be."""
        return self.folder / f"part-{number:08d}.parquet"

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return (self.folder / ABOUT).is_file()

    def plan(self, about: About, existing: Existing) -> list[int]:
        """Looks whether the folder is ready for a run, or for more of it; nothing is written yet.

        Args:
            about: The run.
            existing: What becomes of shards that are there: they stand, if they are of the same run, or are replaced.

        Returns:
            The shards that are missing.

        Raises:
            UserError: The folder holds shards that are refused, or of another run, or another's files.
        """
        if not self.exists:
            outputs.claim([self.folder / ABOUT, *map(self.path, range(about.count))])
            return list(range(about.count))
        outputs.own([self.folder])
        if existing == "refuse":
            remedy = "--resume does what is missing, --overwrite starts anew; or choose another --out"
            raise UserError("holds results already", file=self.folder, remedy=remedy)
        if existing == "replace":
            return list(range(about.count))
        _require_same(self.about(), about, self.folder)
        return self.missing(about.count)

    def start(self, about: About, existing: Existing) -> None:
        """Makes the folder ready, after `plan`."""
        if existing == "replace" and self.exists:
            self.remove()
        if not self.exists:
            write_json(self.folder / ABOUT, {"kind": KIND, "count": about.count, "settings": about.settings}, indent=1)
        temporaries.sweep(self.folder)
        for path in self.folder.glob("try-*"):
            path.unlink(missing_ok=True)

    def about(self) -> About:
        """What run it is. Raises UserError where none has begun."""
        if not self.exists:
            raise UserError("holds no shards", file=self.folder, remedy=REMEDY)
        about = read_json(self.folder / ABOUT)
        is_one = isinstance(about, dict) and about.get("kind") == KIND and isinstance(about.get("settings"), dict)
        if not is_one or type(about.get("count")) is not int:
            raise UserError("is not of a folder of shards", file=self.folder / ABOUT, remedy=REMEDY)
        return About(about["count"], about["settings"])

    def missing(self, count: int) -> list[int]:
        """The shards of the first `count` that are not there."""
        there = {path.name for path in self.folder.glob("part-*.parquet")}
        return [number for number in range(count) if self.path(number).name not in there]

    def write(self, number: int, table: "pa.Table") -> None:
        """Writes a shard, whole or not at all."""
        with replacing(self.path(number)) as temporary:
            arrow("parquet").write_table(table, temporary, compression="zstd")
        for path in self._attempts(number):
            path.unlink(missing_ok=True)

    def existing_of(self, about: About) -> Existing:
        """What becomes of shards in a folder that is a command's own: those of the same run stand, others do not."""
        return "resume" if self.exists and self.about() == about else "replace"

    def attempt(self, number: int) -> None:
        """Notes that somebody begins with a shard. Raises UserError where that has cost many their lives."""
        for place in range(TRIES):
            with suppress(FileExistsError):
                self._attempts(number)[place].touch(exist_ok=False)
                return
        raise UserError(
            f"shard {number} has ended its process {TRIES} times",
            file=self.folder,
            remedy="Most often memory runs out: give a machine with more, or take the largest pictures out",
        )

    def _attempts(self, number: int) -> list[Path]:
        return [self.folder / f"try-{number:08d}-{place}" for place in range(TRIES)]

    def tables(self, columns: list[str] | None = None) -> Iterator["pa.Table"]:
        """All shards in turn, or some of their columns. Raises UserError where one is missing or damaged."""
        count = self.about().count
        missing = self.missing(count)
        if missing:
            problem = f"{len(missing):,} of {count:,} shards are missing, the first {self.path(missing[0]).name}"
            raise UserError(problem, file=self.folder, remedy="Run the command that writes them again, with --resume")
        for number in range(count):
            yield read_table(self.path(number), columns)

    def remove(self) -> None:
        """Removes the shards and what belongs to them; the folder, if nothing else is in it."""
        for path in (self.folder / ABOUT, *self.folder.glob("part-*.parquet"), *self.folder.glob("try-*")):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "images", ignore_errors=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def read_table(path: Path, columns: list[str] | None = None) -> "pa.Table":
    """A Parquet file, or some columns of it, in that order. Raises UserError for a damaged one, or without them."""
    try:
        table = arrow("parquet").read_table(path, columns=columns)
        return table if columns is None else table.select(columns)
    except Exception as error:  # of a damaged file it may raise anything
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"cannot be read as Parquet ({said})", file=path, remedy="Remove it and --resume") from error


def _require_same(before: About, about: About, folder: Path) -> None:
    names = [name for name in about.settings if before.settings.get(name) != about.settings[name]]
    if names or before.count != about.count:
        raise UserError(
            f"holds results of another run (other {', '.join(names) or 'shards'})",
            file=folder,
            remedy="Resume with the same sources, model and flags, start anew with --overwrite, or elsewhere",
        )
