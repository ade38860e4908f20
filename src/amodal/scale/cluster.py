"""Ray: a cluster that is there, or one that is started here, as long as it is used."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from amodal.errors import UserError
from amodal.progress import announced

LOCAL = "local"
"""The address that stands for a cluster of this machine alone, which ends with the command."""
REMEDY = "Give --ray local, or start a cluster with `ray start --head` of the same versions of Ray and Python"
PATIENCE = 10.0
"""Seconds for a cluster to answer at all."""
PATIENT = "AMODAL_RAY_PATIENCE"
"""Set in the environment: seconds for which a cluster of this machine that does not start is started again."""
START_PATIENCE = 180.0
"""Those by default."""
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
    """Joins a cluster. One that is started here is started again as long as `PATIENT` says.

    On a busy machine that may be needed: a node of Ray's ends where its helpers take more than 15 s to start, and is
    waited for for 30 s; neither can be set.
    """
    end = time.monotonic() + (_patience() if address == LOCAL else 0)
    while True:
        try:
            ray.init(address=address, **options)
            return
        except Exception:
            ray.shutdown()
            if time.monotonic() >= end:
                raise


def _patience() -> float:
    try:
        return float(os.environ[PATIENT])
    except (KeyError, ValueError):
        return START_PATIENCE


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
