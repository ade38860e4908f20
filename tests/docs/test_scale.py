"""What the pages say of torchrun and of Ray's launcher is what these programs take."""

import ast
import inspect

import pytest
from torch.distributed.run import get_args_parser

import amodal
from tests import documentation

PAGE = documentation.DOCS / "how-to" / "scale.md"


def torchrun_lines() -> list[tuple[str, list[str]]]:
    """What each line of the pages gives to torchrun."""
    lines = [line for page in documentation.PAGES for line in documentation.command_lines(page)]
    return [(place, words[words.index("torchrun") + 1 :]) for place, words in lines if "torchrun" in words]


def test_torchrun_takes_what_the_pages_give_it() -> None:
    lines = torchrun_lines()
    assert len(lines) >= 4
    for place, words in lines:
        given, unknown = get_args_parser().parse_known_args(words)
        assert given.module, place
        assert (given.training_script, unknown) == ("amodal.cli", []), place
        assert given.training_script_args[0] in ("train", "evaluate"), place


def launcher() -> ast.Module:
    [block] = [block for block in documentation.blocks(PAGE) if "TorchTrainer(" in block.code]
    return ast.parse(block.code)


def calls(name: str) -> list[ast.Call]:
    found = [node for node in ast.walk(launcher()) if isinstance(node, ast.Call)]
    return [call for call in found if ast.unparse(call.func).rpartition(".")[2] == name]


def assert_taken(call: ast.Call, function: object) -> None:
    """That a function takes so many arguments of these names."""
    inspect.signature(function).bind(*call.args, **{str(word.arg): word.value for word in call.keywords})  # type: ignore[arg-type]


def test_the_launcher_calls_train_as_it_is() -> None:
    [call] = [one for one in calls("train") if ast.unparse(one.func) == "amodal.train"]
    assert_taken(call, amodal.train)
    with pytest.raises(TypeError):
        assert_taken(ast.parse("f('x', nothing=1)", mode="eval").body, amodal.train)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_the_launcher_calls_ray_as_it_is() -> None:
    train = pytest.importorskip("ray.train")
    torch = pytest.importorskip("ray.train.torch")
    for name in ("ScalingConfig", "RunConfig", "FailureConfig"):
        [call] = calls(name)
        assert_taken(call, getattr(train, name))
    for name in ("TorchConfig", "TorchTrainer"):
        [call] = calls(name)
        assert_taken(call, getattr(torch, name))
