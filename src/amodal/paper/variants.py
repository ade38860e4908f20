"""The rows of the paper's three tables as models: what each changes of a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from amodal.errors import unknown
from amodal.training import recipes
from amodal.training.config import TrainConfig

TableName = Literal["table1", "table2", "table3"]

SWITCHES: dict[str, dict[str, bool | str]] = {
    "vrsp": {},
    "vrsp_no_visible_attention": {"visible_attention": False, "feature_matching": False},
    "vrsp_no_reclassification": {"reclassification": False, "feature_matching": False},
    "vrsp_no_prior_refinement": {"prior_refinement": False, "feature_matching": False},
    "vrsp_no_rescoring": {"prior_rescoring": False, "feature_matching": False},
    "vrsp_no_matching": {"feature_matching": False},
    **{
        f"attention_{kind}": {
            "attention": kind,
            "reclassification": False,
            "prior_refinement": False,
            "prior_rescoring": False,
        }
        for kind in ("self", "visible", "cross", "ours")
    },
}
"""VRSP's models by name: where their switches differ from the whole method's. Table 2 switches feature matching off in
rows 1 to 5; Table 3 takes away the shape prior and the re-classification, and nothing else."""

BENCH_SWITCHES: dict[str, dict[str, bool | str]] = {
    "vrsp_unguided": {"guided_pass": False},
    "vrsp_unguided_no_matching": {"guided_pass": False, "feature_matching": False},
    "vrsp_detached": {"matching_target": "detached"},
    "vrsp_guided_matching": {"matching_target": "guided"},
    "vrsp_reference": {"semantics": "reference"},
    **{
        f"{name}_unguided": switches | {"guided_pass": False}
        for name, switches in SWITCHES.items()
        if name.startswith("attention")
    },
}
"""VRSP's further models of the bench of mask branches: without the pass that the true masks guide, and with feature
matching in other ways."""

REFINED_SWITCHES: dict[str, dict[str, float | int]] = {
    "vrsp_r_not_grown": {"growth": 0.0},
    "vrsp_r_no_overlap": {"overlap_weight": 0.0},
    "vrsp_r_no_second_look": {"look_width": 0},
}
"""VRSP-R without one of its parts."""

SLN_UNIONS: dict[str, Literal["any", "logsumexp"]] = {"sln_any": "any", "sln_logsumexp": "logsumexp"}
"""SLN with other unions of its levels than the sum of logits."""

WHOLE = {
    "attention": "ours",
    "visible_attention": True,
    "reclassification": True,
    "prior_refinement": True,
    "prior_rescoring": True,
    "feature_matching": True,
    "guided_pass": True,
}
"""The whole method: last row of Tables 1 and 2."""

TRAINED_AS = {"vrsp_no_rescoring": "vrsp_no_matching"}
"""Models with the very weights of another: re-scoring has no weights and no loss, so that training with and without it
is the same run. The pair is compared on the same weights, as the paper's ablation means it."""


@dataclass(frozen=True)
class Row:
    """A row of a table: which model's amodal masks are scored, and which model's visible ones."""

    method: str
    label: str
    amodal: str
    visible: str

    @property
    def models(self) -> tuple[str, ...]:
        """The models that the row needs, without repetition."""
        return (self.amodal,) if self.amodal == self.visible else (self.amodal, self.visible)


def _row(method: str, label: str, *, visible: str | None = None) -> Row:
    return Row(method, label, method, visible or method)


