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


class TemplateError(Wav2EdgeError, ValueError):
    """A phrase or a slot cannot be read, has no meaning, or cannot be spelled."""


class PhrasesNotFoundError(Wav2EdgeError, FileNotFoundError):
    """There is no such file of phrases, or it is no text."""


class HotwordError(Wav2EdgeError, ValueError):
    """A hotword cannot be spelled with the alphabet, or its weight means nothing."""


class DecoderError(Wav2EdgeError, ValueError):
    """An option of a decoder, or a state handed to it, means nothing to it."""


class DecoderFolderError(Wav2EdgeError, ValueError):
    """A folder that `pyctcdecode` is said to have written cannot be used."""


class DecoderFolderNotFoundError(Wav2EdgeError, FileNotFoundError):
    """Such a folder, or a file that it needs, is not there."""


class PyctcdecodeMissingError(Wav2EdgeError, ImportError):
    """The package pyctcdecode, which was asked for, is not installed."""


class ScriptError(Wav2EdgeError, ValueError):
    """A text that is to be found in audio has no words, or some that cannot be spelled."""


class AlignmentError(Wav2EdgeError, ValueError):
    """A text cannot be laid over audio: it is too long for it, or an option means nothing."""


# --- language models -----------------------------------------------------------------------------


class LanguageModelError(Wav2EdgeError):
    """A language model cannot be used, or not be made."""


class LanguageModelNotFoundError(LanguageModelError, FileNotFoundError):
    """There is no such language model, word list or text."""


class LanguageModelReadError(LanguageModelError, OSError):
    """The system does not let a language model, word list or text be read or written."""


class LanguageModelFormatError(LanguageModelError, ValueError):
    """The file is no language model, or one that contradicts itself."""


class TruncatedLanguageModelError(LanguageModelError, EOFError):
    """The file ends before the language model in it does."""


class WordListError(LanguageModelError, ValueError):
    """A model that comes without its words has no word list, or not its own."""


class VocabularyMismatchError(LanguageModelError, ValueError):
    """The alphabet can spell no word of the language model."""


class KenlmMissingError(LanguageModelError, ImportError):
    """The language model needs the package kenlm, which is not installed."""


class CorpusError(LanguageModelError, ValueError):
    """Text cannot be counted: it is no text, holds a word with a meaning of its own, or nothing."""


class ModelOptionsError(LanguageModelError, ValueError):
    """An order, pruning threshold, discount or weight that a language model cannot have."""


class EngineError(LanguageModelError, RuntimeError):
    """A program of KenLM is not there, or failed."""
