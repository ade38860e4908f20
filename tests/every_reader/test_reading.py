"""What files say is taken only as far as it is borne out, and every refusal is one line."""

import json
import pickle
import resource
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from amodal import rle
from amodal.annotations import AnnotationSet, Category, ImageRecord
from amodal.completion import checkpoint as completer_checkpoint
from amodal.completion import network
from amodal.completion.config import CompleterConfig
from amodal.completion.training import restore
from amodal.errors import MOST_CHARACTERS, UserError
from amodal.evaluation.matching.records import Records
from amodal.evaluation.report import Report
from amodal.files import parse_json, read_json, read_text
from amodal.formats import annotation_files
from amodal.models import checkpoint
from amodal.prior import released
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.shape_prior import ShapePrior
from amodal.results import result_files
from amodal.settings import from_json, to_json
from amodal.training import recipes, run_folder
from amodal.training.config import TrainConfig
from tests.annotation_files import d2sa, save_image
from tests.small_models import SMALL, small_model, small_prior

CATEGORIES = [Category(1, "cup"), Category(2, "pear"), Category(3, "cow")]


# Text and messages


def test_text_is_utf_8_or_says_that_it_is_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_bytes('{"name": "jar é 🫙"}'.encode(encoding))
        assert read_json(path) == {"name": "jar é 🫙"}
    path.write_bytes(b'{"name": "jar \xe9"}')
    with pytest.raises(UserError, match=r"a\.json: not a text file in UTF-8"):
        read_json(path)
    for name in ("gone.json", "x" * 5000, "a\0b"):
        with pytest.raises(UserError, match="no such file"):
            read_text(tmp_path / name)


def test_half_a_character_becomes_the_sign_for_one_that_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(r'["\ud800", "\uDFFFx", "\ud83e\uded9", "\\ud800", "\u00e9"]')
    assert read_json(path) == ["\ufffd", "\ufffdx", "🫙", "\\ud800", "é"]
    save_image(tmp_path / "a.png")
    truth = d2sa()
    truth["categories"] = [{"id": 2, "name": "\ud800cup"}, {"id": 5, "name": "jug"}]
    path.write_text(json.dumps(truth))
    assert annotation_files.read(path).categories[0].name == "\ufffdcup"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 5000, "[1, ", "nothing"])
def test_json_that_no_parser_takes_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.json: not valid JSON"):
        read_json(path)
    path.write_text(f'{{"images": [], "annotations": [{text}], "categories": []}}')
    with pytest.raises(UserError, match=r"a\.json") as error:
        annotation_files.read(path)
    assert str(error.value).isprintable()
    with pytest.raises(UserError, match=r"^b: not valid JSON"):
        parse_json(text, file="b")


def test_a_message_is_one_printable_line_of_bounded_length() -> None:
    error = UserError("two\nlines \ud800\x1b[31m" + "x" * 10_000, file="a\nb", record="c\u2028d", remedy="Stop")
    assert str(error).isprintable()
    assert str(error).startswith("a\\nb: c\\u2028d: two\\nlines \\ud800\\x1b[31mxxx")
    assert len(str(error)) < MOST_CHARACTERS + 100


# Masks


@pytest.mark.parametrize(
    "size", [(2**31, 2), (10**6, 10**6), (0, 5), (-1, 5), (6.0, 8), (6,), None, ("6", "8"), (True, 8)]
)
def test_sizes_of_no_image_are_refused_before_memory_is_asked_for(size: Any) -> None:
    given = list(size) if isinstance(size, tuple) else size
    for mask in ({"size": given, "counts": "0"}, {"size": given, "counts": []}, [], [[1, 2]], [[0, 0, 5, 0, 5, 5]]):
        with pytest.raises(ValueError, match="is no image's"):
            rle.from_json(mask, size)


def test_an_empty_mask_of_the_largest_image_costs_nothing() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mask, dropped = rle.from_json([[1, 2]], (rle.LONGEST_SIDE, rle.LONGEST_SIDE))
    assert (rle.areas([mask])[0], dropped) == (0, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**14  # KiB


# Results and reports

TRUTH = AnnotationSet([ImageRecord(1, "a.png", 6, 8)], [], CATEGORIES)
GOOD = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [0, 0, 4, 4]}


@pytest.mark.parametrize(
    "wrong",
    [
        *({"category_id": [1]}, {"category_id": {}}, {"category_id": None}, {"category_id": 1e300}),
        *({"image_id": [1]}, {"image_id": "a\ud800"}, {"score": []}, {"score": 10**400}, {"score": None}),
        *({"bbox": [0, 0, 1e400, 1]}, {"bbox": "abcd"}, {"bbox": [0, 0, 4]}, {"bbox": [0, 0, "nan", 4]}),
        *({"depth_order": 1e400}, {"depth_order": [0]}, {"segmentation": {"size": [2**31, 2], "counts": "0"}}),
    ],
)
def test_a_wrong_detection_is_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps([GOOD, GOOD | wrong]))
    with pytest.raises(UserError, match=r"results\.json: detection 1: ") as error:
        result_files.read(path, TRUTH)
    assert str(error.value).isprintable()


