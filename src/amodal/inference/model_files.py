"""Which file a model's name stands for: the one rule for `amodal.load` and every command."""

from pathlib import Path

from amodal.errors import UserError, unknown
from amodal.files import require_file

PACKAGED = Path(__file__).parents[1] / "weights"
"""Models that come with the package: `NAME.safetensors` is called NAME."""
CHECKPOINT, EXPORTED = ".safetensors", ".onnx"
REMEDY = "Give a model.safetensors, an exported .onnx model, hf://USER/MODEL, coco, or the name of one in the package"
COCO = "coco"
"""The name of torchvision's detector with the completer: no file of this package's."""


def model_file(name: str | Path) -> Path:
    """The file of a model, downloaded if need be.

    Args:
        name: A checkpoint (`.safetensors`), an exported model (`.onnx`), the name of a model that comes with the
            package ("photos", "completer"), or `hf://USER/MODEL` on the Hugging Face hub.

    Raises:
        UserError: There is none.
    """
    if is_on_hub(name):
        from amodal.inference.hub import download

        return download(str(name))
    packaged = packaged_file(name)
    is_word = Path(name).suffix == "" and Path(name).name == str(name)
    if is_word and not packaged.is_file() and not Path(name).exists():
        known = sorted([COCO, *(path.stem for path in PACKAGED.glob(f"*{CHECKPOINT}"))])
        raise unknown(f"no model in the package is called '{name}', and no file", str(name), known)
    return packaged if packaged.is_file() and not Path(name).is_file() else require_file(name, remedy=REMEDY)


def checkpoint_file(name: str | Path) -> Path:
    """As `model_file`, where an exported model does not do. Raises UserError for one."""
    path = model_file(name)
    if path.suffix == EXPORTED:
        raise UserError("is an exported model, which has no weights to take", file=path, remedy="Give a checkpoint")
    return path


def is_model(word: str) -> bool:
    """Whether a word that may stand for something else means a model."""
    is_name = (packaged_file(word).is_file() or word == COCO) and not Path(word).exists()
    return is_on_hub(word) or word.endswith((CHECKPOINT, EXPORTED)) or is_name


def is_on_hub(name: str | Path) -> bool:
    """Whether a name is an address on the hub."""
    return str(name).startswith("hf://")


def is_coco(name: str | Path) -> bool:
    """Whether a name means torchvision's detector with the completer, which is no file."""
    return str(name) == COCO and not Path(name).is_file()


def kind_of(path: Path) -> str | None:
    """What kind of model a file of weights says it holds; None for other files, which loading will name."""
    try:
        from safetensors import SafetensorError, safe_open
    except ModuleNotFoundError:  # with an exported model alone nothing more is installed
        return None
    try:
        with safe_open(str(path), "np") as file:
            return (file.metadata() or {}).get("kind")
    except (SafetensorError, OSError):
        return None


def packaged_file(name: str | Path) -> Path:
    """Where a model of that name lies in the package, if there is one."""
    return PACKAGED / f"{name}{CHECKPOINT}"
