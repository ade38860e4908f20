"""What the first answer does not wait for: compilers, model zoos, statistics."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from amodal.models.backbones import feature_body
from amodal.models.lite0 import CHANNELS, NAME, Lite0

UNUSED = ("torch._dynamo", "torch._inductor", "sympy", "timm", "scipy", "sklearn", "matplotlib", "tensorboard")
FIRST_ANSWER = f"""
import sys
import numpy as np
import amodal
import amodal.commands.predict, amodal.inference.folder, amodal.video.camera
image = np.full((64, 64, 3), 90, np.uint8)
amodal.load("demo", "cpu").predict(image).draw(image)
from amodal.completion import checkpoint
from amodal.inference.model_files import packaged_file
checkpoint.load(packaged_file("completer"))
print([name for name in {UNUSED} if name in sys.modules])
from torchvision.ops.roi_align import is_compile_supported
import torch._dynamo.utils
assert torch._dynamo.utils.__file__
print(is_compile_supported("cpu") == torch._dynamo.utils.is_compile_supported("cpu"))
"""


def test_the_first_answer_imports_what_it_uses_and_the_compiler_is_there_for_who_asks():
    done = subprocess.run([sys.executable, "-c", FIRST_ANSWER], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True"]


@pytest.fixture(scope="module")
def bodies() -> tuple[nn.Module, Lite0]:
    torch.manual_seed(0)
    theirs, own = feature_body(NAME, "none").eval(), Lite0().eval()
    for name, value in theirs.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(std=0.1)
        elif name.endswith(("running_var", "weight")) and value.dim() == 1:
            value.uniform_(0.5, 1.5)
    own.load_state_dict(theirs.state_dict())
    return theirs, own


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_quick_body_is_timms_to_the_bit(bodies, layout):
    images = torch.rand(2, 3, 96, 64).contiguous(memory_format=layout)
    with torch.inference_mode():
        expected, found = (body(images) for body in bodies)
    assert [maps.shape[1] for maps in found] == CHANNELS
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_its_stages_are_timms(bodies):
    from amodal.models.backbones import _timm_stages

    def weights(body: nn.Module, stages: list[nn.Module]) -> list[list[str]]:
        names = {id(weight): name for name, weight in body.named_parameters()}
        return [sorted(names[id(weight)] for weight in stage.parameters()) for stage in stages]

    theirs, own = bodies
    assert weights(own, own.stages()) == weights(theirs, _timm_stages(theirs))