def test_results_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    for content in (b'[{"image_id": "\xda"}]', b"[1]", b"[[]]", b'{"a": 1}'):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"results\.json"):
            result_files.read(path, TRUTH)


def records(num_detections: int = 3) -> Records:
    zeros = np.zeros(num_detections, np.int32)
    flags = np.zeros((10, num_detections), bool)
    return Records(zeros, zeros, np.linspace(1, 0, num_detections), flags, ~flags, np.ones((2, 4), np.int32))


def test_match_records_there_and_back_and_wrong_ones() -> None:
    whole = Records.from_text(records().to_text())
    for name, values in vars(records()).items():
        found = getattr(whole, name)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)
    five = np.zeros(5, np.int32)
    for wrong in (
        {"category": five},
        {"image": np.full(3, 4, np.int32)},
        {"category": np.full(3, -1, np.int32)},
        {"category": np.array([1, 0, 0], np.int32)},
        {"wanted": np.ones((2, 4, 1), np.int32)},
        {"wanted": -np.ones((2, 4), np.int32)},
        {"score": np.full(3, np.nan)},
        {"score": np.array(["a", "b", "c"])},
    ):
        with pytest.raises(UserError, match="its match records are damaged"):
            Records.from_text(replace(records(), **wrong).to_text())
    with pytest.raises(UserError, match="too large"):
        Records.from_text(replace(records(), category=np.zeros(2**27, np.int32)).to_text())


def test_a_report_of_other_types_is_refused() -> None:
    numbers = dict.fromkeys(("ap", "ap50", "ap75", "ar1", "ar10", "ar100"), 0.5)
    whole: dict[str, Any] = {
        "counts": {"images": 1, "instances": 2, "occluded": 1, "detections": 3, "categories": 1},
        "box": numbers,
        "amodal": None,
        "visible": None,
        "invisible": None,
        "occlusion": [],
        "analysis": None,
        "about": {"data": "x"},
    }
    assert Report.from_json(whole).to_json()["box"] == numbers | {"by_category": {}, "curves": {}}
    for wrong in (
        {"counts": []},
        {"counts": {"images": "1"}},
        {"box": numbers | {"ap50": "0.5"}},
        {"box": numbers | {"curves": {"0.50": ["x"]}}},
        {"box": numbers | {"ap": 10**400}},
        {"occlusion": [{"masks": {}}]},
        {"occlusion": {}},
        {"analysis": [1]},
        {"analysis": {"shapes": {}}},
        {"about": 3},
    ):
        with pytest.raises(UserError, match=r"^r\.json: not a report of `amodal evaluate`"):
            Report.from_json(whole | wrong, file="r.json")
    for other in ([], None, 3, "x", {}):
        with pytest.raises(UserError, match="not a report"):
            Report.from_json(other)


# Models and priors


