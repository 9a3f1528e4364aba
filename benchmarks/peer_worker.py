"""Runs one peer in that one's own environment: python -I peer_worker.py PEER.py JOB.json.

JOB.json names the model's files and its tokens. Every line on standard input is an order as JSON,
{"do": WAY, "audio": FILE of float32 samples at 16 kHz}, and its answer a line of JSON: the text,
what the order cost, what the process has cost since it began, and its peak of memory. The way
"versions" names the distributions that the peer runs on. PEER.py gives `load(job)`, which returns
its ways by name, each from samples `[n]` to a text or to logits `[frames, vocabulary]`, and the
names of those `DISTRIBUTIONS`. Nothing of ours is imported: the other environment has none of it.
"""

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Way = Callable[[Samples], "str | Samples"]

_STATUS = Path("/proc/self/status")


def spelled(logits: Samples, job: dict[str, Any]) -> str:
    """Read the best path: repeats are one, the blank is nothing, the delimiter is a space."""
    best = logits.argmax(axis=-1)
    firsts = best[np.flatnonzero(np.diff(best, prepend=-1))]
    tokens = dict(enumerate(job["tokens"])) | {job["delimiter_id"]: " ", job["blank_id"]: ""}
    return "".join("" if i in job["special_ids"] else tokens[i] for i in firsts.tolist()).strip()


def answered(ways: dict[str, Way], job: dict[str, Any], order: dict[str, str]) -> dict[str, Any]:
    """Do what one order asks for."""
    samples = np.fromfile(order["audio"], np.float32)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    found = ways[order["do"]](samples)
    text = found if isinstance(found, str) else spelled(found, job)
    return {
        "cpu_s": time.process_time() - cpu_s,
        "wall_s": time.perf_counter() - wall_s,
        "since_start_cpu_s": time.process_time(),
        "peak_rss_mb": peak_rss_mb(),
        "text": text,
        "ways": sorted(ways),
    }


def peak_rss_mb() -> float | None:
    """Return the largest resident set of this process so far, in MB; None where none is told."""
    if not _STATUS.is_file():
        return None
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return None


def versions(distributions: tuple[str, ...]) -> dict[str, str]:
    """Return what is installed of them."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in distributions:
        with suppress(PackageNotFoundError):  # a script of two libraries has one at a time
            found[name] = version(name)
    return found


def main(peer: Path, job_path: Path) -> None:
    """Answer line by line; the first fault is told and ends it."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    job = json.loads(job_path.read_text(encoding="utf-8"))
    spec = importlib.util.spec_from_file_location("peer", peer)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        ways = module.load(job)
        for line in sys.stdin:
            order = json.loads(line)
            answer = (
                versions(module.DISTRIBUTIONS)
                if order["do"] == "versions"
                else answered(ways, job, order)
            )
            print(json.dumps(answer), file=answers, flush=True)
    except Exception as error:  # noqa: BLE001  (whatever it is, the table tells it)
        said = " ".join(str(error).split())[:300]
        print(json.dumps({"error": f"{type(error).__name__}: {said}"}), file=answers, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
