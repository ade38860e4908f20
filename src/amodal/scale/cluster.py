"""Ray: a cluster that is there, or one that is started here, as long as it is used."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import ModuleType, SimpleNamespace
from typing import Any

from amodal.errors import UserError
from amodal.progress import announced

LOCAL = "local"
"""The address that stands for a cluster of this machine alone, which ends with the command."""
REMEDY = "Give --ray local, or start a cluster with `ray start --head` of the same versions of Ray and Python"
PATIENCE = 10.0
"""Seconds for a cluster to answer at all."""
PATIENT = "AMODAL_RAY_PATIENCE"
"""Set in the environment: seconds that a cluster of this machine may take to start."""
RAYS_PATIENCE, START_PATIENCE = 30.0, 180.0
"""Those that Ray gives it, and that it is given here by default."""
STORE = 2**28
"""Bytes of such a cluster's memory for what processes hand on: no pictures are, only what to do."""


@contextmanager
def connected(address: str, cpus: int | None = None) -> Iterator[ModuleType]:
    """The package `ray`, joined to a cluster while the `with` block runs.

    Args:
        address: `local`; `auto`, the cluster that this machine belongs to; or HOST:PORT of another.
        cpus: Cores that a `local` one uses; all of them if None.

    Raises:
        UserError: Ray is not installed, or there is no such cluster, or it is of another version.
    """
    if address not in (LOCAL, "auto"):
        _require_answer(address)
    with announced("loading Ray"):
        ray = _package()
    if ray.is_initialized():  # whoever calls has a cluster of their own
        yield ray
        return
    options: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address == LOCAL:
        options |= {"include_dashboard": False, "object_store_memory": STORE, "num_cpus": cpus}
    try:
        with announced("starting Ray here" if address == LOCAL else f"joining the cluster at '{address}'"):
            _join(ray, address, options)
    except Exception as error:  # it has no class for what goes wrong
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"no cluster can be used at '{address}' ({said})", remedy=REMEDY) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _join(ray: ModuleType, address: str, options: dict[str, Any]) -> None:
    """Joins a cluster. One that is started here has a second chance."""
    with _patient() if address == LOCAL else nullcontext():
        for left in reversed(range(2 if address == LOCAL else 1)):
            try:
                ray.init(address=address, **options)
                return
            except Exception:
                ray.shutdown()
                if not left:
                    raise


@contextmanager
def _patient() -> Iterator[None]:
    """Gives Ray's own processes as long to start as `PATIENT` says, which on a busy machine they need.

    Ray has no settings for it. It waits for 30 s in all, by a clock that goes slower here; and for 15 s until its parts
    have said which ports they took, unless it was told which they are to take.
    """
    from ray._private import node, parameter

    try:
        seconds = max(float(os.environ.get(PATIENT, "")), RAYS_PATIENCE)
    except ValueError:
        seconds = START_PATIENCE
    if getattr(node, "time", None) is not time or not hasattr(parameter, "RayParams"):  # another Ray, made otherwise
        yield
        return
    slower, parameters = SimpleNamespace(**vars(time)), parameter.RayParams
    slower.monotonic = lambda: time.monotonic() * RAYS_PATIENCE / seconds

    def with_ports(**own: Any) -> Any:
        return parameters(**own | {name: port for name, port in _ports().items() if not own.get(name)})

    with _patched(node, "time", slower), _patched(parameter, "RayParams", with_ports):
        yield


@contextmanager
def _patched(module: ModuleType, name: str, value: Any) -> Iterator[None]:
    """Another value for a module's name while the `with` block runs."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def _ports() -> dict[str, Any]:
    """Ports that nobody listens at, for the parts of Ray that would else choose one and say so late."""
    names = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port", "dashboard_agent_listen_port")
    with ExitStack() as sockets:
        taken = [sockets.enter_context(socket.create_server(("", 0))) for _ in names]
        return {name: one.getsockname()[1] for name, one in zip(names, taken, strict=True)}


def _require_answer(address: str) -> None:
    """Raises UserError unless somebody listens there: Ray itself would wait for minutes, and say so at length."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        remedy = "Give local, auto or HOST:PORT, as `ray start --head` says it, on a machine of the cluster"
        raise UserError(f"'{address}' is no address of a cluster", remedy=remedy)
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"no cluster can be used at '{address}' ({reason})", remedy=REMEDY) from error


def _package() -> ModuleType:
    # All before it is imported: it counts its users, warns of its own next version, and logs at length.
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_BACKEND_LOG_LEVEL": "fatal",
    }.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ModuleNotFoundError as error:
        raise UserError("Ray is not installed, which works on clusters", remedy="pip install 'amodal[ray]'") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_auto_log_stats = False
    for name in ("ray.data", "ray"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray
