"""Mask R-CNN (He et al. 2017) with one mask, amodal or visible: the baselines MRCNN and MRCNN (C8) of the paper."""

from typing import Literal

from torch import Tensor

from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.losses import mask_loss
from amodal.models.mask_head import MaskHead
from amodal.models.regions import BatchTruth, RegionPooler, Regions


class MaskRCNN(MaskBranch):
    """One mask head on region features."""

    def __init__(self, pool: RegionPooler, head: MaskHead, truth: Literal["amodal", "visible"]) -> None:
        super().__init__()
        self.pool, self.head, self.truth = pool, head, truth
        self.learns_visible_alone = truth == "visible"

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """`loss_amodal` or `loss_visible`: binary cross-entropy of the own class's mask."""
        logits = self.head(self.pool(features, regions)).own_class(regions.labels)
        crops = truth.crop(regions, logits.shape[-1])
        return {f"loss_{self.truth}": mask_loss(logits, crops.amodal if self.truth == "amodal" else crops.visible)}

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """The one kind of mask that the head learnt."""
        probabilities = self.head.own_class(self.pool(features, regions), regions.labels).sigmoid()
        return RegionMasks(amodal=probabilities) if self.truth == "amodal" else RegionMasks(visible=probabilities)
