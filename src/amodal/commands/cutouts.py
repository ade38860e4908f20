"""`amodal cutouts`: objects cut out of product shots, or of annotated photographs, for `amodal synth`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from amodal.arguments import COUNT
from amodal.commands.declared import READS, WRITES_IN
from amodal.synthesis.config import CutOutConfig

if TYPE_CHECKING:
    from amodal.synthesis.cutting import Cutter, Shot

DEFAULT = CutOutConfig()


@dataclass(frozen=True)
class Given:
    """What is said of the sources."""

    category: str | None = None
    """The category of all photographs, in place of the names of their folders."""
    images: Annotated[Path | None, READS] = None
    """Image folder of annotations, if it is not found near them."""


def cutouts(
    sources: Annotated[tuple[Path, ...], tyro.conf.Positional, READS],
    *,
    out: Annotated[Path, WRITES_IN] = Path("cutouts"),
    given: Annotated[Given, tyro.conf.arg(name="")] = Given(),
    how: Annotated[CutOutConfig, tyro.conf.arg(name="")] = DEFAULT,
    workers: Annotated[int | None, COUNT] = None,
    overwrite: bool = False,
) -> None:
    """Cuts objects out of photographs: pictures with transparency, which `amodal synth --cutouts` composes.

    Product shots, each of a thing before a plain background, need no labels. A folder holds `<category>/<object>/*`
    for several views of an object, `<category>/*`, or photographs alone. Of an annotated data set, the objects are
    cut out that are seen whole: those that touch neither the border nor another object.

    Look at sheet.jpg before you use them: it shows each photograph beside its cut-outs on magenta. What could not be
    cut out is named with the reason; the exit status is 2 then. Needs OpenCV: pip install 'amodal[cutouts]'

    Args:
        sources: Photographs, folders of them, or one annotation file of any known format.
        out: Folder to write to.
        given: What is said of the sources.
        how: How objects are cut out.
        workers: Processes that share the work; they do not change the outcome. One a core unless said.
        overwrite: Replace the cut-outs that are there.
    """
    from tqdm import tqdm

    from amodal.errors import UserError
    from amodal.folder_lock import locked
    from amodal.pictures import write_image
    from amodal.synthesis.cutout_folder import CutOutFolder
    from amodal.synthesis.cutout_sheet import TILES, sheet, sheet_names
    from amodal.synthesis.pool import answers

    cutter, shots = _opened(sources, out, given, how)
    names, what = sheet_names(len(shots)), "photograph" if shots[0].annotation is None else "object"
    processes = min(workers or os.cpu_count() or 1, -(-len(shots) // PHOTOGRAPHS_A_PROCESS))
    with locked(out), CutOutFolder(out, shots, overwrite=overwrite, further=names) as folder:
        cuts, found = [], answers(cutter, shots, processes, doing="cuts out objects")
        for number, cut in enumerate(tqdm(found, "Cutting out", len(shots), unit=what), start=1):
            folder.add(cut)
            cuts.append(cut)
            if cut.problem:
                tqdm.write(f"{cut.shot.photograph}: {cut.problem}")
            if len(cuts) == TILES or number == len(shots):
                write_image(out / names[(number - 1) // TILES], sheet(cuts), quality=88)
                cuts = []
    print(f"{out}: {folder.count:,} cut-outs of {len(shots):,} {what}s; look at {out / names[0]}")
    if folder.problems:
        problem = f"{len(folder.problems):,} of {len(shots):,} {what}s gave no cut-out, as said above"
        raise UserError(problem, remedy=f"{out / 'cutouts.jsonl'} lists them" if folder.count else None)


PHOTOGRAPHS_A_PROCESS = 8
"""Photographs below which another process costs more to start than it saves."""


def _opened(sources: tuple[Path, ...], out: Path, given: Given, how: CutOutConfig) -> "tuple[Cutter, list[Shot]]":
    """What cuts, and what is cut."""
    from amodal.errors import UserError
    from amodal.formats import annotation_files
    from amodal.synthesis import cutting
    from amodal.synthesis.annotated import AnnotatedCutOuts
    from amodal.synthesis.product_shots import require_opencv

    inside = next((one for one in sources if out.resolve() in (one.resolve(), *one.resolve().parents)), None)
    if inside is not None:
        raise UserError("lies in the folder to write to", file=inside, remedy="Choose another --out")
    annotations = [one for one in sources if annotation_files.holds_annotations(one)]
    if not annotations:
        require_opencv()
        return cutting.PlainCutter(how), cutting.shots_of_photographs(sources, given.category, out)
    if len(sources) > 1 or given.category:
        raise UserError("annotations stand alone, and name their categories", remedy="Give one file and no --category")
    annotated = AnnotatedCutOuts(annotation_files.read(annotations[0], given.images), min_area=how.min_area)
    shots = cutting.shots_of_annotations(annotated)
    if not shots:
        problem = "every object touches another, and may go on behind it"
        raise UserError(problem, file=annotations[0], remedy="Take a data set where some objects stand alone")
    return cutting.AnnotatedCutter(annotated), shots
