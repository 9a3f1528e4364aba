"""The level of live speech, followed for checkpoints that normalise over the whole utterance.

Their running statistics (`normalization.py`) describe the past. When somebody else speaks after a
pause, or the same person from farther away, the spectrum is about the same and the level is not;
averages need tens of seconds to follow it, and a network that hears ten times too little says
nothing. So at each onset of speech the past is scaled to the level that is heard now, and from
there on it is averaged as before. Steps without speech leave the statistics as they are: what is
not louder than the noise floor is no speech, and neither is what the network finds no letter in.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .endpoint import FLOOR_DB
from .normalization import Normalization, NormState

_RISE_DB_PER_S = 3.0  # how fast the noise floor follows a noise that stays
_ABOVE_FLOOR_DB = 10.0  # speech is louder than the floor by so much
_ACTIVE_DB = 15.0  # frames so far below the loudest of a step are pauses
_PAUSES_DB = 2.0  # an utterance with its usual pauses is so much below its active frames
_JUMP_DB = 6.0  # what a network trained on whole utterances takes without harm
_PAUSE_S = 0.5  # speech after such a pause is an onset
_FORGET_S = 2.0  # what the past still weighs after an onset at another level


@dataclass(frozen=True, slots=True)
class LevelState:
    """What is remembered between two steps; a value."""

    floor_db: float | None = None
    """The noise floor, relative to full scale; None before the first step."""
    pause_s: float = float("inf")
    """Since the last step that held speech."""

    def after(self, *, spoken: bool, step_s: float) -> "LevelState":
        """Return the state after a step in which the network found letters, or none."""
        return LevelState(self.floor_db, 0.0 if spoken else self.pause_s + step_s)


def follow(
    normalization: Normalization,
    state: LevelState,
    norm: NormState,
    energies_db: NDArray[np.float64],
    hop_s: float,
) -> tuple[bool, NormState, LevelState]:
    """Look at the frames of a step before they are heard.

    Args:
        normalization: What the checkpoint wants.
        state: From the step before.
        norm: The statistics so far.
        energies_db: Of the step's new frames, relative to full scale, `[n]`.
        hop_s: Seconds a frame.

    Returns:
        Whether the step may hold speech; the statistics, scaled if speech sets in at another
        level; the state after.
    """
    if not len(energies_db):
        return False, norm, state
    step_s = len(energies_db) * hop_s
    quietest = max(FLOOR_DB, float(np.percentile(energies_db, 10)))
    risen = quietest if state.floor_db is None else state.floor_db + _RISE_DB_PER_S * step_s
    floor_db = min(quietest, risen)
    loudest = float(energies_db.max())
    state = replace(state, floor_db=floor_db)
    if loudest < floor_db + _ABOVE_FLOOR_DB:
        return False, norm, state
    powers = 10 ** (energies_db[energies_db > loudest - _ACTIVE_DB] / 10)
    level_db = 10 * float(np.log10(powers.mean())) - _PAUSES_DB
    change_db = level_db - norm.level_db
    if abs(change_db) > _JUMP_DB and (state.pause_s >= _PAUSE_S or change_db > 0):
        norm = normalization.scaled(norm, 10 ** (change_db / 20), _FORGET_S)
    return True, norm, state
