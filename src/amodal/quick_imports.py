"""What makes the first answer come sooner: libraries without the parts of them that are not used."""

import sys
from importlib.util import find_spec
from types import ModuleType
from typing import Any

COMPILER = ("torch._dynamo", "torch._dynamo.utils")


def import_torchvision() -> None:
    """Imports torchvision without torch's compiler, which takes longer to import than torch itself.

    One operator of torchvision asks the compiler whether it works, for deterministic results on a GPU, and imports it
    for that. While torchvision is imported, stand-ins take the compiler's place, which import it when they are asked
    for anything. Where torchvision or the compiler is imported already, nothing happens.
    """
    import torch  # noqa: F401 - it imports parts of the compiler where it needs them

    if "torchvision" in sys.modules or COMPILER[0] in sys.modules:
        return
    stand_ins = {name: _StandIn(name) for name in COMPILER}
    sys.modules.update(stand_ins)
    try:
        import torchvision  # noqa: F401
    finally:
        _remove(stand_ins)


class _StandIn(ModuleType):
    """A module that becomes the real one for whoever asks for something in it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        spec = find_spec(COMPILER[0]) if name == COMPILER[0] else None
        if spec is not None:
            self.__path__ = list(spec.submodule_search_locations or [])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "is_compile_supported":
            return _is_compile_supported
        return getattr(_real(self.__name__), name)


def _is_compile_supported(device_type: str) -> bool:
    return _real(COMPILER[1]).is_compile_supported(device_type)


def _real(name: str) -> Any:
    from importlib import import_module

    _remove({name: sys.modules.get(name) for name in COMPILER})
    return import_module(name)


def _remove(modules: dict[str, Any]) -> None:
    for name, module in modules.items():
        if isinstance(module, _StandIn) and sys.modules.get(name) is module:
            del sys.modules[name]
