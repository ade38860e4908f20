"""`amodal predict`: pictures, and results as JSON, of anybody's images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

if TYPE_CHECKING:
    from amodal.inference.predictor import Predictor
    from amodal.inference.render import Style

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")


def predict(
    checkpoint: tyro.conf.Positional[str],
    images: Annotated[tuple[Path, ...], tyro.conf.Positional],
    *,
    out: Path = Path("predictions"),
    score: float = 0.5,
    show: Literal["both", "visible", "hidden"] = "both",
    device: str | None = None,
) -> None:
    """Finds the objects in photographs and videos: the part of each that is seen, and the whole of it.

    For each image a picture is written, for each video a video: the seen part of an object is tinted, what is hidden
    of it is hatched. `predictions.json` holds the same as COCO results, `images.json` the ids of images and
    categories in it, and `sheet.jpg` shows the first pictures together.

    Args:
        checkpoint: A checkpoint, an exported .onnx model, the name of a model in the package, or hf://USER/MODEL.
        images: Images, videos, and folders of images.
        out: Folder to write to.
        score: Objects that score less are left out.
        show: Seen and hidden parts, or one of them.
        device: cpu, cuda or cuda:1; a GPU where there is one by default.
    """
    from amodal.errors import UserError
    from amodal.inference.predictor import load
    from amodal.inference.render import Style

    if not images:
        raise UserError("no images given", remedy="amodal predict CHECKPOINT IMAGE_OR_FOLDER ...")
    if not 0 <= score <= 1:
        raise UserError(f"a score of {score} is not between 0 and 1")
    stills, videos = _sorted_out(images)
    predictor = load(checkpoint, device)
    style = Style(show=show)
    failures = _predict_images(predictor, stills, out, score, style) if stills else []
    for video in videos:
        from amodal.inference.video import predict_video

        predict_video(predictor, video, out / f"{video.stem}.mp4", score_threshold=score, style=style)
    if failures:
        raise UserError(f"{len(failures)} of {len(stills)} images could not be read", remedy="The others are written")


def _sorted_out(paths: tuple[Path, ...]) -> tuple[list[Path], list[Path]]:
    """Images and videos; folders replaced by the images in them."""
    from amodal.files import find_images, require_file

    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()]
    return find_images([path for path in paths if path not in videos]), [require_file(path) for path in videos]


def _predict_images(predictor: "Predictor", paths: list[Path], out: Path, score: float, style: "Style") -> list[str]:
    """Writes what was found in each image; gives the errors of those that could not be read, which it also prints."""
    import sys

    from tqdm import tqdm

    from amodal.errors import UserError
    from amodal.inference.folder import ResultFolder
    from amodal.inference.pixels import as_pixels

    failures: list[str] = []
    with ResultFolder(out, predictor.categories) as folder:
        for path in tqdm(paths, unit="image"):
            try:
                pixels = as_pixels(path)
            except UserError as error:
                failures.append(str(error))
                print(f"amodal: {error}", file=sys.stderr)
                continue
            result = predictor.predict(pixels, score_threshold=score)
            folder.add(path, pixels, result, style)
    if folder.num_images:
        print(f"{folder.num_objects:,} objects in {folder.num_images:,} images: {out}")
        print(f"pictures together: {folder.sheet_path}")
    return failures