def with_description(path: Path, change: dict[str, Any]) -> None:
    """Replaces values of a safetensors file's description, by dotted name."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    about = json.loads(header["__metadata__"]["about"])
    for name, value in change.items():
        *outer, last = name.split(".")
        place = about
        for key in outer:
            place = place[key]
        place[last] = value
    header["__metadata__"]["about"] = json.dumps(about)
    data = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(data)) + data + content[8 + length :])


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    checkpoint.save(path, checkpoint.Checkpoint(small_model(SMALL).eval(), SMALL, CATEGORIES), half=True)
    return path.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        *({"config.detector.box_width": 200_000}, {"config.mask.num_convs": 10**7}, {"config.mask.width": 10**6}),
        *(
            {"config.backbone.fpn_channels": -8},
            {"config.backbone.fpn_channels": 10**6},
            {"config.vrsp.reclassification_width": 10**6},
        ),
        *({"config.method": "sln", "config.sln.levels": 10**6}, {"config.backbone.name": "resnet50"}),
        *({"categories": []}, {"categories": [{"id": "x", "name": 3}]}, {"categories": 5}, {"config": []}),
    ],
)
def test_a_model_is_built_only_of_the_tensors_that_are_there(
    tmp_path: Path, model_file: bytes, change: dict[str, Any]
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file)
    with_description(path, change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=r"model\.safetensors: ") as error:
        checkpoint.load(path)
    assert "alloc" not in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


def test_a_completer_whose_settings_make_no_network(tmp_path: Path) -> None:
    path, config = tmp_path / "completer.safetensors", CompleterConfig()
    completer_checkpoint.save(path, network.build(config), {}, half=True)
    with_description(path, {"config.prototypes": -96})
    with pytest.raises(UserError, match=r"completer\.safetensors: its weights do not fit .*nothing can be made"):
        completer_checkpoint.load(path)


def test_a_whole_model_is_still_read(tmp_path: Path, model_file: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(model_file)
    with_description(path, {"details": "no dictionary"})
    assert checkpoint.load(path).details == {}
    assert checkpoint.load(path).categories == CATEGORIES


def test_priors_whose_parts_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "prior.safetensors"
    small_prior().save(path)
    with_description(path, {"details": [[["deep"]]]})
    whole = ShapePrior.load(path)
    tensors = {name: value.contiguous() for name, value in whole.state_dict().items()}
    for name, value in (
        ("codebook.counts", torch.full((3,), 10**6)),
        ("codebook.counts", torch.tensor([-1, 2, 3])),
        ("codebook.codes", torch.zeros(5)),
        ("autoencoder.encoder.0.weight", torch.zeros(200_000, 1, 3, 3)),
        ("autoencoder.encoder.0.weight", torch.zeros(())),
    ):
        save_file(tensors | {name: value}, path, {"kind": "amodal shape prior", "about": '{"categories": []}'})
        with pytest.raises(UserError, match=r"prior\.safetensors: "):
            ShapePrior.load(path)
    nested = '{"categories": ' + "[" * 100_000
    save_file(tensors, path, {"kind": "amodal shape prior", "about": nested})
    with pytest.raises(UserError, match=r"prior\.safetensors: not valid JSON \(nested too deeply\)"):
        ShapePrior.load(path)


def test_an_auto_encoder_of_other_sizes_is_refused_by_name() -> None:
    tensors = MaskAutoencoder(3).state_dict() | {"decoder.1.weight": torch.zeros(8, 9, 3, 3)}
    with pytest.raises(UserError, match=r"no mask auto-encoder \(decoder\.1\.weight is \(8, 9, 3, 3\)"):
        MaskAutoencoder.from_tensors(tensors)


def test_code_books_that_claim_more_than_they_hold(tmp_path: Path) -> None:
    path = tmp_path / "book.npy"
    np.save(path, np.array({0: np.ones((2, 16), np.float32), 10**9: np.ones((1, 16), np.float32)}, dtype=object))
    with pytest.raises(UserError, match=r"book\.npy: .*too much is empty"):
        released.load_codebook(path)
    far = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + pickle.LONG_BINPUT + struct.pack("<I", 2**31 - 1) + b"."
    header = path.read_bytes()[:128]
    path.write_bytes(header + far)
    with pytest.raises(UserError, match=r"book\.npy: cannot be read as a code book \(ValueError: a place"):
        released.load_codebook(path)


# Runs


def test_the_state_of_a_run_has_its_types(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    whole: dict[str, Any] = {
        "step": 2,
        "seconds": 1.0,
        "model": layer.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    for wrong in ({"step": "2"}, {"step": -1}, {"seconds": None}, {"model": []}, {"optimiser": 3}):
        run_folder.save_state(tmp_path, whole | wrong)  # type: ignore[arg-type]
        with pytest.raises(UserError, match=r"training\.pt: is not the state of a training run"):
            run_folder.load_state(tmp_path)
    for wrong in ({"optimiser": {"state": 3, "param_groups": [None]}}, {"model": {"weight": "x"}}):
        run_folder.save_state(tmp_path, whole | wrong)  # type: ignore[arg-type]
        state = run_folder.load_state(tmp_path)
        assert state
        with pytest.raises(UserError, match=r"training\.pt: does not fit this model"):
            run_folder.restore(state, layer, optimiser, tmp_path)


def test_the_state_of_a_completers_run_is_read_or_one_line(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(layer.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, 5)
    parts = {"model": layer, "optimiser": optimiser, "schedule": schedule}
    path = tmp_path / "state.pt"
    whole = {name: part.state_dict() for name, part in parts.items()} | {"step": 2, "seconds": 1.5}
    torch.save(whole, path)
    assert restore(path, layer, optimiser, schedule) == (2, 1.5)
    torch.save(whole | {"step": None}, path)
    for content in (path.read_bytes(), path.read_bytes()[:200], b"", b"nothing"):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"state\.pt: cannot be read as a training state"):
            restore(path, layer, optimiser, schedule)


def test_notes_end_at_the_first_that_is_none(tmp_path: Path) -> None:
    good = '{"step": 1, "loss": 2.0}\n'
    for bad in ("[1]\n", '{"loss": 1}\n', '{"step": "2"}\n', "9" * 5000 + "\n", "[" * 100_000 + "\n", "\ufffd\n"):
        (tmp_path / run_folder.LOSSES).write_text(good + bad + good)
        assert [line["step"] for line in run_folder.notes(tmp_path, run_folder.LOSSES)] == [1]
    (tmp_path / run_folder.LOSSES).write_bytes(good.encode() + b"\xff\xfe\n")
    run_folder.forget_after(tmp_path, 5)
    assert (tmp_path / run_folder.LOSSES).read_text() == good


def test_a_number_too_large_for_a_setting_is_named() -> None:
    content = to_json(recipes.demo(Path("data")))
    content["optimiser"]["lr"] = 10**400
    with pytest.raises(UserError, match=r"optimiser\.lr: 1000.*is no float"):
        from_json(TrainConfig, content)
