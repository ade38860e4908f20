"""The page under load and under attack: strangers' names, broken requests, pictures kept no longer than needed."""

import asyncio
import contextlib
import json
import os
import re
import tempfile
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal.demo import model_processes
from amodal.demo import shelf as shelf_module
from amodal.demo.model_processes import ModelProcesses
from amodal.demo.session import Session
from amodal.demo.shelf import Shelf
from amodal.errors import UserError
from amodal.inference.predictor import Predictor
from tests.demo.test_page import PREDICTOR, TwoBars, write_picture
from tests.odd_models import missing, odd
from tests.training_processes import PROCESSES

if find_spec("gradio") is None:  # asked, not imported: every process of the tests collects this file
    pytest.skip("the page needs Gradio", allow_module_level=True)
httpx = pytest.importorskip("httpx")
guard = pytest.importorskip("amodal.demo.guard")

NAMES = guard.own_names("0.0.0.0", ["models.example.org"])


@pytest.mark.parametrize(
    ("header", "own"),
    [
        *(
            (name, True)
            for name in ("localhost:7860", "127.0.0.1:7860", "[::1]:7860", "10.0.0.7", "Models.Example.ORG.:80")
        ),
        *(
            (name, False)
            for name in ("evil.example", "", "127.0.0.1.evil.example", "localhost.evil.example:7860", "[x]")
        ),
    ],
)
def test_the_page_answers_to_its_own_names(header, own):
    assert guard.is_own(header, NAMES) is own


def session(side: int = 64) -> Session:
    pixels = np.zeros((side, side, 3), np.uint8)
    return Session(pixels, PREDICTOR.predict(pixels, score_threshold=0.0))


def test_what_is_kept_is_small_and_comes_back_as_it_was(tmp_path):
    shelf, opened = Shelf(), session(512)
    assert shelf.put("a", opened, tmp_path / "a")
    again = shelf.get("a")
    assert again is not None
    for name in ("amodal_masks", "visible_masks", "boxes", "scores"):
        assert (getattr(again.result, name) == getattr(opened.result, name)).all()
    assert again.result.amodal_masks.dtype == bool
    assert shelf.num_bytes < opened.pixels.nbytes + 10_000
    assert shelf.get("b") is None


def test_pictures_are_let_go_when_idle_or_too_many(tmp_path, monkeypatch):
    now = [0.0]
    shelf = Shelf(lambda: now[0])
    folders = {key: tmp_path / key for key in "abc"}
    for folder in folders.values():
        folder.mkdir()
    one = session().pixels.nbytes
    monkeypatch.setattr(shelf_module, "MOST_OF_ALL", 2 * one + 2000)
    for key in "abc":  # the third pushes out the first
        assert shelf.put(key, session(), folders[key])
    assert [folder.exists() for folder in folders.values()] == [False, True, True]
    now[0] = shelf_module.IDLE
    assert shelf.get("b")
    now[0] += 1
    shelf.sweep()
    assert [folder.exists() for folder in folders.values()] == [False, True, False]
    monkeypatch.setattr(shelf_module, "MOST_OF_ONE", one)
    assert not shelf.put("b", session(), folders["b"])
    assert len(shelf) == 0


