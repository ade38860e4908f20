"""The folder that `amodal cutouts` writes: `<category>/<object>.png`, and a list of what came of every photograph."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from amodal import outputs
from amodal.errors import UserError
from amodal.files import read_json_text, replacing
from amodal.synthesis.cutting import Cut, Shot

LIST = "cutouts.jsonl"
"""A line a photograph: {"photograph", "category", "files", "problem"}."""

Line = dict[str, Any]


class CutOutFolder:
    """Use it in a `with` statement: cut-outs are written at once, the list on leaving, also after an interruption.

    Attributes:
        count: Cut-outs written.
        problems: Photographs without one, and why.
    """

    def __init__(self, folder: Path, shots: Iterable[Shot], *, overwrite: bool, further: Iterable[str] = ()) -> None:
        """Claims all that is known to be written.

        Args:
            folder: The folder.
            shots: What is cut out.
            overwrite: Whether those of an earlier run make way; what nothing new replaces is then removed in the end.
            further: Names of other files that the caller writes there.

        Raises:
            UserError: The folder holds cut-outs, which are not to be replaced, or files that are not an earlier run's.
        """
        self.folder, self.count, self.problems = folder, 0, list[Cut]()
        self._lines, self._written = list[Line](), set[Path]()
        self._before = read_list(folder / LIST) if (folder / LIST).exists() else []
        if self._before and not overwrite:
            raise UserError("holds cut-outs already", file=folder, remedy="Choose another --out, or add --overwrite")
        own = [folder / LIST, *(folder / name for name in further)]
        if self._before:
            outputs.own([*own, *self._files(self._before)])
        outputs.claim([*own, *(folder / shot.folder / f"{shot.stem}.png" for shot in shots)])

    def add(self, cut: Cut) -> None:
        """Writes a photograph's cut-outs, and notes what came of it. Raises UserError where one cannot be written."""
        several = len(cut.files) > 1
        names = [f"{cut.shot.stem}-{number}" if several else cut.shot.stem for number in range(1, len(cut.files) + 1)]
        paths = [self.folder / cut.shot.folder / f"{name}.png" for name in names]
        for path, content in zip(paths, cut.files, strict=True):
            if path in self._written:
                raise UserError("two photographs give a cut-out of this name", file=path, remedy="Rename one of them")
            with replacing(path) as temporary:
                temporary.write_bytes(content)
            self._written.add(path)
        self.count += len(paths)
        line = {"photograph": str(cut.shot.photograph), "category": cut.shot.category}
        line |= {"files": [path.relative_to(self.folder).as_posix() for path in paths]}
        if cut.problem:
            self.problems.append(cut)
            line |= {"problem": cut.problem}
        self._lines.append(line)

    def _files(self, lines: Iterable[Line]) -> set[Path]:
        return {self.folder / name for line in lines for name in line["files"]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """After an interruption, what an earlier run wrote stays, and stays known as its own."""
        lines = self._lines if kind is None else [*self._lines, *self._before]
        with replacing(self.folder / LIST) as temporary:
            temporary.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), "utf-8")
        if kind is not None:
            return
        for path in self._files(self._before) - self._written:
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or another's
                path.parent.rmdir()
                path.parent.parent.rmdir()


def read_list(path: Path) -> list[Line]:
    """What came of each photograph. Raises UserError for a file that is no such list, or names files elsewhere."""
    try:
        lines = [json.loads(text) for text in read_json_text(path).splitlines()]
        names = [Path(name) for line in lines for name in line["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        said = type(error).__name__ if isinstance(error, RecursionError) else error
        problem = f"is no list of cut-outs ({said})"
        raise UserError(problem, file=path, remedy="Remove it, or choose another --out") from error
    if not all(name.suffix == ".png" and not name.is_absolute() and ".." not in name.parts for name in names):
        raise UserError("names files that are no cut-outs", file=path, remedy="Remove it, or choose another --out")
    return lines
