"""ORCNN (Follmann et al., WACV 2019): amodal and visible heads; the invisible mask is their difference."""

from jaxtyping import Float
from torch import Tensor

from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.losses import mask_loss
from amodal.models.mask_head import MaskHead
from amodal.models.regions import BatchTruth, RegionPooler, Regions


def invisible_logits(amodal: Float[Tensor, "R S S"], visible: Float[Tensor, "R S S"]) -> Float[Tensor, "R S S"]:
    """The invisible mask's logits: amodal minus the positive part of the visible ones; no weights of its own."""
    return amodal - visible.relu()


class ORCNN(MaskBranch):
    """Two heads on the same region features, tied by the loss of the mask that neither predicts."""

    def __init__(self, pool: RegionPooler, amodal_head: MaskHead, visible_head: MaskHead) -> None:
        super().__init__()
        self.pool, self.amodal_head, self.visible_head = pool, amodal_head, visible_head

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """`loss_amodal`, `loss_visible`, `loss_invisible`: equal parts; the last one's gradient enters both heads."""
        pooled = self.pool(features, regions)
        amodal, visible = (head(pooled).own_class(regions.labels) for head in (self.amodal_head, self.visible_head))
        crops = truth.crop(regions, amodal.shape[-1])
        return {
            "loss_amodal": mask_loss(amodal, crops.amodal),
            "loss_visible": mask_loss(visible, crops.visible),
            "loss_invisible": mask_loss(invisible_logits(amodal, visible), crops.amodal ^ crops.visible),
        }

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Amodal and visible masks."""
        pooled, labels = self.pool(features, regions), regions.labels
        amodal, visible = (head.own_class(pooled, labels) for head in (self.amodal_head, self.visible_head))
        return RegionMasks(amodal=amodal.sigmoid(), visible=visible.sigmoid())
