"""Real commands on real clusters, whose processes, machines and commands are killed: the outcome is one process's."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from amodal.annotations import Category
from amodal.cli import main
from amodal.errors import UserError
from amodal.models.checkpoint import Checkpoint, save
from amodal.scale.cluster import connected
from amodal.scale.packed import unpacked
from amodal.scale.shards import About, ShardFolder
from amodal.scale.work import Cluster, run
from tests.places import ROOT
from tests.scale.test_scale import local  # noqa: F401 - a fixture
from tests.scale_tasks import PARTS, Squares, wait_until
from tests.small_models import SMALL, small_model

HELD = PARTS[2].start
"""Parts from this number on wait until the killing is over."""
pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore")]  # Ray's own


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Scenes, one of them damaged beside them, and a model of their first categories; names are relative to it."""
    monkeypatch.chdir(tmp_path)
    main(["synth", "--out", "scenes", "--count", "12", "--size", "96", "96", "--workers", "1"])
    Path("scenes/images/zz.jpg").write_text("no picture")
    categories = [Category(n, name) for n, name in enumerate(("cup", "pear", "cow"), start=1)]
    save(Path("model.safetensors"), Checkpoint(small_model(SMALL).eval(), SMALL, categories))
    return tmp_path


def predicted(*flags: str) -> None:
    main(["predict", "model.safetensors", "scenes/images", "--score", "0.01", *flags])


def numbers(shards: ShardFolder) -> list[int]:
    return [row for table in shards.tables() for row in unpacked(table, int)]


def started(notes: Path) -> set[int]:
    """The processes that have begun with a part."""
    return {int(path.name.split("-")[1]) for path in notes.iterdir()}


def is_alive(process: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_machine_of_two_is_lost(tmp_path, monkeypatch):
    """Two raylets on this machine; the one that the command does not belong to is killed, and all its processes.

    It stands before those that have a cluster of their own, which would be taken for this one.
    """
    utils, ray = pytest.importorskip("ray.cluster_utils"), pytest.importorskip("ray")
    assert not ray.is_initialized()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))
    (tmp_path / "notes").mkdir()
    shards, killed = ShardFolder(tmp_path / "out"), []
    cluster = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 2**27})
    try:
        with monkeypatch.context() as another, pytest.raises(UserError, match="Version mismatch") as told:
            another.setattr("ray.__version__", "1.0")
            with connected(cluster.address):
                pass
        assert "\n" not in str(told.value)
        second = cluster.add_node(num_cpus=1, object_store_memory=2**27)
        task = Squares(tmp_path / "notes", held=HELD)

        def kill() -> None:
            try:
                wait_until(lambda: len(started(task.notes)) >= 2 and len(shards.missing(len(PARTS))) < len(PARTS))
                cluster.remove_node(second, allow_graceful=False)
                killed.append(len(shards.missing(len(PARTS))))
            finally:
                task.released.touch()

        killer = threading.Thread(target=kill)
        killer.start()
        where = Cluster(cluster.address)
        run(task, PARTS, shards, About(len(PARTS), {}), cluster=where, existing="resume")
        killer.join()
        assert 0 < killed[0] < len(PARTS)
        assert numbers(shards) == [n**2 for n in range(60)]
    finally:
        cluster.shutdown()


@pytest.mark.usefixtures("local", "world")
def test_predictions_are_those_of_one_process():
    with pytest.raises(SystemExit):  # the damaged picture
        predicted("--out", "plain", "--device", "cpu")
    with pytest.raises(SystemExit) as ended:
        predicted("--out", "shards", "--ray", "local")
    assert ended.value.code == 2
    main(["join", "shards", "--out", "r.json", "--images", "i.json"])
    assert Path("r.json").read_bytes() == Path("plain/predictions.json").read_bytes()
    images = json.loads(Path("plain/images.json").read_text())["images"]
    known = [{key: image[key] for key in ("id", "file_name", "height", "width")} for image in images]
    assert json.loads(Path("i.json").read_text())["images"] == known


@pytest.mark.usefixtures("local", "world")
def test_reports_and_completed_annotations_are_those_of_one_process():
    model = "demo"
    main(["evaluate", model, "scenes", "--device", "cpu", "--workers", "0", "--out", "plain.json"])
    main(["evaluate", model, "scenes", "--ray", "local", "--out", "many.json"])
    plain, many = (json.loads(Path(name).read_text()) for name in ("plain.json", "many.json"))
    assert plain["analysis"]["invisible_calibration"]["counts"]
    assert plain == many
    main(["complete", "scenes/annotations.json", "--out", "whole.json", "--device", "cpu"])
    main(["complete", "scenes/annotations.json", "--out", "whole-many.json", "--ray", "local"])
    assert Path("whole.json").read_bytes() == Path("whole-many.json").read_bytes()
    assert not list(Path().glob("*.shards"))


COMMAND = """
import sys
from pathlib import Path
from tests.scale_tasks import PARTS, Squares
from amodal.scale.shards import About, ShardFolder
from amodal.scale.work import Cluster, run

task = Squares(Path("notes").absolute(), held=int(sys.argv[1]))
run(task, PARTS, ShardFolder(Path("out")), About(len(PARTS), {}), cluster=Cluster("local"), existing="resume")
"""


def test_a_command_that_is_killed_goes_on(tmp_path):
    (tmp_path / "notes").mkdir()
    path = os.pathsep.join([str(ROOT), *sys.path])
    said = os.open(tmp_path / "said.txt", os.O_WRONLY | os.O_CREAT)
    shards, line = ShardFolder(tmp_path / "out"), [sys.executable, "-c", COMMAND, str(HELD)]
    task = Squares(tmp_path / "notes", held=HELD)
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": path}, "stderr": said}
    with subprocess.Popen(line, **options) as driver:
        wait_until(lambda: driver.poll() is not None or len(PARTS) - len(shards.missing(len(PARTS))) >= 2)
        driver.send_signal(signal.SIGKILL)
    missing = len(shards.missing(len(PARTS)))
    assert 0 < missing < len(PARTS), (tmp_path / "said.txt").read_text()
    wait_until(lambda: not any(map(is_alive, started(task.notes))))  # the cluster's processes end after its command
    task.released.touch()
    before = {path: path.stat().st_mtime_ns for path in shards.folder.glob("part-*")}
    assert subprocess.run(line, **options, timeout=1800, check=False).returncode == 0
    assert numbers(shards) == [n**2 for n in range(60)]
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(list(shards.folder.iterdir())) == len(PARTS) + 1