def test_old_files_are_removed_and_examples_stay(tmp_path):
    page = pytest.importorskip("amodal.demo.page")
    for name in ("a/old.png", "b/new.png", "c/example.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    for name in ("a/old.png", "c/example.png"):
        os.utime(tmp_path / name, (0, 0))
    page.remove_old(tmp_path, {str(tmp_path / "c/example.png")})
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {
        *("a", "b", "b/new.png", "c", "c/example.png")
    }


def test_the_guard_speaks_where_the_server_breaks():
    async def broken(scope, receive, send):
        raise KeyError("/home/somebody/secret")

    async def ask(host: str) -> Any:
        transport = httpx.ASGITransport(guard.Guard(broken, NAMES, lambda address: 0, 1))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.post("/gradio_api/upload")

    answer = asyncio.run(ask("localhost"))
    assert (answer.status_code, answer.text) == (400, "This request is not understood.")
    assert asyncio.run(ask("evil.example")).status_code == 403


def test_an_address_has_its_share_of_the_queue():
    async def server(scope, receive, send):
        await guard.PlainTextResponse("taken")(scope, receive, send)

    async def join(address: str) -> Any:
        stood = guard.Guard(server, NAMES, {"10.0.0.7": 3, "10.0.0.8": 2}.__getitem__, 3)
        transport = httpx.ASGITransport(stood, client=(address, 4000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/gradio_api/queue/join")

    refused = asyncio.run(join("10.0.0.7"))
    assert refused.status_code == 429
    assert "3 requests from your address wait already" in refused.json()["detail"]
    assert asyncio.run(join("10.0.0.8")).status_code == 200


def coloured(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((60, 80, 3), colour, np.uint8)


@pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked at in /proc")
def test_a_look_that_takes_too_long_is_ended_and_the_next_one_answered():
    with ModelProcesses(odd, count=1, seconds=1.0) as model:
        predictor, first = Predictor(model), children()
        assert len(predictor.predict(coloured((0, 0, 0)))) == 2
        with pytest.raises(UserError, match="longer than 1 s and was stopped"):
            predictor.predict(coloured((255, 0, 0)))
        until = monotonic() + 30  # the new process is started beside the answer
        while len(second := children()) != len(first) and monotonic() < until:
            sleep(0.01)
        assert len(second) == len(first)
        assert second != first  # the process that did not end is gone, another one stands in its place
        with pytest.raises(UserError, match="The model broke on this picture"):
            predictor.predict(coloured((0, 255, 0)))
        assert predictor.predict(coloured((0, 0, 0))).names == ("post", "rail / beam")
        box = predictor.complete(coloured((0, 0, 0)), boxes=[(0, 0, 9, 9)])
        assert box.amodal_masks is not None
    assert len(children()) == len(first) - 1


def test_a_model_that_cannot_be_loaded_says_why():
    with pytest.raises(UserError, match=r"x\.safetensors: no such model"):
        ModelProcesses(missing, count=2)


def children() -> set[int]:
    """Processes of models that this one has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            parent = int((path.parent / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid() and b"spawn_main" in path.read_bytes():
                found.add(int(path.parent.name))
    return found


class Client:
    """Somebody's browser, without the browser: Gradio's own requests."""

    def __init__(self, address: str, key: str) -> None:
        self.http = httpx.AsyncClient(base_url=address, timeout=600)
        self.key = key

    async def prepare(self) -> None:
        config = (await self.http.get("/config")).json()
        self.parts = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self.events = {tuple(dep["targets"][0]): dep["id"] for dep in config["dependencies"] if dep["targets"]}

    async def upload(self, path: Path) -> str:
        answer = await self.http.post("/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
        answer.raise_for_status()
        return answer.json()[0]

    async def call(self, part: str, event: str, data: list[object], event_data: object = None) -> dict:
        """The outcome of one event, as the queue tells it."""
        number = self.events[self.parts[part], event]
        body = {"data": data, "fn_index": number, "session_hash": self.key, "event_data": event_data}
        joined = await self.http.post("/gradio_api/queue/join", json=body)
        joined.raise_for_status()
        async with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.key}) as stream:
            async for line in stream.aiter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed" and message["event_id"] == joined.json()["event_id"]:
                    return message
        raise AssertionError("the stream ended")

    async def look(self, path: str) -> dict:
        return await self.call("upload", "change", [{"path": path, "meta": {"_type": "gradio.FileData"}}, 0.5, "both"])

    async def change(self, least: float, kind: str) -> dict:
        return await self.call("score", "release", [least, kind, [None, None]])

    async def click(self, x: int, y: int) -> dict:
        return await self.call(
            "picture", "select", [0.5, "both", "peel", [None, None]], {"index": [x, y], "value": None}
        )


async def good(address: str, number: int, picture: Path) -> list[bool]:
    """Four requests of a person: a picture, then the slider, the choice and a click."""
    client = Client(address, f"good{number}")
    await client.prepare()
    outcomes = [await client.look(await client.upload(picture))]
    outcomes.append(await client.change(0.1, "both"))
    outcomes.append(await client.change(0.5, "invisible"))
    outcomes.append(await client.click(200, 320))
    await client.http.aclose()
    return [outcome["success"] for outcome in outcomes]


async def hostile(address: str, number: int, folder: Path) -> list[tuple[int, str]]:
    """Ten requests that no browser makes: their statuses and words."""
    client = Client(address, f"hostile{number}")
    await client.prepare()
    http, said = client.http, []

    async def ask(method: str, path: str, **options: object) -> None:
        answer = await http.request(method, path, **options)  # type: ignore[arg-type]
        said.append((answer.status_code, answer.text))

    (folder / "text.png").write_bytes(b"%!PS\n" + b"x" * 1000)
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\2\0\0\0" + b"\0" * 50
    (folder / "bomb.png").write_bytes(bomb)
    await ask("GET", "/", headers={"host": "evil.example"})
    await ask("POST", "/gradio_api/upload", files={"files": ("", b"x")})
    await ask(
        "POST",
        "/gradio_api/upload",
        content=b"--x\r\nbroken",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    await ask("POST", "/gradio_api/queue/join", content=b'{"data": ' + b"[" * 2000)
    await ask("POST", "/gradio_api/queue/join", json={"data": [1], "fn_index": 10**9, "session_hash": client.key})
    await ask("GET", "/gradio_api/file=/etc/passwd")
    await ask("GET", "/gradio_api/queue/data")
    for name in ("text.png", "bomb.png"):
        said.append((200, json.dumps(await client.look(await client.upload(folder / name)))))
    said.append((200, json.dumps(await client.look("/etc/passwd"))))
    await http.aclose()
    return said


def resident() -> int:
    """Megabytes of memory that this process holds."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


class Watched(TwoBars):
    """Counts how many look at the same time."""

    now = most = 0

    def detect(self, images, *, score_threshold=0.0, coarse=False):
        Watched.now += 1
        Watched.most = max(Watched.most, Watched.now)
        try:
            return super().detect(images, score_threshold=score_threshold)
        finally:
            Watched.now -= 1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.filterwarnings("ignore")  # Gradio's and its parts' own
def test_twelve_people_of_whom_three_are_hostile(tmp_path):
    from amodal.demo.page import serving

    picture = write_picture(tmp_path / "a.png", (480, 640))

    async def everybody(address: str) -> list:
        first = await good(address, 99, picture)  # so that what is loaded once is loaded before memory is read
        before = resident()
        people = [good(address, n, picture) if n % 4 else hostile(address, n, tmp_path) for n in range(12)]
        outcomes = await asyncio.gather(*people)
        return [first, before, resident(), outcomes]

    with serving(Predictor(Watched()), port=0) as address:
        first, before, after, outcomes = asyncio.run(everybody(address))
    assert first == [True] * 4
    for number, outcome in enumerate(outcomes):
        if number % 4:
            assert outcome == [True] * 4
            continue
        assert len(outcome) == 10
        statuses = [status for status, _ in outcome]
        assert max(statuses) < 500
        assert [statuses[n] for n in (0, 1, 5)] == [403, 400, 403]  # a stranger's name, no name, a file of the machine
        assert not any("Traceback" in words for _, words in outcome)
        for _, words in outcome[7:]:
            assert json.loads(words)["success"] is False
            for place in (tempfile.gettempdir(), str(Path.home()), str(Path.cwd())):
                assert place not in words
    assert 1 <= Watched.most <= 2
    assert after - before < 200


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Gradio's and its parts' own
def test_one_person_cannot_fill_the_queue_nor_stop_the_others(tmp_path, monkeypatch):
    """Sixty pictures on which the model never ends, from one address; another one's picture is seen."""
    page = pytest.importorskip("amodal.demo.page")
    monkeypatch.setattr(page, "MOST_OF_ONE_ADDRESS", 3)
    monkeypatch.setattr(model_processes, "_SPAWNED", PROCESSES)  # a process that is ended is soon replaced
    endless, plain = tmp_path / "red.png", write_picture(tmp_path / "a.png")
    Image.fromarray(coloured((255, 0, 0))).save(endless)

    async def attack(address: str) -> tuple[list[int], float, dict, dict]:
        greedy, other = Client(address, "greedy"), Client(address, "other")
        await greedy.prepare()
        await other.prepare()
        other.http.headers["x-forwarded-for"] = "10.1.2.3"  # as a proxy on this machine says it
        path = await greedy.upload(endless)
        number = greedy.events[greedy.parts["upload"], "change"]
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, 0.5, "both"]
        statuses, since = [], monotonic()
        for n in range(60):
            body = {"data": data, "fn_index": number, "session_hash": f"greedy{n}"}
            statuses.append((await greedy.http.post("/gradio_api/queue/join", json=body)).status_code)
        most = 3 + 2 * (monotonic() - since + 2)  # those that wait, and two a second that are ended
        seen = await other.look(await other.upload(plain))
        stopped = await greedy.look(path)
        return statuses, most, seen, stopped

    with ModelProcesses(odd, count=2, seconds=1.0) as model:
        with page.serving(Predictor(model), port=0) as address:
            statuses, most, seen, stopped = asyncio.run(attack(address))
    assert 3 <= statuses.count(200) <= most
    assert set(statuses) == {200, 429}
    assert seen["success"] is True
    assert stopped["success"] is False
    assert "longer than 1 s and was stopped" in json.dumps(stopped)
