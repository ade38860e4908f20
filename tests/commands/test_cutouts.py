"""`amodal cutouts`: what is cut out of product shots and annotated photographs, and what is never replaced."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from amodal.cli import main
from amodal.errors import UserError
from amodal.formats import coco
from amodal.synthesis.config import CutOutConfig
from amodal.synthesis.cutout_folder import CutOutFolder, read_list
from amodal.synthesis.cutout_sheet import TILES, sheet_names
from amodal.synthesis.cutouts import FolderCutOuts
from amodal.synthesis.cutting import Shot, file_name, shots_of_photographs
from amodal.synthesis.product_shots import cut_out
from tests.synthesis.test_cutouts import disc_set

pytest.importorskip("cv2")
benchmark = pytest.importorskip("benchmarks.cutouts")

HEIGHT, WIDTH = 180, 240
RED, BLUE = (190, 40, 30), (40, 60, 190)
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def disc(row: float, column: float, radius: float) -> np.ndarray:
    return (Y - row) ** 2 + (X - column) ** 2 <= radius**2


def shot(*things: tuple[np.ndarray, tuple[int, int, int]], back: tuple[int, int, int] = (235, 235, 230)) -> np.ndarray:
    """Things in a studio: light that falls off to one side, a soft shadow beside each, the noise of a camera."""
    picture = np.ones((HEIGHT, WIDTH, 3)) * back * (1 - 0.12 * X / WIDTH)[..., None]
    for mask, _ in things:
        shadow = ndimage.gaussian_filter(np.roll(mask, (8, 10), (0, 1)).astype(float), 9)
        picture *= 1 - 0.35 * shadow[..., None]
    for mask, colour in things:
        soft = ndimage.gaussian_filter(mask.astype(float), 0.7)[..., None]
        picture = picture * (1 - soft) + np.array(colour) * (0.8 + 0.2 * Y / HEIGHT)[..., None] * soft
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def mask_of(rgba: np.ndarray, row: int, column: int) -> np.ndarray:
    """A cut-out's mask put back to where its middle was."""
    whole = np.zeros((HEIGHT, WIDTH), bool)
    top, left = row - rgba.shape[0] // 2, column - rgba.shape[1] // 2
    whole[top : top + rgba.shape[0], left : left + rgba.shape[1]] = rgba[..., 3] >= 128
    return whole


@pytest.mark.parametrize("back", [(250, 250, 250), (235, 235, 230), (60, 90, 170), (20, 20, 20)])
def test_a_thing_is_cut_out_without_its_shadow_and_its_background(back):
    thing = disc(90, 110, 45)
    (rgba,) = cut_out(shot((thing, RED), back=back), CutOutConfig())
    found = mask_of(rgba, 90, 110)
    assert (found & thing).sum() / (found | thing).sum() > 0.95
    seen = rgba[rgba[..., 3] > 0][:, :3].astype(int)
    assert (seen[:, 0] - seen[:, 2]).min() > 60, "red to the very edge"
    assert {0, 255} < set(np.unique(rgba[..., 3]).tolist()), "the edge is soft"
    assert rgba[0, :, 3].max() == rgba[:, 0, 3].max() == 0, "cropped with a pixel around"
    again = cut_out(shot((thing, RED), back=back), CutOutConfig())
    assert np.array_equal(rgba, again[0])


def test_a_handle_s_hole_stays_and_a_highlight_is_filled():
    ring = disc(90, 110, 50) & ~disc(90, 110, 25)
    (holed,) = cut_out(shot((ring, BLUE)), CutOutConfig())
    assert mask_of(holed, 90, 110)[90, 110] == 0
    (filled,) = cut_out(shot((ring, BLUE)), CutOutConfig(fill_holes=True))
    assert mask_of(filled, 90, 110)[90, 110] == 1
    spotted = disc(90, 110, 50) & ~disc(80, 100, 3)
    (whole,) = cut_out(shot((spotted, BLUE)), CutOutConfig())
    assert mask_of(whole, 90, 110)[80, 100] == 1


def test_several_things_are_refused_split_or_taken_together():
    two = shot((disc(90, 180, 35), BLUE), (disc(90, 60, 35), RED), (disc(20, 120, 4), RED))
    with pytest.raises(UserError, match=r"shows 2 things.*--several split"):
        cut_out(two, CutOutConfig())
    left, right = cut_out(two, CutOutConfig(several="split"))
    assert left[35, 35, 0] > left[35, 35, 2]
    assert right[35, 35, 0] < right[35, 35, 2]
    (together,) = cut_out(two, CutOutConfig(several="together"))
    assert together.shape[1] > 180


