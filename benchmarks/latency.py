"""`wav2edge bench latency`: how soon a stream shows what is said, and what that costs.

One stream hears all clips, a pause after each, with noise under both if that is asked for. Word
times come from the same model offline, without noise, or from a manifest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wav2edge.runtime.endpoint import ENDPOINTS, EndpointOptions
from wav2edge.runtime.events import Final
from wav2edge.runtime.recognizer import Recognizer
from wav2edge.runtime.stream import Stream, StreamOptions
from wav2edge.runtime.transcript import Word

from .clips import Clip
from .conditions import Conditions, options_of
from .latency_figures import DEFINITIONS, accuracy, by_set, cost, delays, stability
from .memory import peak_rss_mb
from .metrics import ClipStory, Reference, by_clip, stories
from .noise import SEED, Noise
from .playback import BLOCK_MS, Playback, play
from .result import Result, combined, thinned

_MOST_NAMES = 20

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """How to measure.

    Attributes:
        stream: Chunk, look-ahead and left context; a preset's name does.
        endpoint: Preset of the endpointing.
        realtime: Deliver audio when it would have been spoken, instead of as fast as it goes.
        gap_s: Pause after each clip.
        repeats: Sessions.
        threads: That the model was loaded with.
        vad: Let a voice activity detector tell when it is quiet.
        noise: Under the clips and the pauses.
    """

    stream: str | StreamOptions = "balanced"
    endpoint: str = "default"
    realtime: bool = False
    gap_s: float = 1.5
    repeats: int = 3
    threads: int = 1
    vad: bool = False
    noise: Noise | None = None

    def open(self, recognizer: Recognizer) -> Stream:
        """Open a stream of this kind."""
        return recognizer.stream(self.stream, endpoint=self.endpoint, vad=self.vad)


def measure(
    recognizer: Recognizer,
    clips: Sequence[Clip],
    options: LatencyOptions,
    report: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run the sessions and write down what was seen.

    Args:
        recognizer: Loaded with `options.threads`.
        clips: At least one.
        options: How to measure.
        report: Told what is being done.

    Raises:
        AudioError: If a clip cannot be read.
        OptionsError: If a preset is unknown.
    """
    really, rules = _really(recognizer, options)
    conditions = Conditions.now(
        recognizer,
        threads=options.threads,
        options={
            "stream": options_of(really),
            "endpoint": options_of(rules),
            "vad": options.vad,
            "clock": "real time" if options.realtime else "simulated",
            "block_ms": BLOCK_MS,
            "repeats": options.repeats,
        },
        audio=described(clips, gap_s=options.gap_s) | _noise_of(options),
    )
    report("warming up")
    _warm_up(recognizer, options)
    sessions = []
    for i in range(options.repeats):
        report(f"session {i + 1} of {options.repeats}")
        sessions.append((_session(recognizer, clips, options), peak_rss_mb()))
    conditions = conditions.ended()
    report("offline")  # only now: offline takes more memory than the streams whose peak is reported
    references = list(_references(recognizer, clips, options, sessions[0][0].piece_ends_s))
    bound_ms = rules.trailing_silence_ms + really.chunk_ms + really.lookahead_ms + 100
    runs, series = [], dict[str, list[float]]()
    for played, peak_mb in sessions:
        found = stories(played.shown, separator=recognizer.bundle.alphabet.separator)
        told = by_clip(found, references, played.piece_ends_s)
        runs.append({**cost(played), **delays(told), **stability(found), **accuracy(told)})
        runs[-1] |= by_set(told)
        runs[-1] |= {"rss_peak_mb": peak_mb, "endpoint_bound_ms": bound_ms}
        series = _series(played, told)
    return Result("latency", conditions, combined(runs), DEFINITIONS, series)


def _really(
    recognizer: Recognizer, options: LatencyOptions
) -> tuple[StreamOptions, EndpointOptions]:
    """Return what the options become: whole frames, and a preset's rules."""
    with options.open(recognizer) as stream:
        return stream.options, ENDPOINTS[options.endpoint]


def described(clips: Sequence[Clip], *, gap_s: float) -> dict[str, object]:
    """Name the clips for the conditions, without the folders of this machine."""
    names = [clip.path.name for clip in clips]
    several = [*names[:_MOST_NAMES], f"and {len(names) - _MOST_NAMES} more"]
    return {
        "clips": len(clips),
        "names": names if len(names) <= _MOST_NAMES else several,
        "gap_s": gap_s,
    }


def _warm_up(recognizer: Recognizer, options: LatencyOptions) -> None:
    """Let the inference library allocate what it will need."""
    with options.open(recognizer) as stream:
        for _ in range(20):
            stream.push(np.zeros(stream.rate_hz // 4, np.float32))
        stream.finish()


def _session(recognizer: Recognizer, clips: Sequence[Clip], options: LatencyOptions) -> Playback:
    rate_hz = recognizer.sample_rate_hz
    with options.open(recognizer) as stream:
        pieces = (_heard(i, clip, options, rate_hz) for i, clip in enumerate(clips))
        return play(stream, pieces, realtime=options.realtime)


def _heard(number: int, clip: Clip, options: LatencyOptions, rate_hz: int) -> Array:
    """Return a clip and the pause after it, as the stream hears them."""
    samples, n_gap = clip.samples(rate_hz), int(options.gap_s * rate_hz)
    if options.noise is None:
        return np.pad(samples, (0, n_gap))
    return options.noise.mixed(number, samples, n_gap)


def _references(
    recognizer: Recognizer, clips: Sequence[Clip], options: LatencyOptions, ends_s: Sequence[float]
) -> Iterator[Reference]:
    """Hear each clip for itself, and bring its words onto the session's clock.

    What is heard has the noise of the session; the times of the words are those without it.
    """
    rate_hz = recognizer.sample_rate_hz
    for i, (clip, start_s) in enumerate(zip(clips, [0.0, *ends_s], strict=False)):
        clean = clip.samples(rate_hz)
        heard = _heard(i, clip, options, rate_hz)[: len(clean)]
        with options.open(recognizer) as stream:
            finals = [one for one in stream.events([heard]) if isinstance(one, Final)]
        words = recognizer.transcribe(clean, rate_hz).words if clip.words is None else clip.words
        yield Reference(
            tuple(_moved(word, start_s) for word in words),
            clip.text,
            recognizer.transcribe(heard, rate_hz).text,
            " ".join(one.text for one in finals),
            clip.path.parent.name,
        )


def _noise_of(options: LatencyOptions) -> dict[str, object]:
    noise = options.noise
    if noise is None:
        return {}
    names = noise.names if len(noise.names) <= _MOST_NAMES else len(noise.names)
    return {"noise": {"recordings": names, "snr_db": noise.snr_db, "seed": SEED}}


def _moved(word: Word, by_s: float) -> Word:
    return replace(word, start_s=word.start_s + by_s, end_s=word.end_s + by_s)


def _series(played: Playback, told: Sequence[ClipStory]) -> dict[str, list[float]]:
    pairs = [pair for clip in told for pair in clip.delays()]
    return {
        "word_shown_s": [first.shown_s for first, _ in pairs],
        "word_shown_unaware_s": [first.heard_s for first, _ in pairs],
        "word_stable_s": [stable.shown_s for _, stable in pairs],
        "word_stable_unaware_s": [stable.heard_s for _, stable in pairs],
        "endpoint_s": [one.heard_s for clip in told if (one := clip.endpoint()) is not None],
        "final_s": [one.shown_s for clip in told if (one := clip.endpoint()) is not None],
        "step_s": thinned(played.step_s),
    }
