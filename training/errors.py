"""The errors of training."""

from wav2edge.lm.errors import Wav2EdgeError


class TrainingError(Wav2EdgeError):
    """A run cannot be started, or cannot go on."""


class TrainingDataError(TrainingError, ValueError):
    """A table of recordings cannot be understood, or holds nothing that can be used."""


class TrainingDataNotFoundError(TrainingError, FileNotFoundError):
    """There is no such table of recordings."""


class StartError(TrainingError, ValueError):
    """The checkpoint to start from does not fit what is to be learned."""


class StartNotFoundError(TrainingError, FileNotFoundError):
    """There is no such checkpoint to start from."""


class OtherRunError(TrainingError, FileExistsError):
    """The output folder holds another run, or something else."""


class TrainingStateError(TrainingError, ValueError):
    """The state that a run was to go on from cannot be read."""


class DivergedError(TrainingError, ArithmeticError):
    """The loss is no number any more."""


class TrainingOptionsError(TrainingError, ValueError):
    """An option that training cannot have."""
