"""Public data sets made ready: what to download, unpacking, joining, checking against the known numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from amodal import outputs
from amodal.annotations import AnnotationSet, Category
from amodal.data.merging import merge
from amodal.data.unpacking import unpack
from amodal.errors import UserError
from amodal.files import is_file, place_of
from amodal.formats import annotation_files, coco, image_folder


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        files: The annotation files that make it up; each may go by one of several names.
        num_images: How many images it is known to have; several where releases differ.
        num_annotations: The same of annotations; empty where nobody states it.
    """

    files: tuple[tuple[str, ...], ...]
    num_images: tuple[int, ...]
    num_annotations: tuple[int, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Attributes:
        downloads: What to get, from where, under which licence.
        splits: Its parts by the name of the file that is written.
        one_class: All regions are of one class `object` and stuff is left out, as the field trains on COCOA.
        drop: Categories that are listed and have no instance.
    """

    downloads: tuple[str, ...]
    splits: dict[str, Split]
    one_class: bool = False
    drop: tuple[str, ...] = ()


_COCO_IMAGES = (
    "images: http://images.cocodataset.org/zips/train2014.zip and val2014.zip (COCO; the photographs are under "
    "Flickr's terms of use, see https://cocodataset.org/#termsofuse)"
)

DATA_SETS = {
    "d2sa": DataSet(
        (
            "images and annotations: d2s_amodal_images_v1.tar.xz and d2s_amodal_annotations_v1.tar.xz, from "
            "https://www.mvtec.com/company/research/datasets/mvtec-d2s (read the licence there; MVTec's "
            "other data sets are under CC BY-NC-SA 4.0: no commercial use)",
        ),
        {
            "train": Split(
                (("D2S_amodal_augmented.json",), ("D2S_amodal_training_rot0.json",)), (1562 + 438,), (12376 + 690,)
            ),
            "val": Split((("D2S_amodal_validation.json",),), (3600,), (15654,)),
        },
    ),
    "kins": DataSet(
        (
            "images: data_object_image_2.zip (the left colour images), from "
            "https://www.cvlibs.net/datasets/kitti/eval_object.php (KITTI, CC BY-NC-SA 3.0: no commercial use)",
            "annotations: update_train_2020.json and update_test_2020.json, or instances_train.json and "
            "instances_val.json of 2019, from "
            "https://github.com/qqlu/Amodal-Instance-Segmentation-through-KINS-Dataset "
            "(its README states no licence: ask the authors before any use but research)",
        ),
        {
            "train": Split((("instances_train.json", "update_train_2020.json"),), (7474, 7475)),
            "val": Split((("instances_val.json", "update_test_2020.json"),), (7517,)),
        },
        drop=("rider",),
    ),
    "cocoa": DataSet(
        (
            _COCO_IMAGES,
            "annotations: COCO_amodal_train2014.json and COCO_amodal_val2014.json, from "
            "https://github.com/Wakeupbuddy/amodalAPI (its README states no licence)",
        ),
        {
            "train": Split((("COCO_amodal_train2014.json",),), (2500,)),
            "val": Split((("COCO_amodal_val2014.json",),), (1323,)),
        },
        one_class=True,
    ),
    "cocoa-cls": DataSet(
        (
            _COCO_IMAGES,
            "annotations: COCO_amodal_train2014_with_classes.json and COCO_amodal_val2014_with_classes.json; the "
            "first address is dead, https://github.com/YihongSun/Bayesian-Amodal links a copy (its README states "
            "no licence for the data). Or make their like: `amodal convert COCO_amodal_train2014.json FILE --to d2sa "
            "--instances instances_train2014.json`",
        ),
        {
            "train": Split((("COCO_amodal_train2014_with_classes.json",),), (2276,)),
            "val": Split((("COCO_amodal_val2014_with_classes.json",),), (1223,)),
        },
    ),
}


def prepare(name: str, folder: Path) -> Iterator[str]:
    """Writes `<name>_train.json` and `<name>_val.json` into `folder`, in D2SA's format; yields what to tell the user.

    Args:
        name: A key of DATA_SETS.
        folder: Where its downloads lie, packed or not.

    Raises:
        UserError: Something is missing or damaged.
    """
    data_set, prefix = DATA_SETS[name], name.replace("-", "_")
    outs = {split_name: folder / f"{prefix}_{split_name}.json" for split_name in data_set.splits}
    outputs.claim(outs.values())
    wanted = [names for split in data_set.splits.values() for names in split.files]
    unpacked = None
    if not folder.is_dir() or any(_find(folder, names) is None for names in wanted):
        unpacked = unpack(folder) if folder.is_dir() else 0
        missing = [names for names in wanted if not folder.is_dir() or _find(folder, names) is None]
        if missing:
            yield f"{name} needs, in {folder} (as downloaded, or unpacked):"
            yield from (f"  {download}" for download in data_set.downloads)
            listed = ", ".join(" or ".join(names) for names in missing)
            raise UserError(
                f"not there: {listed}", file=folder, remedy="Download what is listed above and run this again"
            )
    joined = {split_name: _joined(split, outs[split_name]) for split_name, split in data_set.splits.items()}
    if unpacked is None and any(map(_missing_images, joined.values())):  # KINS and COCOA pack their images alone
        unpacked = unpack(folder)
        joined = {split_name: _with_images(one, outs[split_name]) for split_name, one in joined.items()}
    if unpacked:
        yield f"unpacked {unpacked} archives"
    for annotations in joined.values():
        _require_images(annotations, data_set)
    for split_name, split in data_set.splits.items():
        yield from _write(data_set, split, joined.pop(split_name), outs[split_name])
    checked = outs["train"]
    yield f"`amodal data check {checked}` opens every image; recipes find both files with `--data {folder}`"


def _joined(split: Split, out: Path) -> AnnotationSet:
    """The annotations of a split's files, whose images are all in one folder.

    Raises:
        UserError: They are ordinary ones: KINS's files have a name that others have, too.
    """
    found = (_find(out.parent, names) for names in split.files)
    parts = [annotation_files.read(file) for file in found if file is not None]
    folder = next((part.image_folder for part in parts if part.image_folder), None)
    joined = reduce(merge, (replace(part, image_folder=folder) for part in parts))
    if joined.annotations and all(one.visible == one.amodal for one in joined.annotations):
        problem = "has no object that is partly hidden: it is of another data set"
        raise UserError(problem, file=joined.source, remedy="Give each data set a folder of its own")
    return _with_images(joined, out)


def _with_images(annotations: AnnotationSet, out: Path) -> AnnotationSet:
    """The annotations, with the image folder that will be found from `out`."""
    raw = [{"file_name": image.file_name} for image in annotations.images]
    return replace(annotations, image_folder=image_folder.find(out, raw) or annotations.image_folder)


def _write(data_set: DataSet, split: Split, annotations: AnnotationSet, out: Path) -> Iterator[str]:
    if data_set.one_class:
        annotations = _as_one_class(annotations)
    used = {annotation.category_id for annotation in annotations.annotations}
    kept = [c for c in annotations.categories if c.name not in data_set.drop or c.id in used]
    coco.write(replace(annotations, categories=kept), out)
    known_images = _compared(len(annotations.images), split.num_images)
    known_annotations = _compared(len(annotations.annotations), split.num_annotations)
    yield f"{out}: {known_images} images, {known_annotations} annotations, {len(kept)} categories"
    yield from (f"  mended: {kind}, {count:,}" for kind, count in annotations.repairs.items())


def _as_one_class(annotations: AnnotationSet) -> AnnotationSet:
    things = [replace(a, category_id=1) for a in annotations.annotations if not a.is_stuff]
    return replace(annotations, annotations=things, categories=[Category(1, "object")])


def _missing_images(annotations: AnnotationSet) -> list[str]:
    folder = annotations.image_folder
    return [i.file_name for i in annotations.images if folder is None or not is_file(place_of(folder, i.file_name))]


def _require_images(annotations: AnnotationSet, data_set: DataSet) -> None:
    if missing := _missing_images(annotations):
        where = f"in {annotations.image_folder}" if annotations.image_folder else "found"
        problem = f"{len(missing):,} of {len(annotations.images):,} images are not {where}, the first {missing[0]}"
        raise UserError(problem, file=annotations.source, remedy=f"Get {data_set.downloads[0]}")


def _compared(count: int, known: tuple[int, ...]) -> str:
    if not known:
        return f"{count:,}"
    expected = " or ".join(f"{number:,}" for number in known)
    return f"{count:,} (as known)" if count in known else f"{count:,} (known are {expected}: another release?)"


def _find(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first file in the folder, however deep, of one of these names."""
    return next((path for name in names for path in sorted(folder.rglob(name))), None)
