"""How much memory the process holds."""

import sys
from pathlib import Path

_STATM, _STATUS = Path("/proc/self/statm"), Path("/proc/self/status")
_MB = 1e6


def rss_mb() -> float:
    """Return the resident set in MB (1e6 bytes); NaN where the system does not tell (not Linux)."""
    if not _STATM.is_file():
        return float("nan")
    import resource

    return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize() / _MB


def peak_rss_mb() -> float:
    """Return the largest resident set since the process began, in MB; NaN on Windows."""
    if _STATUS.is_file():
        for line in _STATUS.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / _MB
    if sys.platform == "win32":
        return float("nan")
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MB
