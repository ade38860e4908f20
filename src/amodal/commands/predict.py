"""`amodal predict`: pictures, and results as JSON, of anybody's images."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.commands.declared import COUNT, READS, SHARE, WRITES_IN

if TYPE_CHECKING:
    from amodal.inference.predictor import Predictor
    from amodal.inference.render import Style

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")
MODEL_SUFFIXES = (".safetensors", ".onnx")


@dataclass(frozen=True)
class How:
    """What is looked for and drawn."""

    score: Annotated[float, SHARE] = 0.5
    """Objects that score less are left out."""
    show: Literal["both", "visible", "hidden"] = "both"
    """Seen and hidden parts, or one of them."""
    max_frames: Annotated[int | None, COUNT] = None
    """Stop after so many frames of a video or camera."""
    device: str | None = None
    """cpu, cuda or cuda:1; a GPU where there is one by default."""
    overwrite: bool = False
    """Replace results that are there."""


def predict(
    images: Annotated[tuple[str, ...], tyro.conf.Positional, READS],
    *,
    model: Annotated[str | None, READS] = None,
    out: Annotated[Path, WRITES_IN] = Path("predictions"),
    how: Annotated[How, tyro.conf.arg(name="")] = How(),
) -> None:
    """Finds the objects in photographs, videos and before cameras: the part of each that is seen, and the whole of it.

    For each image a picture is written, for each video a video: the seen part of an object is tinted, what is hidden
    of it is hatched. `predictions.json` holds the same as COCO results, `images.json` the ids of images and
    categories in it, and `sheet.jpg` shows the first pictures together. A camera is watched until Ctrl+C.

    Args:
        images: Images, videos, folders of images; or camera, camera:1, /dev/video0, rtsp://... A checkpoint or .onnx
            file may stand before them in place of --model.
        model: A checkpoint, an exported .onnx model, hf://USER/MODEL, or the name of a model in the package, which is
            "demo" and the default.
        out: Folder to write to.
        how: What is looked for and drawn.
    """
    from amodal.errors import UserError
    from amodal.inference.predictor import load
    from amodal.inference.render import Style

    model, sources = _model_and_sources(model, images)
    cameras, files = _cameras_and_files(sources)
    stills, videos = _sorted_out(files)
    predictor = load(model, how.device)
    failures = _predict_images(predictor, stills, out, how.score, Style(show=how.show)) if stills else []
    _predict_moving(predictor, videos, cameras, out, how)
    if failures:
        raise UserError(f"{len(failures)} of {len(stills)} images could not be read", remedy="The others are written")


def _model_and_sources(model: str | None, given: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The model, which may stand first among the images, and the images."""
    from amodal.errors import UserError

    is_first = bool(given) and _is_model(given[0])
    if is_first and model is not None:
        raise UserError(f"two models given, {model} and {given[0]}", remedy="Give one")
    model, sources = (given[0], given[1:]) if is_first else (model or "demo", given)
    if not sources:
        raise UserError("no images given", remedy="amodal predict [MODEL] IMAGE_OR_FOLDER ...")
    return model, sources


def _is_model(word: str) -> bool:
    """Whether a word that stands where images stand means a model."""
    from amodal.inference.predictor import PACKAGED

    is_packaged = (PACKAGED / f"{word}.safetensors").is_file() and not Path(word).exists()
    return word.startswith("hf://") or word.endswith(MODEL_SUFFIXES) or is_packaged


def _cameras_and_files(sources: tuple[str, ...]) -> tuple[list[str], list[Path]]:
    from amodal.errors import UserError
    from amodal.inference.camera import is_live

    cameras = [source for source in sources if is_live(source) and not Path(source).is_file()]
    if cameras and len(sources) > 1:
        raise UserError(f"{cameras[0]} goes on until it is stopped", remedy="Give it alone")
    return cameras, [Path(source) for source in sources if source not in cameras]


def _sorted_out(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Images and videos; folders replaced by the images in them."""
    from amodal.files import find_images, require_file

    videos = [path for path in paths if path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir()]
    return find_images([path for path in paths if path not in videos]), [require_file(path) for path in videos]


def _predict_moving(predictor: "Predictor", videos: list[Path], cameras: list[str], out: Path, how: How) -> None:
    """Writes a video for each video and camera."""
    from amodal.inference.camera import predict_camera
    from amodal.inference.render import Style
    from amodal.inference.video import Painter, predict_video

    for source in [*videos, *cameras]:
        painter = Painter(predictor, how.score, Style(show=how.show))  # new colours for new objects
        if isinstance(source, Path):
            target = out / f"{source.stem}.mp4"
            frames = predict_video(painter, source, target, max_frames=how.max_frames)
        else:
            target = out / "camera.mp4"
            frames = predict_camera(painter, source, target, max_frames=how.max_frames)
        print(f"{frames:,} frames: {target}")


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
    if folder.num_images and not folder.num_objects:
        names = ", ".join(category.name for category in predictor.categories[:8])
        print(f"nothing scores {score:g} or more: try a lower --score, if {names} ... are what the pictures show")
    return failures