@pytest.mark.parametrize(
    ("pixels", "problem"),
    [
        (shot(), "nothing stands out"),
        (shot((disc(90, 225, 40), RED)), "cut by its border"),
        (shot((disc(90, 110, 10), RED)), r"has \d+ pixels, fewer than 1,024"),
        (np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8), "background is not plain"),
        (shot((disc(90, 110, 45), (226, 226, 221))), "hardly differs|nothing stands out"),
        (np.zeros((3, 3, 3), np.uint8), "nothing stands out"),
        (np.zeros((1, 400, 3), np.uint8), "nothing stands out"),
    ],
)
def test_what_cannot_be_cut_out_says_why(pixels, problem):
    with pytest.raises(UserError, match=problem):
        cut_out(pixels, CutOutConfig())


def test_large_photographs_are_shrunk_first():
    large = np.asarray(Image.fromarray(shot((disc(90, 110, 45), RED))).resize((3 * WIDTH, 3 * HEIGHT)))
    (rgba,) = cut_out(large, CutOutConfig(side=WIDTH))
    assert abs(rgba.shape[0] - 92) <= 4
    with pytest.raises(UserError, match="--side must be 16 or more"):
        CutOutConfig(side=4)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder but for photographs: two views of one ball, other balls, and two pictures that are no good."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        thing = (disc(90, 90 + 20 * number, 40), RED)
        save(tmp_path / "photos" / "ball" / "big" / f"{number}.png", shot(thing))
        save(tmp_path / "photos" / "cube" / f"{number}.jpg", shot(((abs(Y - 90) < 30) & (abs(X - 100) < 30), BLUE)))
        for kind in "ab":
            save(tmp_path / "photos" / "ball" / f"{kind}{number}.png", shot(thing, back=(40, 60, 150)))
    save(tmp_path / "photos" / "ball" / "two.png", shot((disc(90, 180, 35), BLUE), (disc(90, 60, 35), RED)))
    (tmp_path / "photos" / "ball" / "broken.png").write_text("no picture")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(line: str) -> int:
    try:
        main(line.split())
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_folder_of_photographs_becomes_cut_outs_that_scenes_are_made_of(shop, capsys):
    assert run("cutouts photos --out cutouts --workers 2") == 2
    shown, said = capsys.readouterr()
    assert "cutouts: 12 cut-outs of 14 photographs; look at cutouts/sheet.jpg" in shown
    assert "photos/ball/two.png: shows 2 things" in said + shown
    assert "photos/ball/broken.png: cannot be read" in said + shown
    assert "amodal: 2 of 14 photographs gave no cut-out" in said
    found = FolderCutOuts("cutouts")
    assert found.categories == ("ball", "cube")
    assert sorted(len(views) for views in found.objects[0]) == [1] * 6 + [3]
    assert len(read_list(Path("cutouts/cutouts.jsonl"))) == 14
    with Image.open("cutouts/sheet.jpg") as opened:
        pixels = np.asarray(opened.convert("RGB")).astype(int)
    magenta = np.abs(pixels - (255, 0, 255)).max(axis=2) < 60
    assert magenta.mean() > 0.02, "what is left out of a photograph is seen on the sheet"
    assert run("cutouts photos --out alone --workers 1") == 2
    one, two = contents(Path("alone")), contents(Path("cutouts"))
    assert one == two, "the number of processes changes nothing"
    assert run("synth --out scenes --cutouts cutouts --count 2 --size 96 96 --workers 1") == 0
    names = {c["name"] for c in json.loads(Path("scenes/annotations.json").read_text())["categories"]}
    assert names == {"ball", "cube"}


def test_only_what_an_earlier_run_wrote_makes_way(shop, capsys):
    (shop / "photos" / "ball" / "broken.png").unlink()
    assert run("cutouts photos --out cutouts --several split") == 0
    before = contents(Path("cutouts"))
    assert {"ball/two-1.png", "ball/two-2.png"} <= before.keys()
    assert run("cutouts photos --out cutouts") == 2
    assert "cutouts: holds cut-outs already. Choose another --out, or add --overwrite" in capsys.readouterr().err
    assert contents(Path("cutouts")) == before
    save(shop / "cutouts" / "ball" / "mine.png", np.zeros((4, 4, 4), np.uint8))
    assert run("cutouts photos/cube --category box --out cutouts --overwrite") == 0
    mine = contents(Path("cutouts"))
    assert sorted(mine) == ["ball/mine.png", "box/0.png", "box/1.png", "box/2.png", "cutouts.jsonl", "sheet.jpg"]
    save(shop / "photos" / "cube" / "mine.jpg", shot((disc(90, 110, 45), RED)))
    assert run("cutouts photos/cube/mine.jpg --category ball --out cutouts --overwrite") == 0
    (shop / "cutouts" / "cutouts.jsonl").unlink()  # now nothing there is known as an earlier run's
    assert run("cutouts photos/cube/mine.jpg --category ball --out cutouts") == 2
    assert "is there already" in capsys.readouterr().err


