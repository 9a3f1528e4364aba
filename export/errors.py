"""The errors of exporting; each is also the built-in a caller would guess."""

from wav2edge.lm.errors import Wav2EdgeError


class ExportError(Wav2EdgeError):
    """A checkpoint could not become a bundle."""


class CheckpointNotFoundError(ExportError, FileNotFoundError):
    """The checkpoint is neither a folder nor to be had from the hub."""


class UnsupportedCheckpointError(ExportError, ValueError):
    """The checkpoint is of a kind that has no step graph."""


class WeightsError(ExportError, ValueError):
    """The weights in the files are not the ones that the model needs."""


class ParityError(ExportError, ArithmeticError):
    """The exported graph says something else than the checkpoint."""


class LanguageError(ExportError, ValueError):
    """A language was asked for that the checkpoint has not, or none where it must be chosen."""
