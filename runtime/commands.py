"""The commands `transcribe` and `info`."""

import argparse
import platform
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from .decoding_arguments import add_decoding, decoding_of, tell_unheard
from .terminal import own_stderr, speak_utf8

if TYPE_CHECKING:
    from .bundle import Bundle
    from .recognizer import Recognizer
    from .transcript import Transcript

_LONG_S = 60.0  # audio that is worth a line of progress
_FORMATS = ("txt", "json", "srt", "vtt")
_ONE_FILE = ("srt", "vtt")  # formats that hold one recording


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the sub-commands `transcribe` and `info`."""
    parser = subparsers.add_parser(
        "transcribe",
        help="write down what is said in recordings",
        description="Write down what is said in recordings: WAV, FLAC, Ogg, Opus, MP3, any rate, "
        "any channels. A bad file is reported and does not stop the others.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a recording; - is standard input")
    parser.add_argument(
        "--model", metavar="BUNDLE", help="folder of a bundle; default: the embedded model"
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        default="txt",
        help="text, JSON (one line a file), or subtitles of one recording; default: txt",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="CPU threads; default: 1"
    )
    parser.add_argument(
        "--provider",
        default="cpu",
        metavar="P",
        help="what runs the model: cpu, cuda, tensorrt, openvino, coreml, directml, or several by "
        "preference, as in tensorrt,cuda; each must be installed (wav2edge info); default: cpu",
    )
    add_decoding(parser)
    parser.set_defaults(run=partial(_transcribe, parser))
    parser = subparsers.add_parser(
        "info",
        help="show versions, providers, and what a bundle holds",
        description="Show what is installed, which providers can run a model here, and what a "
        "bundle holds: kind, vocabulary, precision, where it came from, how equal it is.",
    )
    parser.add_argument(
        "bundle",
        nargs="?",
        metavar="BUNDLE",
        help="folder of a bundle; default: the embedded model",
    )
    parser.set_defaults(run=_info)


# --- transcribe ----------------------------------------------------------------------------------


def _transcribe(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    files, form = arguments.files, arguments.format
    if form in _ONE_FILE and len(files) > 1:
        parser.error(f"{form} holds one recording, {len(files)} were named: run it once for each")
    from .recognizer import load

    recognizer = load(
        arguments.model,
        threads=arguments.threads,
        provider=arguments.provider.split(","),
        **decoding_of(arguments),
    )
    speak_utf8()
    tell_unheard(arguments, recognizer)
    with own_stderr():
        good = [_one(recognizer, file, form, alone=len(files) == 1) for file in files]
    return 0 if all(good) else 2


def _one(recognizer: "Recognizer", file: str, form: str, *, alone: bool) -> bool:
    """Transcribe one file and print what comes of it; tell whether all went well."""
    from wav2edge.lm.errors import Wav2EdgeError

    progress = _Progress(file)
    try:
        transcript = recognizer.transcribe(file, progress=progress)
    except Wav2EdgeError as error:
        progress.clear()
        heard: Transcript | None = getattr(error, "transcript", None)
        if heard is not None:
            _print(heard, form, alone=alone)
        print("wav2edge: error:", " ".join(str(error).split("\n")), file=sys.stderr, flush=True)
        return False
    progress.clear()
    _print(transcript, form, alone=alone)
    return True


def _print(transcript: "Transcript", form: str, *, alone: bool) -> None:
    if form == "json":
        text = transcript.to_json() + "\n"
    elif form == "srt":
        text = transcript.to_srt()
    elif form == "vtt":
        text = transcript.to_vtt()
    else:
        text = ("" if alone else f"{transcript.file}: ") + transcript.text + "\n"
    sys.stdout.write(text)
    sys.stdout.flush()  # whoever reads along sees each file when it is done


class _Progress:
    """A line on stderr for long recordings, on a terminal only."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._shown = False

    def __call__(self, done_s: float, promised_s: float) -> None:
        if max(done_s, promised_s) < _LONG_S or not sys.stderr.isatty():
            return
        of = f" of {promised_s:.0f}" if promised_s >= done_s else ""
        print(f"\r{self._file}: {done_s:.0f}{of} s", end="", file=sys.stderr, flush=True)
        self._shown = True

    def clear(self) -> None:
        """Take the line away again."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# --- info ----------------------------------------------------------------------------------------


def _info(arguments: argparse.Namespace) -> int:
    from .bundle import MANIFEST, Bundle
    from .recognizer import EMBEDDED

    speak_utf8()
    named = arguments.bundle is not None
    bundle = Bundle.read(arguments.bundle) if named else None
    print(*_machine(), sep="\n")
    if bundle is None and (EMBEDDED / MANIFEST).is_file():
        bundle = Bundle.read(EMBEDDED)
    if bundle is None:
        print("bundle       no embedded model is installed")
    else:
        print(*_described(bundle), sep="\n")
    return 0


def _machine() -> Iterator[str]:
    """Say what is installed, and what of it cannot be together."""
    from importlib.metadata import version

    from wav2edge import __version__

    from .recording import version_of_decoder
    from .session import available_providers, runtime_distributions, version_of_runtime

    yield f"wav2edge     {__version__}, Python {platform.python_version()}, {platform.platform()}"
    yield (
        f"libraries    numpy {version('numpy')}, soundfile {version('soundfile')} (libsndfile "
        f"{version_of_decoder()}), soxr {version('soxr')}"
    )
    found = runtime_distributions()
    listed = ", ".join(f"{name} {number}" for name, number in found.items())
    yield f"onnxruntime  {version_of_runtime()}, installed by {listed or 'no known distribution'}"
    yield f"providers    {', '.join(available_providers())}"
    if len(found) > 1:
        yield (
            f"conflict     {' and '.join(found)} overwrite each other's files: uninstall all of "
            "them, then install the one you need"
        )


def _described(bundle: "Bundle") -> Iterator[str]:
    """Say what a bundle holds."""
    facts, alphabet = bundle.manifest, bundle.alphabet
    rate_hz = facts.sample_rate_hz
    norms = [
        "group norm" if facts.group_norm else "layer norm",
        "normalised samples" if facts.do_normalize else "samples as they are",
    ]
    delimiter = "none" if alphabet.delimiter_id is None else alphabet.tokens[alphabet.delimiter_id]
    special = " ".join(alphabet.tokens[id_] for id_ in alphabet.special_ids)
    yield f"bundle       {bundle.folder}"
    yield f"  name       {facts.name}" + (" (forced: parity was not reached)" * facts.forced)
    if facts.layers:
        yield (
            f"  kind       {facts.model_type}, {facts.layers} layers of {facts.hidden_size}, "
            f"{facts.heads} heads, {', '.join(norms)}"
        )
    else:
        yield f"  kind       {facts.model_type}, of which its files tell no more"
    if facts.layout != "wav2edge":
        yield f"  layout     {facts.layout}: whole recordings alone, no streams"
    yield (
        f"  vocabulary {alphabet.size} tokens, blank {alphabet.tokens[alphabet.blank_id]}, word "
        f"delimiter {delimiter}, never heard: {special or 'none'}"
    )
    yield (
        f"  hop        {facts.hop_samples} samples, {1000 * facts.hop_samples / rate_hz:g} ms at "
        f"{rate_hz} Hz"
    )
    yield (
        f"  field      {facts.receptive_field_samples} samples, "
        f"{1000 * facts.receptive_field_samples / rate_hz:g} ms"
    )
    yield f"  precision  {_flat(facts.precision) or 'not told'}"
    if facts.reject_below:
        yield f"  rejects    segments less confident than {facts.reject_below:g}, as noise"
    penalty = facts.phrases_blank_penalty
    yield f"  phrases    are heard that fit {facts.reject_phrases_below:g} or better" + (
        f", with {penalty:g} nats off the blank" if penalty else ""
    )
    yield f"  parity     {_flat(facts.parity) or 'not measured'}"
    yield f"  source     {_flat(facts.source) or 'not told'}"
    yield f"  made with  {_flat(facts.versions) or 'not told'}, opset {facts.opset or 'not told'}"
    if facts.language_model is not None:
        options = _flat(facts.language_model.options) or "default options"
        yield f"  language   {facts.language_model.file}, {options}"
    for name, file in facts.files.items():
        yield f"  file       {name}, {file.bytes} bytes, SHA-256 {file.sha256[:16]}..."


def _flat(facts: object, prefix: str = "") -> str:
    """Write nested facts in one line: `name int8, layers.MatMul int8`."""
    if not isinstance(facts, dict):
        return f"{prefix[:-1]} {facts}"
    return ", ".join(
        filter(None, (_flat(value, f"{prefix}{key}.") for key, value in facts.items()))
    )
