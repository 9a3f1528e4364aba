"""Every error of the runtime: three families under `Wav2EdgeError`, each leaf also a built-in."""

from typing import TYPE_CHECKING

from wav2edge.lm.errors import Wav2EdgeError

if TYPE_CHECKING:
    from .alignment import Alignment
    from .transcript import Transcript

# --- audio ---------------------------------------------------------------------------------------


class AudioError(Wav2EdgeError):
    """Audio cannot be used, or not all of it."""

    transcript: "Transcript | None" = None
    """What was heard before the error, where a transcription had begun; nothing is lost with it."""
    alignment: "Alignment | None" = None
    """What was aligned before the error, where a text was to be."""


class AudioNotFoundError(AudioError, FileNotFoundError):
    """There is no such recording."""


class AudioReadError(AudioError, OSError):
    """The system does not let the recording be read: permissions, a folder, a broken disk."""


class AudioFormatError(AudioError, ValueError):
    """The bytes are no audio in a format that can be read."""


class EmptyAudioError(AudioError, ValueError):
    """The recording has no bytes, or a header and not one sample."""


class TruncatedAudioError(AudioError, EOFError):
    """The recording ends, or cannot be decoded any further, before its own header says so."""


class SamplesError(AudioError, ValueError):
    """Samples have a shape or values that sound cannot have: two axes, NaN, infinity, magnitude."""


class SampleTypeError(AudioError, TypeError):
    """Samples are of a type whose scale cannot be known."""


class SampleRateError(AudioError, ValueError):
    """A sample rate is missing, or none that audio has."""


# --- bundles -------------------------------------------------------------------------------------


class BundleError(Wav2EdgeError):
    """A model bundle cannot be used."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """There is no bundle here, or a file of it is missing."""


class BundleExistsError(BundleError, FileExistsError):
    """Writing a bundle would destroy something that is there."""


class ManifestError(BundleError, ValueError):
    """The manifest is no JSON, lacks a key, or a value of it cannot be."""


class SchemaError(BundleError, ValueError):
    """The manifest follows a schema that this version does not know."""


class DamagedBundleError(BundleError, ValueError):
    """A file of the bundle is not the one that was written: size, hash or content differ."""


class UnsafePathError(BundleError, ValueError):
    """A file name in the manifest leads out of the bundle's folder."""


class ModelFormatError(BundleError, ValueError):
    """The model file is no ONNX model, or not one of ours."""


# --- inference -----------------------------------------------------------------------------------


class ProviderError(Wav2EdgeError, ValueError):
    """An execution provider was asked for that is not there."""


class ThreadsError(Wav2EdgeError, ValueError):
    """A number of threads that cannot be."""


class InferenceError(Wav2EdgeError, RuntimeError):
    """The inference library failed while the model ran."""


# --- streams ---


class OptionsError(Wav2EdgeError, ValueError):
    """An option of a stream cannot be."""


class TextNotFoundError(Wav2EdgeError, FileNotFoundError):
    """There is no such file of text, or it is no text."""


class VadMissingError(Wav2EdgeError, ImportError):
    """Voice activity detection was asked for and its package is not installed."""


class StateError(Wav2EdgeError, ValueError):
    """A stream cannot go on from a state: it is none, or one of another model or other options."""


class OfflineOnlyError(Wav2EdgeError, ValueError):
    """A stream was asked for, and the model can only see a recording as a whole."""


class StreamFinishedError(Wav2EdgeError, RuntimeError):
    """Audio was pushed into a stream that is finished."""


# --- microphones ---------------------------------------------------------------------------------


class MicrophoneError(Wav2EdgeError):
    """A microphone cannot be listened to, or not any more."""


class PortAudioMissingError(MicrophoneError, ImportError):
    """The library that speaks to sound devices is not installed."""


class MicrophoneNotFoundError(MicrophoneError, LookupError):
    """There is no such microphone, or none at all, or the name fits several."""


class MicrophonePermissionError(MicrophoneError, PermissionError):
    """The system does not let this program listen."""


class MicrophoneBusyError(MicrophoneError, OSError):
    """The microphone is there and cannot be opened: in use, or without a way to deliver."""


class MicrophoneLostError(MicrophoneError, ConnectionError):
    """The microphone went away while it was listened to, or delivers nothing any more."""


# --- recordings that are written -----------------------------------------------------------------


class AudioWriteError(AudioError, OSError):
    """What was heard cannot be written down."""


class BatchError(Wav2EdgeError, ValueError):
    """Streams of this model cannot share a run: step them in threads."""
