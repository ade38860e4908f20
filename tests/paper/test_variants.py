"""Rows of the tables are the models that the paper means, and its numbers stand in the right places."""

from pathlib import Path

import pytest

from amodal.errors import UserError
from amodal.paper import variants
from amodal.paper.published import published
from amodal.paper.runs import jobs
from amodal.paper.variants import TABLES, variant
from amodal.training import recipes
from tests.bench_models import tiny_recipe

PARTS = ("visible_attention", "reclassification", "prior_refinement", "prior_rescoring", "feature_matching")


@pytest.mark.parametrize(
    ("row", "parts"),
    [  # paper, Table 2: visible attention, re-classification, refinement, post-process, feature matching
        (0, (False, True, True, True, False)),
        (1, (True, False, True, True, False)),
        (2, (True, True, False, True, False)),
        (3, (True, True, True, False, False)),
        (4, (True, True, True, True, False)),
        (5, (True, True, True, True, True)),
    ],
)
def test_table_2_switches_off_one_part_at_a_time(row: int, parts: tuple[bool, ...]) -> None:
    model = variant(tiny_recipe(), TABLES["table2"][row].amodal).model
    assert model.method == "vrsp"
    assert model.vrsp.attention == "ours"
    assert tuple(getattr(model.vrsp, part) for part in PARTS) == parts


def test_table_3_has_the_four_attentions_without_prior_and_reclassification() -> None:
    models = [variant(tiny_recipe(), row.amodal).model.vrsp for row in TABLES["table3"]]
    assert [model.attention for model in models] == ["self", "visible", "cross", "ours"]
    assert not any(model.reclassification or model.prior_refinement or model.prior_rescoring for model in models)
    assert all(model.visible_attention and model.feature_matching for model in models)


def test_table_1_has_the_baselines_on_the_same_detector_and_schedule() -> None:
    config = tiny_recipe()
    found = {name: variant(config, name) for row in TABLES["table1"] for name in row.models}
    described = {name: (c.model.method, c.model.mask.truth, c.model.mask.num_convs) for name, c in found.items()}
    assert described == {
        "mask_rcnn": ("mask_rcnn", "amodal", 1),
        "mask_rcnn_visible": ("mask_rcnn", "visible", 1),
        "mask_rcnn_c8": ("mask_rcnn", "amodal", 8),
        "mask_rcnn_c8_visible": ("mask_rcnn", "visible", 8),
        "two_heads": ("two_heads", "amodal", 1),
        "orcnn": ("orcnn", "amodal", 1),
        "sln": ("sln", "amodal", 1),
        "aisformer": ("aisformer", "amodal", 1),
        "bcnet": ("bcnet", "amodal", 1),
        "vrsp": ("vrsp", "amodal", 1),
        "vrsp_r": ("vrsp_r", "amodal", 1),
    }
    for one in found.values():
        assert (one.schedule, one.data, one.optimiser) == (config.schedule, config.data, config.optimiser)
        assert (one.model.detector, one.model.backbone) == (config.model.detector, config.model.backbone)


@pytest.mark.parametrize("name", [name for name in variants.NAMES if name != "demo"])
def test_the_bench_trains_what_the_recipes_train(name: str, tmp_path: Path) -> None:
    """So that finished runs of `amodal train` are taken as they are."""
    template = next(t for t in recipes.DATA_SETS if t.replace("_{}", "") == name)
    whole = recipes.RECIPES[template.format("vrsp")](tmp_path)
    for method in recipes.METHODS:
        assert variant(whole, method) == recipes.RECIPES[template.format(method)](tmp_path)


def test_unknown_recipes_and_missing_data_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe of the bench is called 'lvis'.*eth80_small"):
        variants.base("lvis", tmp_path)
    with pytest.raises(UserError, match="Check --data"):
        variants.base("d2sa", tmp_path)
    assert variants.base("demo", tmp_path).recipe == "demo"
    assert [variants.data_set(name) for name in ("eth80_small", "eth80", "cocoa_cls")] == [
        "eth80",
        "eth80",
        "cocoa_cls",
    ]


def test_tables_share_runs(tmp_path: Path) -> None:
    config, seeds = tiny_recipe(), (0, 1)
    folders = {
        table: [job.folder.name for job in jobs(variants.table(table), config, tmp_path, seeds)]  # type: ignore[arg-type]
        for table in TABLES
    }
    assert len(folders["table1"]) == 22
    assert folders["table1"][0] == "mask_rcnn-seed0"
    assert set(folders["table1"]) & set(folders["table2"]) == {"vrsp-seed0", "vrsp-seed1"}
    assert "vrsp_no_rescoring-seed0" not in folders["table2"], "it has the weights of vrsp_no_matching"
    assert len({name for names in folders.values() for name in names if name.endswith("seed0")}) == 19
    (shared,) = [job for job in jobs(variants.table("table2"), config, tmp_path, (0,)) if len(job.models) == 2]
    assert [(name, model.vrsp.prior_rescoring) for name, model in shared.models] == [
        ("vrsp_no_rescoring", False),
        ("vrsp_no_matching", True),
    ]
    assert {job.config.seed for job in jobs(variants.table("table1"), config, tmp_path, seeds)} == {0, 1}


def test_the_papers_numbers_are_where_the_paper_has_them() -> None:
    assert published("table1", "eth80") == {}
    assert published("table2", "cocoa_cls") == {}
    d2sa = published("table1", "d2sa")
    assert d2sa["vrsp"] == {
        "amodal_ap": 70.2,
        "amodal_ap50": 85.1,
        "amodal_ap75": 75.8,
        "amodal_ar1": 69.1,
        "amodal_ap_occluded": 51.1,
        "visible_ap": 72.2,
        "visible_ar1": 71.8,
    }
    assert d2sa["mask_rcnn"]["amodal_ap_occluded"] is None
    assert published("table1", "kins")["sln"]["visible_ap"] is None
    assert published("table1", "cocoa_cls")["orcnn"]["amodal_ap_occluded"] == 17.4
    assert published("table2", "d2sa")["vrsp_no_visible_attention"]["amodal_ap"] == 66.67
    assert published("table2", "kins")["vrsp"]["amodal_ap_occluded"] == 37.57
    assert published("table3", "d2sa")["attention_self"]["amodal_ap75"] == 68.96
    assert published("table3", "kins")["attention_ours"]["visible_ar1"] == 20.01
    for table, ours in (("table1", 4), ("table2", 0), ("table3", 0)):
        for name in ("d2sa", "kins"):
            assert len(published(table, name)) == len(TABLES[table]) - ours  # type: ignore[index, arg-type]
