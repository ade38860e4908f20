"""The shape prior: the likely whole shapes of a class that are nearest to a coarse mask."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int64
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from amodal import tensor_files
from amodal.annotations import Category, categories_from_json
from amodal.categories import order_problem
from amodal.errors import UserError
from amodal.files import replacing
from amodal.prior.autoencoder import MASK_SIDE, MaskAutoencoder
from amodal.prior.codebook import CodeBook

KIND = "amodal shape prior"
MAKE_ONE = "Make one with `amodal prior fit`"
CACHE_BYTES = 320 * 2**20
"""Code books whose decoded masks and averages fit in this keep them: up to 85,598 shapes, so COCO's 80 x 1024 too."""
CHUNK = 1024
"""Masks decoded at a time, so that the decoder's maps stay small."""


@dataclass(frozen=True)
class Decoded:
    """The shapes of a code book, each from when it is first found.

    Attributes:
        masks: As probabilities.
        averages: The same over 2 x 2 cells each.
        is_known: Which of them are decoded.
    """

    masks: Float[Tensor, "K*V 28 28"]
    averages: Float[Tensor, "K*V 14 14"]
    is_known: Bool[Tensor, " K*V"]

    @classmethod
    def empty(cls, number: int, device: torch.device) -> Self:
        """Of so many codes, none decoded."""
        masks, averages = (torch.empty(number, side, side, device=device) for side in (MASK_SIDE, MASK_SIDE // 2))
        return cls(masks, averages, torch.zeros(number, dtype=torch.bool, device=device))

    def keep(self, which: Int64[Tensor, " M"], masks: Float[Tensor, "M 28 28"]) -> None:
        """These are their masks."""
        self.masks[which], self.averages[which], self.is_known[which] = masks, averaged(masks), True


class ShapePrior(nn.Module):
    """A frozen auto-encoder and a code book of embeddings per class.

    Args:
        autoencoder: Trained on amodal masks cropped to their boxes.
        codebook: Embeddings of each class's typical masks.
        categories: The categories that the classes stand for, in the order of the classes, where they are known.
        details: How the prior was made, for people; anything that JSON can hold.
    """

    def __init__(
        self,
        autoencoder: MaskAutoencoder,
        codebook: CodeBook,
        categories: Sequence[Category] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if autoencoder.embedding_size != codebook.codes.shape[2]:
            sizes = f"{autoencoder.embedding_size} numbers, the code book's {codebook.codes.shape[2]}"
            raise UserError(f"the auto-encoder's embeddings have {sizes}", remedy="They come from different priors")
        self.autoencoder = autoencoder.requires_grad_(False)
        self.codebook = codebook
        self.categories = tuple(categories)
        self.details = dict(details or {})
        self._decoded: Decoded | None = None
        self._fewest: int | None = None
        self.register_load_state_dict_post_hook(_forget)

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        categories: Sequence[Category] = (),
        details: Mapping[str, Any] | None = None,
    ) -> Self:
        """The prior whose state these tensors are; every size is read from them. Raises UserError if they are not."""
        prefix = "autoencoder."
        inner = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if not {"codebook.codes", "codebook.counts"} <= tensors.keys():
            raise UserError("these tensors hold no code book: no shape prior")
        book = CodeBook(tensors["codebook.codes"].float(), tensors["codebook.counts"].long())
        return cls(MaskAutoencoder.from_tensors(inner), book, categories, details)

    @property
    def num_classes(self) -> int:
        """K: classes that the code book has a place for."""
        return len(self.codebook.codes)

    def lookup(
        self, query: Float[Tensor, "R 28 28"], classes: Int64[Tensor, " R"], k: int
    ) -> Float[Tensor, "R {k} 28 28"]:
        """The k shapes of each region's class nearest to its mask, nearest first, as probabilities.

        A class with fewer than k shapes is filled up with the query's own reconstruction.

        Args:
            query: Masks as probabilities, or as the logits that the authors' code embeds.
            classes: From 0: label - 1.
            k: How many shapes.
        """
        return self._look_up(query, classes, k, as_averages=False)

    def averages(
        self, query: Float[Tensor, "R 28 28"], classes: Int64[Tensor, " R"], k: int
    ) -> Float[Tensor, "R {k} 14 14"]:
        """As `lookup`, averaged over 2 x 2 cells: a quarter of the numbers to gather, and none to average."""
        return self._look_up(query, classes, k, as_averages=True)

    def distance(self, masks: Tensor, classes: Int64[Tensor, " R"]) -> Float[Tensor, " R"]:
        """How far each mask is from the nearest shape of its class: the share of pixels where they differ.

        Both are binary: a pixel is set where its probability is above a half. (The authors' post-process, in both
        semantics.)

        Args:
            masks: (R, 28, 28), bool or probabilities.
            classes: From 0: label - 1.

        Returns:
            In [0, 1]. For a class without shapes, the distance to the mask's own reconstruction.
        """
        binary = masks > 0.5 if masks.is_floating_point() else masks.bool()
        nearest = self.lookup(binary.float(), classes, 1)[:, 0] > 0.5
        return (binary != nearest).float().mean((1, 2))

    def shapes(self, index: int) -> Float[Tensor, "_ 28 28"]:
        """All shapes that the code book has of a class (from 0), as probabilities."""
        count = int(self.codebook.counts[index])
        indices = torch.arange(count, device=self.codebook.codes.device)
        classes = torch.full_like(indices, index)
        with _exact(indices.device):
            return self._decode_codes(classes, indices[:, None])[:, 0]

    def _look_up(self, query: Tensor, classes: Tensor, k: int, *, as_averages: bool) -> Float[Tensor, "R {k} _ _"]:
        with _exact(query.device):
            embeddings = self.autoencoder.encode(query[:, None].float())
            indices, distances = self.codebook.nearest(embeddings, classes, k)
            shapes = self._decode_codes(classes, indices, as_averages=as_averages)
            missing = distances.isinf()[:, :, None, None]
            if k > self._sure_shapes(query.device) and missing.any():
                own = self.autoencoder.decode(embeddings)
                shapes = torch.where(missing, averaged(own) if as_averages else own, shapes)
        return shapes

    def _decode_codes(
        self, classes: Int64[Tensor, " R"], indices: Int64[Tensor, "R {k}"], *, as_averages: bool = False
    ) -> Float[Tensor, "R {k} _ _"]:
        """The masks of these codes. Each code is decoded once and kept, as nothing in the prior changes."""
        codes = self.codebook.codes.flatten(0, 1)
        places = classes[:, None] * self.codebook.codes.shape[1] + indices
        asked = places.flatten()
        if len(codes) * 5 * MASK_SIDE**2 > CACHE_BYTES:
            found = self._decode(codes[asked])
            return (averaged(found) if as_averages else found).unflatten(0, places.shape)
        if self._decoded is None or self._decoded.masks.device != codes.device:
            self._decoded = Decoded.empty(len(codes), codes.device)
            if codes.device.type == "cuda":  # all at once: to ask for the new ones, the CPU would wait for the GPU
                self._decoded.keep(torch.arange(len(codes), device=codes.device), self._decode(codes))
        if codes.device.type != "cuda":
            new = asked[~self._decoded.is_known.index_select(0, asked)].unique()
            if len(new):
                self._decoded.keep(new, self._decode(codes[new]))
        known = self._decoded.averages if as_averages else self._decoded.masks
        return known.flatten(1).index_select(0, asked).view(*places.shape, *known.shape[1:])

    def _sure_shapes(self, device: torch.device) -> int:
        """A number of shapes that every class is known to have; on a CPU it costs nothing to look, so 0 will do."""
        if device.type != "cuda":
            return 0
        if self._fewest is None:
            self._fewest = int(self.codebook.counts.min())
        return self._fewest

    def _decode(self, embeddings: Float[Tensor, "R D"]) -> Float[Tensor, "R 28 28"]:
        masks = embeddings.new_empty(len(embeddings), MASK_SIDE, MASK_SIDE)
        for part, result in zip(embeddings.split(CHUNK), masks.split(CHUNK), strict=True):
            result.copy_(self.autoencoder.decode(part)[:, 0])
        return masks

    def problem_with(self, categories: Sequence[Category]) -> str:
        """Why this is no prior of these categories, in the order of their labels; empty where it is one."""
        if self.categories:
            return order_problem(self.categories, categories, "the prior knows", "the data have")
        same = self.num_classes == len(categories)
        return "" if same else f"the prior is of {self.num_classes} classes, the data have {len(categories)}"

    def save(self, path: str | Path) -> None:
        """Writes the prior as one safetensors file with its categories and details, whole or not at all."""
        about = {"categories": [asdict(category) for category in self.categories], "details": self.details}
        tensors = {name: value.contiguous() for name, value in self.state_dict().items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, {"kind": KIND, "about": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what `save` wrote. Raises UserError for a missing file or one of another kind."""
        tensors, about = tensor_files.read(path, KIND, MAKE_ONE)
        try:
            details = about.get("details")
            categories = categories_from_json(about.get("categories"))
            return cls.from_tensors(tensors, categories, details if isinstance(details, dict) else {})
        except UserError as error:
            raise UserError(error.problem, file=path, remedy=error.remedy or MAKE_ONE) from error


def averaged(masks: Float[Tensor, "N 28 28"]) -> Float[Tensor, "N 14 14"]:
    """Masks over 2 x 2 cells each."""
    return F.avg_pool2d(masks, 2)


@contextmanager
def _exact(device: torch.device) -> Iterator[None]:
    """No gradients, and single precision in a mixed-precision step too: bfloat16 would confuse near shapes.

    Inference mode is left, since masks that are kept from there could not be added to in training.
    """
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


def _forget(prior: ShapePrior, _incompatible: object) -> None:
    """Drops the decoded masks after other weights were loaded."""
    prior._decoded = prior._fewest = None
