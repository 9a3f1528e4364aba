"""Precision "auto": the fastest policy that keeps parity on real speech.

Which products may become integers depends on what a checkpoint was trained on: random weights and
small models hide what breaks a large one. So every policy is built, compared and timed on the
machine at hand, and the manifest tells of the winner and of the losers.
"""

from typing import Any

from .errors import ExportError, ParityError
from .precision import POLICIES
from .workshop import Draft, Workshop

SHORTEST_S = 300.0  # of speech


def search(workshop: Workshop) -> tuple[Draft, dict[str, Any]]:
    """Try all policies for the CPU.

    Returns:
        The draft that won, and what the manifest's `precision` says of all of them: `search`, one
        row each, with its time, its parity and what it failed by.

    Raises:
        ExportError: There is too little speech to judge by, or not even float32 keeps parity.
    """
    duration_s = sum(map(len, workshop.clips)) / workshop.checkpoint.rate_hz
    if duration_s < SHORTEST_S:
        raise ExportError(
            f"--precision auto was given {duration_s:.0f} s of speech to judge by, it needs "
            f"{SHORTEST_S:.0f} s: name recordings, or a table of them, with --verify"
        )
    drafts = [workshop.draft(policy) for policy in POLICIES.values() if not policy.half]
    workshop.report("timing the policies against each other")
    times_s = workshop.times_s(drafts)
    rows = [_row(draft, time_s) for draft, time_s in zip(drafts, times_s, strict=True)]
    kept = [
        (time_s, i)
        for i, (time_s, row) in enumerate(zip(times_s, rows, strict=True))
        if row["failed"] is None
    ]
    if not kept:
        raise ExportError(
            "no policy keeps parity on these recordings, float32 among them: "
            f"{rows[0]['failed']}; check that the recordings are speech"
        )
    return drafts[min(kept)[1]], {"search": rows, "searched_on_s": round(duration_s, 1)}


def _row(draft: Draft, time_s: float) -> dict[str, Any]:
    failed = None
    try:
        draft.parity.check(draft.policy.name)
    except ParityError as error:
        failed = str(error).split("; nothing was written")[0]
    return {
        "policy": draft.policy.name,
        "cpu_ms_per_s": round(1000 * time_s, 2),
        "agreement": [draft.parity.offline.agreement, draft.parity.stepped.agreement],
        "character_error_rate": [
            draft.parity.offline.character_error_rate,
            draft.parity.stepped.character_error_rate,
        ],
        "failed": failed,
    }
