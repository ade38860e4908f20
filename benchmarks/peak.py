"""The peak memory of this process."""

from pathlib import Path


def peak_bytes() -> int:
    """Of this program alone (getrusage's includes that of the process that started it)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024
