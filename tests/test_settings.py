"""Settings survive JSON, and what does not fit them is named."""

import json
from dataclasses import dataclass, field
from typing import Literal

import pytest

from amodal.errors import UserError
from amodal.settings import differences, from_json, to_json


@dataclass(frozen=True)
class Files:
    path: str


@dataclass(frozen=True)
class Scenes:
    size: tuple[int, int] = (4, 6)
    seed: int = 0


@dataclass(frozen=True)
class Run:
    source: Files | Scenes
    rate: float = 0.5
    steps: tuple[int, ...] = (1, 2)
    shape: Literal["steps", "cosine"] = "steps"
    limit: tuple[float, float] | None = None
    name: str | None = None
    scenes: Scenes = field(default_factory=Scenes)


@pytest.mark.parametrize(
    "run", [Run(Files("a.json")), Run(Scenes((1, 2)), 1.0, (), "cosine", (0.1, 0.9), "x", Scenes(seed=3))]
)
def test_settings_survive_json(run: Run) -> None:
    again = from_json(Run, json.loads(json.dumps(to_json(run))))
    assert again == run
    assert differences(to_json(run), json.loads(json.dumps(to_json(again)))) == []


def test_what_is_left_out_takes_its_default_and_integers_become_floats() -> None:
    run = from_json(Run, {"source": {"size": [8, 8]}, "rate": 2})
    assert run == Run(Scenes((8, 8)), 2.0)
    assert isinstance(run.rate, float)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"source": {"path": "a"}, "rat": 1.0}, "rat: unknown setting"),
        ({"source": {"path": 3}}, "source.path: 3 is no str"),
        ({"source": {"nothing": 3}}, "source: .* fits none of Files, Scenes"),
        ({"source": {"size": [1]}}, "source.size: needs 2 values, not 1"),
        ({"source": {"path": "a"}, "shape": "stairs"}, "shape: 'stairs' is not one of 'steps', 'cosine'"),
        ({"source": {"path": "a"}, "scenes": 3}, "scenes: 3 is no group of settings"),
        ({"source": {"path": "a"}, "steps": 3}, "steps: 3 is no list"),
        ({}, "settings are missing"),
        ({"source": {"path": "a"}, "rate": True}, "rate: True is no float"),
    ],
)
def test_what_does_not_fit_is_named(content: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        from_json(Run, content)


def test_differences_name_the_setting() -> None:
    first, second = to_json(Run(Scenes())), to_json(Run(Scenes(seed=2), steps=(1,)))
    assert differences(first, second) == ["source.seed: 0, not 2", "steps: [1, 2], not [1]"]
