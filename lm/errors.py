"""The errors of decoding, and the base class of every error this project raises on purpose.

A message has three parts: what was given, what was expected, what to do.
"""


class Wav2EdgeError(Exception):
    """Base of every error raised on purpose; catch this one to catch them all.

    Each leaf is also the built-in exception a caller would guess (`ValueError`,
    `FileNotFoundError`, ...), and is raised with one argument, its message.
    """

    def __str__(self) -> str:
        """Return the message as it was given: `KeyError` leaves would show it in quotes."""
        return Exception.__str__(self)


class AlphabetError(Wav2EdgeError, ValueError):
    """The tokens, or the ids that name some of them, do not fit together."""


class LogProbsError(Wav2EdgeError, ValueError):
    """An array of log-probabilities has a shape that its alphabet does not allow."""
