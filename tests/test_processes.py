"""One process is a world of one; devices that are not there are refused."""

import pytest
import torch

from amodal import processes
from amodal.errors import UserError


def test_one_process_needs_no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined("cpu") as device:
        assert device == torch.device("cpu")
        assert (processes.rank(), processes.world_size(), processes.is_lead()) == (0, 1, True)
        assert processes.gather({"a": 1}) == [{"a": 1}]
        processes.wait()


@pytest.mark.parametrize("name", ["tpu9", "cuda:99", "xpu:7"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"device '{name}' cannot be used.*Pass --device cpu or cuda"):
        processes.choose_device(name)


def test_auto_takes_this_processes_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    expected = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    assert processes.choose_device() == expected