TABLES: dict[TableName, tuple[Row, ...]] = {
    "table1": (
        _row("mask_rcnn", "Mask R-CNN", visible="mask_rcnn_visible"),
        _row("mask_rcnn_c8", "Mask R-CNN (C8)", visible="mask_rcnn_c8_visible"),
        _row("two_heads", "Two heads"),
        _row("orcnn", "ORCNN"),
        _row("sln", "SLN"),
        _row("aisformer", "AISFormer"),
        _row("bcnet", "BCNet"),
        _row("vrsp", "VRSP"),
        _row("vrsp_r", "VRSP-R"),
    ),
    "table2": (
        _row("vrsp_no_visible_attention", "1 without visible attention"),
        _row("vrsp_no_reclassification", "2 without re-classification"),
        _row("vrsp_no_prior_refinement", "3 without shape-prior refinement"),
        _row("vrsp_no_rescoring", "4 without shape-prior post-process"),
        _row("vrsp_no_matching", "5 without feature matching alone"),
        _row("vrsp", "6 VRSP"),
    ),
    "table3": (
        _row("attention_self", "(a) both self-attention"),
        _row("attention_visible", "(b) only visible attention"),
        _row("attention_cross", "(c) cross attention"),
        _row("attention_ours", "(d) VRSP's"),
    ),
}
"""Paper, Tables 1 to 3 (`docs/results`). Mask R-CNN's two masks are two models. Two heads, AISFormer, BCNet and VRSP-R
are beside the paper's rows of Table 1."""


@dataclass(frozen=True)
class Table:
    """A table, or some of its rows."""

    name: TableName
    rows: tuple[Row, ...]


def table(name: TableName, methods: Sequence[str] = ()) -> Table:
    """The rows of these methods, all by default. Raises UserError for a method that the table has not."""
    known = {row.method: row for row in TABLES[name]}
    for method in methods:
        if method not in known:
            raise unknown(f"{name} has no row '{method}'", method, known)
    return Table(name, tuple(row for method, row in known.items() if not methods or method in methods))


NAMES = {"demo": "demo", **{template.replace("_{}", ""): template.format("vrsp") for template in recipes.DATA_SETS}}
"""Recipes of the bench by name, as the recipe of the whole method."""


def base(name: str, data: Path) -> TrainConfig:
    """The recipe that all rows are variants of. Raises UserError for an unknown one, or where its data are missing."""
    if name not in NAMES:
        raise unknown(f"no recipe of the bench is called '{name}'", name, NAMES)
    return recipes.recipe(NAMES[name], data)


def variant(config: TrainConfig, name: str) -> TrainConfig:
    """The recipe with the model `name`. A run of `amodal train` with the same recipe has the same settings.

    Raises:
        UserError: No model is called so.
    """
    known = (*recipes.METHODS, "mask_rcnn_c8_visible", *SWITCHES, *BENCH_SWITCHES, *REFINED_SWITCHES, *SLN_UNIONS)
    if name not in known:
        raise unknown(f"no model of the bench is called '{name}'", name, known)
    if name in SWITCHES or name in BENCH_SWITCHES:
        whole = recipes.with_method(config, "vrsp")
        switches: dict[str, bool | str] = WHOLE | (SWITCHES | BENCH_SWITCHES)[name]
        changed = replace(whole, model=replace(whole.model, vrsp=replace(whole.model.vrsp, **switches)))  # type: ignore[arg-type]
    elif name in REFINED_SWITCHES:
        own = replace(config.model.vrsp_r, **REFINED_SWITCHES[name])  # type: ignore[arg-type]
        changed = replace(config, model=replace(config.model, method="vrsp_r", vrsp_r=own))
    elif name in SLN_UNIONS:
        sln = replace(config.model.sln, union=SLN_UNIONS[name])
        changed = replace(config, model=replace(config.model, method="sln", sln=sln))
    elif name == "mask_rcnn_c8_visible":
        deep = recipes.with_method(config, "mask_rcnn_c8").model
        changed = replace(config, model=replace(deep, mask=replace(deep.mask, truth="visible")))
    else:
        changed = recipes.with_method(config, name)
    return replace(changed, recipe=_recipe_name(config.recipe, name))


def data_set(name: str) -> str:
    """The data set of a recipe of `NAMES`, after which results are named: `eth80` of `eth80_small`."""
    return name.removesuffix("_small")


def predicts_both(config: TrainConfig) -> bool:
    """Whether one model gives amodal and visible masks, which AP(Occluded) needs."""
    return config.model.method != "mask_rcnn"


def _recipe_name(recipe: str, name: str) -> str:
    if "vrsp" in recipe:
        return recipe.replace("vrsp", name)
    return recipe if name == "vrsp" else f"{recipe}_{name}"
