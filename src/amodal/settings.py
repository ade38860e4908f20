"""Settings, which are frozen dataclasses, to JSON and back. What is read is checked against the declared types."""

import types
from collections.abc import Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from amodal.errors import UserError

Settings = TypeVar("Settings")


def to_json(settings: Any) -> dict[str, Any]:
    """A settings dataclass as what JSON can hold; tuples become lists."""
    return asdict(settings)


def from_json(kind: type[Settings], content: Any) -> Settings:
    """The settings of class `kind` that `to_json` turned into `content`. Settings left out take their defaults.

    Raises:
        UserError: An unknown setting, or a value of another type; names the setting as `model.backbone.name`.
    """
    return _read(kind, content, "")


def differences(first: Any, second: Any, place: str = "") -> list[str]:
    """Where two `to_json` contents differ, each as `model.backbone.name: 'resnet18', not 'resnet50'`."""
    if isinstance(first, dict) and isinstance(second, dict):
        names = [*first, *(name for name in second if name not in first)]
        pairs = [(first.get(name), second.get(name), f"{place}.{name}".lstrip(".")) for name in names]
        return [line for one, other, where in pairs for line in differences(one, other, where)]
    if isinstance(first, (list, tuple)) and isinstance(second, (list, tuple)):
        first, second = list(first), list(second)
    return [] if first == second else [f"{place}: {first!r}, not {second!r}"]


def require_same(file: Path, before: dict[str, Any], now: dict[str, Any], may_change: Sequence[str]) -> None:
    """Raises UserError where a run to go on with, whose settings are in `file`, was started with others.

    Args:
        file: Is named in the message.
        before: Its settings, as `to_json` gives them.
        now: Those asked for.
        may_change: Names of settings that may differ: they do not touch the weights.
    """
    first, second = ({name: s[name] for name in s if name not in may_change} for s in (before, now))
    found = differences(first, second)
    if found:
        shown = "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
        raise UserError(
            f"the run to resume has other settings ({shown})",
            file=file,
            remedy="Resume with the recipe and flags that it was started with, or choose another --out",
        )


def _read(kind: Any, content: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read(_choose(get_args(kind), content, place), content, place)
    if is_dataclass(kind):
        return _read_dataclass(kind, content, place)
    if origin is tuple:
        return _read_tuple(get_args(kind), content, place)
    if origin is Literal:
        if content not in get_args(kind):
            raise UserError(f"{content!r} is not one of {', '.join(map(repr, get_args(kind)))}", record=place)
        return content
    if kind is float and type(content) is int and abs(content) < 2**1023:
        return float(content)
    if type(content) is not kind:
        raise UserError(f"{content!r} is no {kind.__name__}", record=place)
    return content


def _read_dataclass(kind: Any, content: Any, place: str) -> Any:
    if not isinstance(content, dict):
        raise UserError(f"{content!r} is no group of settings", record=place or kind.__name__)
    names = {field.name for field in fields(kind)}
    for name in content:
        if name not in names:
            raise UserError("unknown setting", record=f"{place}.{name}".lstrip("."), remedy=f"Known: {sorted(names)}")
    hints = get_type_hints(kind)
    values = {name: _read(hints[name], value, f"{place}.{name}".lstrip(".")) for name, value in content.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(f"settings are missing ({error})", record=place or kind.__name__) from error


def _read_tuple(parts: tuple[Any, ...], content: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(content, (list, tuple)):
        raise UserError(f"{content!r} is no list", record=place)
    if parts[-1] is Ellipsis:
        parts = (parts[0],) * len(content)
    if len(parts) != len(content):
        raise UserError(f"needs {len(parts)} values, not {len(content)}", record=place)
    return tuple(_read(part, value, place) for part, value in zip(parts, content, strict=True))


def _choose(kinds: tuple[Any, ...], content: Any, place: str) -> Any:
    """The member of a union that `content` is: None, the dataclass that has all its fields, or the plain type."""
    for kind in kinds:
        if is_dataclass(kind):
            if isinstance(content, dict) and content.keys() <= {field.name for field in fields(kind)}:
                return kind
        elif (content is None) == (kind is type(None)) and not isinstance(content, dict):
            return kind
    raise UserError(f"{content!r} fits none of {', '.join(kind.__name__ for kind in kinds)}", record=place)
