"""Run lengths: the codec, its laws, and every damaged form that files hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as codec

from amodal import rle
from amodal.rle_validation import all_have_pixels, are_sound, sound_areas
from tests.annotation_files import CUP, CUP_POLYGON, CUP_SEEN, JUG, JUG_POLYGON, SIZE, pixels, text_rle

MASKS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).flatmap(lambda shape: arrays(bool, shape))
PAIRS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)


def encode(mask: np.ndarray) -> rle.Rle:
    return rle.encode(mask[None])[0]


def decode(mask: rle.Rle) -> np.ndarray:
    return rle.decode([mask], (mask["size"][0], mask["size"][1]))[0]


def column_runs(mask: np.ndarray) -> list[int]:
    """Run lengths by definition: counted pixel by pixel down the columns, background first."""
    counts, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = not value
        counts[-1] += 1
    return counts


@given(MASKS)
def test_runs_are_those_of_the_pixels(mask: np.ndarray):
    assert rle.runs(encode(mask)).tolist() == column_runs(mask)


@given(arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=9), elements=st.integers(0, 1)))
def test_the_text_is_the_codecs_own(masks: np.ndarray):
    whole = np.concatenate([masks, np.ones_like(masks[:1]), np.zeros_like(masks[:1])])
    theirs = codec.encode(np.asfortranarray(whole.transpose(1, 2, 0)))
    assert rle.encode(whole) == rle.encode(whole.astype(bool)) == theirs


@given(MASKS)
def test_runs_there_and_back(mask: np.ndarray):
    compressed = encode(mask)
    assert rle.from_runs(rle.runs(compressed), mask.shape) == compressed
    assert (decode(compressed) == mask).all()


@given(PAIRS)
def test_set_operations_are_those_of_the_pixels(pair: tuple[np.ndarray, np.ndarray]):
    first, second = map(encode, pair)
    assert (decode(rle.complement(first)) == ~pair[0]).all()
    assert (decode(rle.subtract(first, second)) == (pair[0] & ~pair[1])).all()
    assert (decode(rle.intersect(first, second)) == (pair[0] & pair[1])).all()
    assert (decode(rle.union([first, second])) == (pair[0] | pair[1])).all()


@given(MASKS)
def test_a_crop_is_the_pixels_in_the_box(mask: np.ndarray):
    pixels, left, top = rle.crop(encode(mask))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if mask.any():
        assert (top, left) == (rows[0], columns[0])
        np.testing.assert_array_equal(pixels, mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    else:
        assert (pixels.shape, left, top) == ((0, 0), 0, 0)
    assert rle.from_crop(pixels, left, top, mask.shape) == encode(mask)


def crops_of_every_kind(draw: st.DrawFn) -> tuple[np.ndarray, int, int, tuple[int, int]]:
    """Pixels from a place of an image: empty, full or mixed, without a side, one pixel, as tall or as wide as it."""
    height, width = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rows, columns = (draw(st.sampled_from([side, 0, 1]) | st.integers(0, side)) for side in (height, width))
    left, top = draw(st.integers(0, width - columns)), draw(st.integers(0, height - rows))
    fill = st.just(np.zeros((rows, columns), bool)) | st.just(np.ones((rows, columns), bool))
    return draw(fill | arrays(bool, (rows, columns))), left, top, (height, width)


@given(st.composite(crops_of_every_kind)())
def test_a_crop_of_any_kind_is_the_image_with_it(crop: tuple[np.ndarray, int, int, tuple[int, int]]):
    part, left, top, size = crop
    whole = np.zeros(size, dtype=bool)
    whole[top : top + part.shape[0], left : left + part.shape[1]] = part
    found = rle.from_crop(part, left, top, size)
    assert found == codec.encode(np.asfortranarray(whole.astype(np.uint8)))
    assert rle.runs(found).tolist() == column_runs(whole)


def test_an_empty_crop_as_tall_as_its_image():
    assert rle.from_crop(np.zeros((10, 4), bool), 0, 0, (10, 10)) == encode(np.zeros((10, 10), bool))


@given(MASKS, MASKS, st.data())
def test_windows_are_the_pixels_in_frames(first: np.ndarray, second: np.ndarray, data: st.DataObject):
    both, frames = [first, second, first], []
    for mask in both:
        (height, width), draw = mask.shape, data.draw
        left, top = draw(st.integers(0, width)), draw(st.integers(0, height))
        frames.append((left, top, draw(st.integers(0, width - left)), draw(st.integers(0, height - top))))
    found = list(rle.windows([encode(mask) for mask in both], frames))
    for mask, (left, top, width, height), part in zip(both, frames, found, strict=True):
        np.testing.assert_array_equal(part, mask[top : top + height, left : left + width])
    assert list(rle.windows([], [])) == []


def test_long_runs_need_several_characters():
    mask = np.zeros((300, 400), dtype=bool)
    mask[250:, 390:] = True
    assert rle.runs(encode(mask)).tolist() == column_runs(mask)


@given(MASKS)
def test_every_form_of_run_lengths_is_the_same_mask(mask: np.ndarray):
    compressed, size = encode(mask), list(mask.shape)
    text = compressed["counts"].decode()
    for counts in (compressed["counts"], text, column_runs(mask)):
        assert rle.from_json({"size": size, "counts": counts}, mask.shape) == (compressed, 0)


def test_polygons_flat_or_listed_are_the_same_mask():
    both = [CUP_POLYGON, JUG_POLYGON]
    assert (decode(rle.from_json([CUP_POLYGON], SIZE)[0]) == CUP).all()
    assert (decode(rle.from_json(CUP_POLYGON, SIZE)[0]) == CUP).all()
    assert (decode(rle.from_json(both, SIZE)[0]) == (CUP | JUG)).all()


def test_polygons_that_enclose_nothing_are_left_out_and_counted():
    mask, dropped = rle.from_json([CUP_POLYGON, [1, 1, 2, 2], [0, 0, 4, 0, 4, 4, 1]], SIZE)
    assert dropped == 2
    assert (decode(mask) == CUP).all()
    mask, dropped = rle.from_json([], SIZE)
    assert (decode(mask).sum(), dropped) == (0, 0)


def test_what_leaves_the_image_is_cut_off():
    mask, _ = rle.from_json([[-3, -2, 3, -2, 3, 4, -3, 4]], SIZE)
    assert (decode(mask) == pixels("###", "###", "###", "###")).all()


GOOD = text_rle(CUP_SEEN)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (None, "neither run lengths nor polygons"),
        ("text", "neither run lengths nor polygons"),
        ({"size": [6, 8]}, "neither run lengths nor polygons"),
        ({"size": [6, 9], "counts": GOOD["counts"]}, "not the image's"),
        ({"counts": GOOD["counts"]}, "not the image's"),
        ({"size": [6, 8], "counts": ""}, "cut short"),
        ({"size": [6, 8], "counts": GOOD["counts"][:-1]}, "cut short|do not add up"),
        ({"size": [6, 8], "counts": GOOD["counts"] + "1"}, "do not add up"),
        ({"size": [6, 8], "counts": "P"}, "cut short"),
        ({"size": [6, 8], "counts": "é"}, "do not add up"),
        ({"size": [6, 8], "counts": "~~"}, "do not belong"),
        ({"size": [6, 8], "counts": "P" * 20 + "0"}, "do not add up"),
        ({"size": [6, 8], "counts": [40, 7]}, "do not add up"),
        ({"size": [6, 8], "counts": [50, -2]}, "do not add up"),
        ({"size": [6, 8], "counts": [40.5, 7.5]}, "whole numbers"),
        ({"size": [6, 8], "counts": [[40], 8]}, "whole numbers"),
        ({"size": [6, 8], "counts": ["40", "8"]}, "whole numbers"),
        ([[0, 0, 4, 0, 4, "x"]], "no number"),
        ([[0, 0, 4, 0, 4, None]], "NaN|no number"),
        ([[0, 0, 4, 0, 4, float("nan")]], "NaN"),
        ([[0, 0, 4, 0, 4, 1e12]], "far outside"),
        ([{"x": 1}], "no number"),
    ],
)
def test_damaged_masks_are_refused_before_the_codec_sees_them(mask: object, message: str):
    with pytest.raises(ValueError, match=message):
        rle.from_json(mask, SIZE)


def test_empty_lists():
    assert rle.encode(np.zeros((0, 3, 4), dtype=bool)) == []
    assert rle.decode([], (3, 4)).shape == (0, 3, 4)
    assert rle.areas([]).shape == (0,)
    assert rle.ious([], [encode(CUP)]).shape == (0, 1)


@given(st.lists(st.tuples(MASKS, st.sampled_from([None, "cut", "more", "size", "junk"])), max_size=6))
def test_many_are_judged_as_one_by_one(masks: list[tuple[np.ndarray, str | None]]):
    stated = []
    for mask, damage in masks:
        compressed = encode(mask)
        if damage == "size":
            compressed["size"] = [mask.shape[0] + 1, mask.shape[1]]
        changed = {"cut": compressed["counts"][:-1], "more": compressed["counts"] + b"3", "junk": b"~"}
        compressed["counts"] = changed.get(damage or "", compressed["counts"])
        stated.append(compressed)
    assert sound_areas(stated).tolist() == [area(mask) for mask in stated]
    assert are_sound(stated).tolist() == [area(mask) >= 0 for mask in stated]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=40), max_size=4))
def test_an_empty_mask_among_many_is_seen(many: list[list[int]]):
    stated = [rle.from_runs(counts, [1, sum(counts)]) for counts in many if sum(counts)]
    assert all_have_pixels(stated) == all(any(counts[1::2]) for counts in many if sum(counts))


@given(st.lists(st.tuples(st.binary(max_size=12), st.integers(0, 40)), min_size=1, max_size=4))
def test_any_text_is_judged_as_one_by_one(texts: list[tuple[bytes, int]]):
    legible = bytes(range(48, 112))
    stated = [rle.Rle(size=[1, n], counts=bytes(legible[c % 64] for c in text)) for text, n in texts]
    assert [sound_areas([mask]).tolist() for mask in stated] == [[area(mask)] for mask in stated]
    assert sound_areas(stated).tolist() == [area(mask) for mask in stated]


@pytest.mark.parametrize("large", [2**28, 2**29 - 1, 2**31, 2**32, 2**33, 2**40, 2**64])
@pytest.mark.parametrize("runs", ["LL", "0LL", "LLLL", "1L2L3L4L5L6L7L8L", "L" * 16])
def test_numbers_that_overflow_make_no_mask_sound(large: int, runs: str):
    text = b"".join(rle._text(large if run == "L" else int(run)) for run in runs)
    stated = rle.Rle(size=[4, 5], counts=text)
    assert sound_areas([stated]).tolist() == [area(stated)] == [-1]


def test_large_images_are_judged_too():
    masks = [rle.from_runs([n, 5, 65_535 * 65_535 - n - 5], [65_535, 65_535]) for n in (0, 3, 2**20, 2**31)]
    assert sound_areas(masks).tolist() == [5] * 4


def area(mask: rle.Rle) -> int:
    try:
        return int(rle.runs(mask)[1::2].sum())
    except ValueError:
        return -1


@pytest.mark.parametrize(
    "rows", ["....", "####", ".###", "#...", ".#.#", "#.#.", "##.#.##..#.##", "." * 40 + "#" * 50 + ".#"]
)
def test_the_complement_is_written_as_the_codec_writes_it(rows: str) -> None:
    mask = np.array([[c == "#" for c in rows]])
    one, other = encode(mask), encode(~mask)
    assert (rle.complement(one), rle.complement(other)) == (other, one)
