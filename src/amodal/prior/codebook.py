"""The shapes that the prior knows: for each class, a list of embeddings to look up the nearest ones in."""

from collections.abc import Sequence
from typing import Self

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from amodal.errors import UserError


class CodeBook(nn.Module):
    """For each class, up to V embeddings of size D ("codes"); classes count from 0 (label - 1).

    Args:
        codes: All classes' codes, each class padded to the longest with anything finite.
        counts: How many of a class's codes are real. May be 0, but not for all classes.
    """

    codes: Float[Tensor, "K V D"]
    counts: Int64[Tensor, " K"]
    norms: Float[Tensor, "K V"]

    def __init__(self, codes: Float[Tensor, "K V D"], counts: Int64[Tensor, " K"]) -> None:
        super().__init__()
        if codes.dim() != 3 or counts.shape != codes.shape[:1]:
            shapes = f"{tuple(codes.shape)} with counts {tuple(counts.shape)}"
            raise UserError(f"codes of shape {shapes} are no code book")
        if codes.shape[1] == 0 or not codes.shape[0]:
            raise UserError("a code book needs a code of at least one class")
        if counts.device.type != "meta" and not (int(counts.min()) >= 0 and int(counts.max()) <= codes.shape[1]):
            raise UserError("the code book counts codes that it does not have")
        self.register_buffer("codes", codes)
        self.register_buffer("counts", counts)
        self.register_buffer("norms", codes.square().sum(2), persistent=False)
        self.register_load_state_dict_post_hook(_refresh)

    @classmethod
    def from_classes(cls, classes: Sequence[Float[Tensor, "_ D"]]) -> Self:
        """The book of these classes' codes; a class may have none."""
        return cls(
            nn.utils.rnn.pad_sequence(list(classes), batch_first=True),
            torch.tensor([len(codes) for codes in classes]),
        )

    def nearest(
        self, embeddings: Float[Tensor, "R D"], classes: Int64[Tensor, " R"], k: int
    ) -> tuple[Int64[Tensor, "R {k}"], Float[Tensor, "R {k}"]]:
        """The k nearest codes of each region's own class, nearest first: |a|^2 - 2ab + |b|^2 with |b|^2 kept.

        Returns:
            Indices into the class's codes, and squared L2 distances. Where a class has fewer than k codes the last
            distances are infinite and their indices mean nothing (but are valid).
        """
        rank = self.rank_at_once if embeddings.device.type == "cuda" else self.rank_by_class
        ranked, indices = rank(embeddings, classes, k).topk(k, largest=False)
        distances = (ranked + embeddings.square().sum(1, keepdim=True)).clamp(min=0)
        return indices.clamp(max=self.codes.shape[1] - 1), distances

    def rank_by_class(
        self, embeddings: Float[Tensor, "R D"], classes: Int64[Tensor, " R"], k: int
    ) -> Float[Tensor, "R M"]:
        """|b|^2 - 2ab of each region with every code of its class, infinite where there is none; M is at least k.

        It ranks codes as their distances do: |a|^2 is the same for all codes of a region. Regions are sorted by class,
        and each class present takes one matrix product. (One product over all classes would need the codes of a
        crowded class copied once for each block of its regions, which costs a CPU more than it saves.)
        """
        per_class = torch.bincount(classes, minlength=len(self.codes)).tolist()
        counts = self.counts.tolist()
        order = classes.argsort()
        in_order = embeddings.index_select(0, order)
        ranking = embeddings.new_full((len(embeddings), max(k, self.codes.shape[1])), torch.inf)
        start = 0
        for index, regions in enumerate(per_class):
            if regions and counts[index]:
                codes, norms = self.codes[index, : counts[index]], self.norms[index, : counts[index]]
                rows = slice(start, start + regions)
                ranking[rows, : counts[index]] = torch.addmm(norms, in_order[rows], codes.T, alpha=-2)
            start += regions
        return ranking.index_select(0, order.argsort())  # whole rows, several times as fast as indexing

    def rank_at_once(
        self, embeddings: Float[Tensor, "R D"], classes: Int64[Tensor, " R"], k: int
    ) -> Float[Tensor, "R M"]:
        """As `rank_by_class`, on a GPU: codes are copied for each region, and nothing waits for the GPU's numbers."""
        products = (self.codes[classes] @ embeddings[:, :, None])[..., 0]
        places = torch.arange(self.codes.shape[1], device=classes.device)
        there = places < self.counts[classes][:, None]
        ranking = torch.where(there, self.norms[classes] - 2 * products, torch.inf)
        return nn.functional.pad(ranking, (0, max(0, k - ranking.shape[1])), value=torch.inf)


def _refresh(book: CodeBook, _incompatible: object) -> None:
    """Recomputes what is derived from the codes after new ones were loaded."""
    book.norms = book.codes.square().sum(2)
