"""`amodal data ...`: a data set's check-up, a page to look at it, and getting a public one ready."""

from pathlib import Path
from typing import Annotated, Literal

import tyro

from amodal.arguments import COUNT
from amodal.commands.declared import READS, WRITES, WRITES_IN, WRITES_PAGE
from amodal.formats.choices import AS_STATED, Choices


def data_check(
    source: Annotated[Path, tyro.conf.Positional, READS],
    *,
    images: Annotated[Path | None, READS] = None,
    fix: Annotated[Path | None, WRITES] = None,
    choices: Annotated[Choices, tyro.conf.arg(name="")] = AS_STATED,
    overwrite: bool = False,
) -> None:
    """Finds what is wrong with annotations and their images. Exit status: 0 clean, 1 problems found.

    Each kind of problem is listed with its count, the first records, and what reading does about it: "refused" stops
    it, "repaired" is mended on the way, "noted" is legitimate and does not count as a problem.

    Args:
        source: Annotation file or folder of any known format.
        images: Image folder, if it is not found near the file.
        fix: Write the mended annotations here, in D2SA's format, without the records that cannot be mended.
        choices: Where a file may be meant in two ways.
        overwrite: Replace the file that is there.
    """
    from amodal.errors import UserError
    from amodal.formats import check, coco

    result = check.check(source, images, choices)
    print("\n".join(result.lines()))
    if fix is not None:
        if "image_missing" in result.counts and not result.repaired.images:
            raise UserError(
                "none of its images was found: nothing would be left",
                file=source,
                remedy="Give the folder that their names start from with --images",
            )
        coco.write(result.repaired, fix)
        print(f"{fix}: {len(result.repaired.annotations):,} annotations{'' if result.is_clean else ', mended'}")
    if not result.is_clean:
        raise SystemExit(1)


def data_show(
    source: Annotated[Path, tyro.conf.Positional, READS],
    out: Annotated[Path, tyro.conf.Positional, WRITES_PAGE] = Path("data.html"),
    *,
    images: Annotated[Path | None, READS] = None,
    count: Annotated[int, COUNT] = 24,
    overwrite: bool = False,
) -> None:
    """Writes one HTML page that shows a data set: pictures with their masks, and its statistics as charts.

    Args:
        source: Annotation file or folder of any known format.
        out: The page.
        images: Image folder, if it is not found near the file.
        count: How many pictures, spread evenly over the data set.
        overwrite: Replace the page that is there.
    """
    from amodal.data import show
    from amodal.formats import annotation_files

    show.write(annotation_files.read(source, images), out, count)
    print(out)


def data_prepare(
    name: Annotated[Literal["d2sa", "kins", "cocoa", "cocoa-cls"], tyro.conf.Positional],
    folder: Annotated[Path, tyro.conf.Positional, WRITES_IN],
    *,
    overwrite: bool = False,
) -> None:
    """Gets a public data set ready for training.

    Writes its training and its validation annotations into the folder, e.g. `d2sa_train.json` and `d2sa_val.json`,
    where the recipes look for them: `amodal train d2sa_vrsp --data FOLDER`. Several data sets may share the folder.

    Says what to download from where, and under which licence; unpacks and checks what lies in the folder.

    Args:
        name: The data set.
        folder: Where its downloads lie.
        overwrite: Replace what was prepared before.
    """
    from amodal.data import prepare

    for line in prepare.prepare(name, folder):
        print(line)