def test_photographs_are_never_written_over(shop, capsys):
    before = contents(shop / "photos")
    assert run("cutouts photos --out photos") == 2
    assert "photos: lies in the folder to write to" in capsys.readouterr().err
    assert run("cutouts photos/ball --out photos --overwrite") == 2
    assert run("cutouts photos/cube --out photos/cube/found") == 0
    assert run("cutouts photos/cube --out photos/cube/found --overwrite") == 0, "its own are no photographs"
    assert "3 cut-outs of 3 photographs" in capsys.readouterr().out.splitlines()[-1]
    assert {name: data for name, data in contents(shop / "photos").items() if name in before} == before


def test_an_interruption_leaves_what_is_done_and_all_stays_known(shop, monkeypatch):
    (shop / "photos" / "ball" / "broken.png").unlink()
    assert run("cutouts photos/cube --category cube --out cutouts") == 0

    def interrupted(self, cut, add=CutOutFolder.add):
        if self.count == 2:
            raise KeyboardInterrupt
        add(self, cut)

    monkeypatch.setattr(CutOutFolder, "add", interrupted)
    assert run("cutouts photos/ball/big --category ball --out cutouts --overwrite --workers 1") == 130
    names = [name for line in read_list(Path("cutouts/cutouts.jsonl")) for name in line["files"]]
    assert names == ["ball/0.png", "ball/1.png", "cube/0.png", "cube/1.png", "cube/2.png"]
    monkeypatch.undo()
    monkeypatch.chdir(shop)
    assert run("cutouts photos/ball/big --category ball --out cutouts --overwrite") == 0
    assert sorted(contents(Path("cutouts"))) == [*(f"ball/{n}.png" for n in range(3)), "cutouts.jsonl", "sheet.jpg"]


def test_whole_objects_of_annotated_photographs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    coco.write(disc_set(tmp_path), tmp_path / "instances.json")
    assert run("cutouts instances.json --images . --out cutouts --min-area 100 --workers 1") == 0
    assert "4 cut-outs of 4 objects" in capsys.readouterr().out
    assert [len(line["files"]) for line in read_list(Path("cutouts/cutouts.jsonl"))] == [1] * 4
    assert FolderCutOuts("cutouts").categories == ("box",)
    for line in ("instances.json --images . --category a", "instances.json ."):
        assert run(f"cutouts {line} --out other") == 2
        assert "annotations stand alone" in capsys.readouterr().err
    assert not Path("other").exists()


def test_folders_name_category_and_object(tmp_path):
    for name in ("a.png", "A.jpg", "cup/b.png", "cup/red/c.png", "cup/red/deep/d.png", "out/e.png"):
        save(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    shots = shots_of_photographs([tmp_path], None, tmp_path / "out")
    assert {f"{s.folder}/{s.stem}" for s in shots} == {
        "object/A", "object/a-2", "cup/b", "cup/red/c", "cup/red-deep/d",
    }  # fmt: skip
    (named,) = shots_of_photographs([tmp_path / "cup" / "b.png"], "mug / beer", tmp_path / "out")
    assert named == Shot(tmp_path / "cup" / "b.png", "mug - beer", "b")
    assert named.category == "mug - beer"
    assert [file_name(text) for text in ("..", "a/b", ".hidden", "con?")] == ["object", "a-b", "hidden", "con-"]
    with pytest.raises(UserError, match="no photographs outside"):
        shots_of_photographs([tmp_path / "out"], None, tmp_path / "out")


def test_the_benchmark_s_own_measure():
    truth = disc(90, 110, 40)
    rows, columns = ndimage.find_objects(truth.astype(int))[0]
    assert benchmark.iou(truth[rows, columns], truth) == 1
    assert benchmark.iou(np.pad(truth[rows, columns], 1), truth) == 1, "a pixel around it moves nothing"
    assert 0.4 < benchmark.iou(truth[rows, 110 : columns.stop], truth) < 0.6
    rgba = np.dstack([np.full((40, 30, 3), 90, np.uint8), np.full((40, 30), 255, np.uint8)])
    pixels, mask = benchmark.studio(rgba, (200, 200, 200), np.random.default_rng(0))
    assert pixels.shape[:2] == mask.shape
    assert abs(mask.sum() - 80 * 60) < 200


def test_there_are_as_many_sheets_as_photographs_need():
    assert sheet_names(TILES) == ["sheet.jpg"]
    assert sheet_names(TILES + 1) == ["sheet-001.jpg", "sheet-002.jpg"]


@pytest.mark.parametrize(
    "text",
    ["no json", "[]", '{"files": 5}', '{"files": ["../a.png"]}', '{"files": ["/a.png"]}', '{"files": ["a.txt"]}'],
)
def test_a_damaged_list_is_one_line(tmp_path, text):
    (tmp_path / "cutouts.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"cutouts\.jsonl"):
        read_list(tmp_path / "cutouts.jsonl")
