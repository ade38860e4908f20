"""What holds for every test."""

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A shell's background job ignores Ctrl+C, and so would every command that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes no law false: nothing here may fail on time. Fixtures such as tmp_path are shared by all examples
# of a test on purpose: each example writes over what the one before it left.
settings.register_profile(
    "amodal", deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
settings.load_profile("amodal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long ones first: the last of them, begun at the end, would run alone while the other processes have nothing."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def no_files_left_in_memory() -> Iterator[None]:
    """`memory://` is one file system for the whole process: what a test puts there is no other test's."""
    yield
    if module := sys.modules.get("fsspec.implementations.memory"):
        module.MemoryFileSystem.store.clear()
        module.MemoryFileSystem.pseudo_dirs[:] = [""]
