"""The file in which `amodal predict` notes what is done, line by line, so that a run that was killed loses nothing.

Each line is a JSON object: a plan ({"plan": [[number, source, target], ...], "settings": {...}}), or what came of a
source ({"number": 1, ...}). A line that was cut off, and what follows it, does not count.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal.errors import UserError

NAME = "ledger.jsonl"


@dataclass(frozen=True)
class Planned:
    """A file to predict. `number` counts from 1 over all runs into a folder; `target` is the name of what is drawn."""

    number: int
    source: Path
    target: str


class Ledger:
    """The ledger of a folder; an empty one if the folder has none.

    Attributes:
        planned: Everything that any run into the folder meant to do, by its number.
        settings: Those of the first run.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.planned: dict[int, Planned] = {}
        self.settings: dict[str, Any] = {}
        self._places: dict[int, int] = {}
        self._end = 0
        for place, line in self._lines():
            self._take(place, line)

    @property
    def exists(self) -> bool:
        """Whether the folder holds results of an earlier run."""
        return self._end > 0

    @property
    def done(self) -> list[int]:
        """The numbers of which something has come, in order."""
        return sorted(self._places)

    def forget(self) -> None:
        """Lets go of all entries; the next one that is written takes the place of the file's content."""
        self.planned, self.settings, self._places, self._end = {}, {}, {}, 0

    def remove(self) -> None:
        """Removes the file, and its folder if nothing else is in it."""
        self.forget()
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            self.path.parent.rmdir()

    def read(self) -> Iterator[dict[str, Any]]:
        """What came of each source, in order of the numbers; the last word on each counts."""
        with self.path.open("rb") as file:
            for number in self.done:
                file.seek(self._places[number])
                yield json.loads(file.readline())

    def write(self, entry: dict[str, Any]) -> None:
        """Adds a line; it is in the file when this returns."""
        line = json.dumps(entry).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("r+b" if self.path.exists() else "wb") as file:
            file.truncate(self._end)  # behind it is what a killed run left of a line
            file.seek(self._end)
            file.write(line)
        place, self._end = self._end, self._end + len(line)
        self._take(place, entry)

    def _take(self, place: int, entry: dict[str, Any]) -> None:
        if "plan" in entry:
            self.settings = self.settings or entry["settings"]
            for number, source, target in entry["plan"]:
                self.planned[number] = Planned(number, Path(source), target)
        elif entry["number"] in self.planned:
            self._places[entry["number"]] = place

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The whole lines and where they begin; says where they end."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line) if line.endswith(b"\n") else None
                except (ValueError, RecursionError):
                    entry = None
                if not isinstance(entry, dict) or not (_is_plan(entry) or type(entry.get("number")) is int):
                    break
                yield self._end, entry
                self._end += len(line)
        if not self._end and self.path.stat().st_size:
            raise UserError("is no ledger of `amodal predict`", file=self.path, remedy="Choose another folder")


def _is_plan(entry: dict[str, Any]) -> bool:
    listed = entry.get("plan")
    return isinstance(listed, list) and isinstance(entry.get("settings"), dict) and all(map(_is_planned, listed))


def _is_planned(item: Any) -> bool:
    kinds = [type(part) for part in item] if isinstance(item, list) else []
    return kinds == [int, str, str] and Path(item[2]).name == item[2]  # what is drawn stays in the folder
