"""`amodal train completer`: the class-agnostic completer, which has its own loop."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal.commands.next_steps import after_completer
from amodal.commands.train_flags import Changes, DataSet

if TYPE_CHECKING:
    from amodal.completion.config import CompleterTraining

COMPLETER = "completer"
"""The recipe's name."""
CHANGEABLE = ("iterations", "batch_size", "lr", "seed", "start_from", "checkpoint_every", "workers")


def train_completer(out: Path, data: DataSet, changes: Changes, *, resume: bool, device: str) -> None:
    """Trains the completer on photographs with masks of what is visible: `FOLDER/instances_train.json`, or --train.

    Raises:
        UserError: A flag that the completer does not have, or data that are not there.
    """
    from amodal.completion.training import train_completer as run

    model = run(settings(data, changes), out, resume=resume, device_name=device)
    print("\n".join(after_completer(model)))


def settings(data: DataSet, changes: Changes) -> "CompleterTraining":
    """The run that the flags describe."""
    from amodal.archives import are_archives
    from amodal.completion.config import CompleterTraining
    from amodal.errors import UserError
    from amodal.files import require_file

    given = {f.name: value for f in fields(changes) if (value := getattr(changes, f.name)) is not None}
    foreign = [name for name in given if name not in CHANGEABLE]
    if foreign or data.val or len(data.train) > 1:
        flag = foreign[0].replace("_", "-") if foreign else "val" if data.val else "train"
        raise UserError(f"the completer's training knows no such --{flag}", remedy="Leave it out")
    path = data.train[0] if data.train else str(data.data / "instances_train.json")
    if not are_archives(path) and not Path(path).is_dir():
        require_file(path, remedy="Pass --data, the folder that holds it, or --train, annotations of your own")
    names: dict[str, Any] = {"iterations": "steps", "checkpoint_every": "save_every"}
    return replace(
        CompleterTraining(path, data.images), **{names.get(name, name): value for name, value in given.items()}
    )
