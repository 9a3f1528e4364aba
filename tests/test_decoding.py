"""What a caller may ask for when log-probs become words, and what comes of it."""

import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from arpa_files import arpa_text
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_bundle import HOP, RATE_HZ, RECEPTIVE_FIELD, WORDS_OF_LM, decodings, say
from tiny_bundle import write_tiny_bundle as write

from wav2edge import cli
from wav2edge.lm.errors import (
    DecoderError,
    HotwordError,
    LanguageModelNotFoundError,
    PhrasesNotFoundError,
    TemplateError,
    Wav2EdgeError,
)
from wav2edge.lm.fusion import BeamOptions
from wav2edge.lm.phrases import REJECT
from wav2edge.lm.templates import Templates
from wav2edge.runtime.attachment import attach
from wav2edge.runtime.audio import Samples
from wav2edge.runtime.decoding import Decoding, DecodingArguments
from wav2edge.runtime.endpoint import EndpointOptions
from wav2edge.runtime.errors import (
    OfflineOnlyError,
    OptionsError,
    StateError,
)
from wav2edge.runtime.events import Event, Final, Partial
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.stream import Stream, StreamOptions

QUICK = EndpointOptions(trailing_silence_ms=150, no_speech_ms=400, max_segment_ms=1500)
PAUSE = np.zeros(120 * HOP, np.float32)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, DecodingArguments]:
    """How each decoder is asked for."""
    return decodings(tmp_path_factory.mktemp("lm"))


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Recognizer:
    """The tiny model: the loudness of a frame is its token."""
    return load(tiny_bundle)


@pytest.fixture
def attached(tmp_path: Path) -> Path:
    """A bundle with a language model that knows AB and DE, and weighs it much."""
    arpa = tmp_path / "lm.arpa"
    arpa.write_text(arpa_text(WORDS_OF_LM), encoding="utf-8")
    return attach(write(tmp_path / "bundle"), arpa, options={"alpha": 2.0})[0].folder


def spoken(text: str) -> Samples:
    """A text, without the silence that the last frame sees."""
    return say(text)[: -(RECEPTIVE_FIELD - HOP)]


def unclear(text: str, letter: str) -> Samples:
    """A text in which one letter lies between itself and the next of the alphabet."""
    samples = say(text, n_frames=1)
    wrong = np.float32(ord(letter) - ord("A") + 2) / 10
    return np.where(np.isclose(samples, wrong), samples + np.float32(0.055), samples)


def texts(events: list[Event]) -> list[str]:
    """The finals."""
    return [event.text for event in events if isinstance(event, Final)]


# --- what is asked for ---------------------------------------------------------------------------


def test_keyword_arguments_are_the_fields() -> None:
    """What `load`, `transcribe` and `stream` take is what `Decoding` has, with the same types."""
    lazily = {"BeamOptions": BeamOptions, "Templates": Templates}
    named = get_type_hints(DecodingArguments, localns=lazily)
    assert named == get_type_hints(Decoding, localns=lazily)


@pytest.mark.parametrize(
    ("asked_for", "match"),
    [
        ({"decoder": "best"}, "greedy, beam, pyctcdecode"),
        ({"beam": 0}, "1 or more"),
        ({"beam": True}, "1 or more"),
        ({"phrases": ["ab"], "hotwords": {"ab": 1.0}}, "phrases and hotwords"),
        ({"phrases": ["ab"], "lm": "lm.arpa", "beam": 3}, "phrases and lm, beam"),
        ({"decoder": "greedy", "lm": "lm.arpa"}, "greedy.*lm"),
        ({"decoder": "greedy", "blank_penalty": 1.0}, "greedy.*blank_penalty"),
        ({"reject": 0.5}, "reject.*without phrases"),
        ({"alpha": 1.0}, "there is none"),
        ({"domain": True}, "there is none"),
        ({"decoder": "greedy", "domain": True}, "greedy.*domain"),
        ({"phrases": ["ab"], "domain": True}, "phrases and domain"),
        ({"lm": "lm.arpa", "domain": True, "beam": BeamOptions()}, "of_domain"),
        ({"beam": 5, "beta": 1.0}, "there is none"),
    ],
)
def test_what_cannot_be_is_refused(
    tiny_bundle: Path, asked_for: DecodingArguments, match: str
) -> None:
    """What means nothing, or excludes each other, is named before a model is run."""
    with pytest.raises(OptionsError, match=match):
        load(tiny_bundle, **asked_for)


@pytest.mark.parametrize(
    ("asked_for", "kind"),
    [
        ({"lm": "none.arpa"}, LanguageModelNotFoundError),
        ({"hotwords": {"xyz": 2.0}}, HotwordError),
        ({"phrases": "turn ["}, TemplateError),
        ({"phrases": "never spelled"}, TemplateError),
        ({"phrases": Path("none.txt")}, PhrasesNotFoundError),
        ({"phrases": ["ab"], "reject": 2.0}, DecoderError),
        ({"phrases": ["ab"], "blank_penalty": -1.0}, DecoderError),
        ({"blank_penalty": -1.0}, DecoderError),
        ({"beam": 5, "hotwords": {"ab": float("nan")}}, HotwordError),
    ],
)
def test_bad_input_is_an_error_of_its_own(
    recognizer: Recognizer, asked_for: DecodingArguments, kind: type[Wav2EdgeError]
) -> None:
    """For a stream as for a recording; the recognizer goes on as if nothing had been asked."""
    for use in (
        lambda: recognizer.stream(**asked_for),
        lambda: recognizer.transcribe(say("AB"), RATE_HZ, **asked_for),
    ):
        with pytest.raises(kind):
            use()
    assert recognizer.transcribe(say("AB"), RATE_HZ).text == "AB"


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        (Decoding(), Decoding(beam=3), Decoding(beam=3)),
        (Decoding(hotwords={}), Decoding(lm="x", beam=3), Decoding(lm="x", beam=3, hotwords={})),
        (Decoding(phrases="a"), Decoding(lm="x", alpha=1.0), Decoding(phrases="a")),
        (Decoding(lm="x"), Decoding(phrases="a", reject=0.1), Decoding(lm="x")),
        (Decoding(reject=0.2), Decoding(phrases="a"), Decoding(phrases="a", reject=0.2)),
        (Decoding(decoder="greedy"), Decoding(lm="x"), Decoding(decoder="greedy")),
        (Decoding(beam=3), Decoding(decoder="greedy"), Decoding(beam=3)),
        (Decoding(lm=False), Decoding(lm="x", beam=3), Decoding(lm=False, beam=3)),
        (Decoding(domain=True), Decoding(lm="x"), Decoding(lm="x", domain=True)),
        (Decoding(domain=False), Decoding(lm="x", domain=True), Decoding(lm="x", domain=False)),
    ],
)
def test_a_call_says_otherwise(mine: Decoding, other: Decoding, expected: Decoding) -> None:
    """What a call asks for holds; of the recognizer's what it leaves open and does not exclude."""
    assert mine.over(other) == expected


# --- what comes of it ----------------------------------------------------------------------------


def test_a_language_model_decides_what_the_model_leaves_open(
    recognizer: Recognizer, asked: dict[str, DecodingArguments]
) -> None:
    """A letter that lies between two is the one that makes a word, in recordings and in streams."""
    samples = unclear("CD", "C")  # C, nearer to D
    assert recognizer.transcribe(samples, RATE_HZ).text == "DD"
    lm: DecodingArguments = {"lm": asked["beam"]["lm"], "alpha": 1.5}
    found = recognizer.transcribe(samples, RATE_HZ, **lm)
    assert found.text == "CD"
    stream = recognizer.stream("low", endpoint=QUICK, **lm)
    events = stream.push(samples) + stream.finish()
    assert texts(events) == ["CD"]
    assert all(0 < word.confidence <= 1 for word in found.words)
    assert found.words[0].start_s == pytest.approx(0.0, abs=0.01)


def test_a_domain_s_language_model_lets_no_other_word_be_heard(
    recognizer: Recognizer, asked: dict[str, DecodingArguments]
) -> None:
    """What is said clearly and is no word of it is heard without `domain`, and not with it."""
    samples, lm = say("DD AB"), asked["beam"]["lm"]
    assert recognizer.transcribe(samples, RATE_HZ, lm=lm).text == "DD AB"
    for found in (
        recognizer.transcribe(samples, RATE_HZ, lm=lm, domain=True).text,
        load(recognizer.bundle.folder, lm=lm, domain=True).transcribe(samples, RATE_HZ).text,
    ):
        first, second = found.split()
        assert (first.lower(),) in WORDS_OF_LM
        assert second == "AB"


def test_a_domain_s_search_finds_what_is_far_behind(
    recognizer: Recognizer, asked: dict[str, DecodingArguments], tmp_path: Path
) -> None:
    """A letter at one in three thousand is heard if a word needs it, with the bundle's penalty."""
    bundle = load(write(tmp_path / "less blank", phrases_blank_penalty=3.0).folder)
    tokens, lm = recognizer.bundle.alphabet.tokens, str(asked["beam"]["lm"])
    log_probs = np.full((6, len(tokens)), -20.0, np.float32)
    log_probs[:, recognizer.bundle.alphabet.blank_id] = -1e-3
    log_probs[1, :] = -20.0
    log_probs[1, tokens.index("D")], log_probs[1, tokens.index("C")] = -1e-3, -8.0
    log_probs[3, :] = -20.0
    log_probs[3, tokens.index("D")] = -1e-3
    heard = {}
    for domain in (False, True):
        decoder = bundle._decoders.make(Decoding(lm=lm, domain=domain), live=False)
        assert ("blank_penalty=3.0" in decoder.identity) == domain
        heard[domain] = " ".join(x.text for words in decoder.recording([log_probs]) for x in words)
    assert heard == {False: "DD", True: "CD"}


def test_no_domain_asks_for_no_search(recognizer: Recognizer) -> None:
    """Where there is no language model, `domain=False` leaves greedy decoding as it is."""
    for live in (False, True):
        made = recognizer._decoders.make(Decoding(domain=False), live=live)
        assert made.identity == "greedy"


def test_the_bundle_s_own_language_model_is_the_default(attached: Path) -> None:
    """A bundle that carries one is decoded with it, and without it where that is asked for."""
    recognizer, samples = load(attached), unclear("CD", "C")
    assert recognizer.transcribe(samples, RATE_HZ).text == "CD"
    assert recognizer.transcribe(samples, RATE_HZ, lm=False).text == "DD"
    assert recognizer.transcribe(samples, RATE_HZ, decoder="greedy").text == "DD"
    assert load(attached, decoder="greedy").transcribe(samples, RATE_HZ).text == "DD"
    weak = recognizer.transcribe(samples, RATE_HZ, alpha=0.0, beta=0.0)
    assert weak.text == "DD"


def test_hotwords_change_in_the_middle_of_a_stream(recognizer: Recognizer) -> None:
    """`set_hotwords` holds from then on; what was final before stays, other streams do not know."""
    stream, other = (recognizer.stream("low", endpoint=QUICK, hotwords={}) for _ in range(2))
    samples = np.append(unclear("CD", "C")[: -(RECEPTIVE_FIELD - HOP)], PAUSE)
    events = stream.push(samples)
    stream.set_hotwords({"cd": 3.0})
    events += stream.push(samples)
    twin = stream.copy()
    stream.set_hotwords({})
    events += stream.push(samples) + stream.finish()
    assert texts(events) == ["DD", "CD", "DD"]
    assert texts(twin.push(samples)) == ["CD"]
    assert texts(other.push(samples)) == ["DD"]


def test_hotwords_travel_with_the_state(recognizer: Recognizer, tiny_bundle: Path) -> None:
    """A pickled state goes on elsewhere with its hotwords, in the middle of a word."""
    samples = np.append(unclear("CD", "C")[: -(RECEPTIVE_FIELD - HOP)], PAUSE)
    first = recognizer.stream("low", endpoint=QUICK, hotwords={})
    first.set_hotwords({"CD": 3.0})
    first.push(samples[: 2 * HOP])
    state = pickle.loads(pickle.dumps(first.state))  # noqa: S301  (our own)
    second = load(tiny_bundle).stream("low", endpoint=QUICK, hotwords={}, state=state)
    assert texts(second.push(samples[2 * HOP :])) == ["CD"]


def test_wrong_hotwords_leave_a_stream_as_it_was(recognizer: Recognizer) -> None:
    """An unspellable word is named; a stream without the search says how to open one."""
    samples = np.append(unclear("CD", "C")[: -(RECEPTIVE_FIELD - HOP)], PAUSE)
    stream = recognizer.stream("low", endpoint=QUICK, hotwords={"CD": 3.0})
    with pytest.raises(HotwordError, match="'Zigbee'"):
        stream.set_hotwords({"Zigbee": 6.0})
    assert texts(stream.push(samples)) == ["CD"]
    with pytest.raises(DecoderError, match="greedy"):
        recognizer.stream().set_hotwords({"CD": 3.0})


def test_phrases_are_all_that_is_heard(recognizer: Recognizer) -> None:
    """However they are given; what is none of them is rejected, and shown until it ends."""
    for phrases in ("ab cde fga\n", ["ab cde fga"], Templates.of(["ab cde fga"])):
        samples = np.concatenate([spoken("AB CDE FGA"), PAUSE, spoken("FG"), PAUSE])
        assert recognizer.transcribe(samples, RATE_HZ, phrases=phrases).text == "AB CDE FGA"
        stream = recognizer.stream(StreamOptions(20, 0, 500), endpoint=QUICK, phrases=phrases)
        events = [
            event
            for piece in np.split(samples, range(80, len(samples), 80))
            for event in stream.push(piece)
        ]
        assert texts(events + stream.finish()) == ["AB CDE FGA"]
        shown = [event for event in events if isinstance(event, Partial)]
        assert {event.stable for event in shown} == {""}
        assert {"AB", "AB CDE"} <= {event.unstable for event in shown}


def test_a_bundle_says_how_well_a_phrase_must_fit(recognizer: Recognizer, tmp_path: Path) -> None:
    """Where it says 0 the best phrase is always heard, unless the caller says otherwise."""
    write(tmp_path / "lenient", reject_phrases_below=0.0)
    lenient, samples = load(tmp_path / "lenient"), np.concatenate([spoken("AB FG"), PAUSE])
    assert recognizer.bundle.manifest.reject_phrases_below == REJECT
    assert recognizer.transcribe(samples, RATE_HZ, phrases=["ab fga"]).text == ""
    assert lenient.transcribe(samples, RATE_HZ, phrases=["ab fga"]).text == "AB FGA"
    assert lenient.transcribe(samples, RATE_HZ, phrases=["ab fga"], reject=REJECT).text == ""


def test_a_bundle_says_what_its_blank_takes_too_often(tmp_path: Path) -> None:
    """Nats off the blank change how well a phrase fits that was not said."""
    write(tmp_path / "as it is", reject_phrases_below=0.0)
    write(tmp_path / "less blank", reject_phrases_below=0.0, phrases_blank_penalty=3.0)
    samples = np.concatenate([spoken("AB FG"), PAUSE])
    plain, penalised = (
        load(tmp_path / name).transcribe(samples, RATE_HZ, phrases=["ab fga"])
        for name in ("as it is", "less blank")
    )
    assert plain.text == penalised.text == "AB FGA"
    assert penalised.words[-1].confidence > 2 * plain.words[-1].confidence
    asked = load(tmp_path / "as it is", phrases=["ab fga"], blank_penalty=3.0)
    assert asked.transcribe(samples, RATE_HZ).words == penalised.words


def test_phrases_come_from_a_file(recognizer: Recognizer, tmp_path: Path) -> None:
    """A path is a file of lines; its name stands in the message about a line of it."""
    file = tmp_path / "mine.txt"
    file.write_text("note = a | b\n{note}+\n", encoding="utf-8")
    assert recognizer.transcribe(say("AB"), RATE_HZ, phrases=file).text == "A B"
    file.write_text("ab\n(ab", encoding="utf-8")
    with pytest.raises(TemplateError, match=r"mine\.txt, line 2, column 1"):
        recognizer.transcribe(say("AB"), RATE_HZ, phrases=file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PhrasesNotFoundError, match="UTF-8"):
        recognizer.transcribe(say("AB"), RATE_HZ, phrases=file)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(["greedy", "beam", "phrases"]),
    st.lists(st.text("ABCDEFG ", min_size=1, max_size=9), min_size=1, max_size=3),
    st.integers(0, 40),
    st.floats(0, 1),
)
def test_a_state_of_any_decoder_goes_on(
    recognizer: Recognizer,
    asked: dict[str, DecodingArguments],
    kind: str,
    parts: list[str],
    gap: int,
    at: float,
) -> None:
    """Cut anywhere, pickled and resumed, the events are those of a stream without a cut."""
    silence = np.zeros(gap * HOP, np.float32)
    samples = np.concatenate([np.append(spoken(part), silence) for part in parts])
    samples = samples.astype(np.float32)
    middle = round(at * len(samples))

    def opened(**state: object) -> Stream:
        return recognizer.stream("low", endpoint=QUICK, **asked[kind], **state)  # type: ignore[arg-type]

    uncut, first = opened(), opened()
    expected = uncut.push(samples) + uncut.finish()
    events = first.push(samples[:middle])
    second = opened(state=pickle.loads(pickle.dumps(first.state)))  # noqa: S301  (our own)
    assert events + second.push(samples[middle:]) + second.finish() == expected


def test_a_state_of_another_decoder_is_refused(
    recognizer: Recognizer, asked: dict[str, DecodingArguments], tmp_path: Path
) -> None:
    """Decoder, options and language model are part of what a state belongs to; paths are not."""
    copied = tmp_path / "lm.arpa"
    copied.write_bytes(Path(str(asked["beam"]["lm"])).read_bytes())
    state = recognizer.stream(**asked["beam"]).state
    recognizer.stream(lm=copied, beam=20, state=state)
    others: list[DecodingArguments] = [
        {"decoder": "greedy"},
        {**asked["beam"], "beam": 21},
        {**asked["beam"], "lm": False},
        asked["phrases"],
    ]
    for other in others:
        with pytest.raises(StateError, match="decoding"):
            recognizer.stream(**other, state=state)
    copied.write_text(arpa_text({**WORDS_OF_LM, ("<unk>",): (-3.0, 0.0)}), encoding="utf-8")
    with pytest.raises(StateError, match="decoding"):
        recognizer.stream(lm=copied, beam=20, state=state)


def test_a_language_model_is_loaded_once(
    recognizer: Recognizer,
    asked: dict[str, DecodingArguments],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Streams in several threads share it, and hear what one alone hears."""
    from wav2edge.lm import ngram

    loads, real = list[object](), ngram.load_language_model

    def counted(*args: object, **options: object) -> object:
        loads.append(args[0])
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(ngram, "load_language_model", counted)
    fresh = load(recognizer.bundle.folder)
    sources = [np.append(spoken(f"AB C{'DEFG'[i % 4]} GA"), PAUSE) for i in range(8)]
    found: list[list[Event]] = [[] for _ in sources]

    def work(first: int) -> None:
        for i in range(first, len(sources), 4):
            stream = fresh.stream("low", endpoint=QUICK, **asked["beam"])
            for piece in np.split(sources[i], range(77, len(sources[i]), 77)):
                found[i] += stream.push(piece.astype(np.float32))
            found[i] += stream.finish()

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    for samples, events in zip(sources, found, strict=True):
        alone = recognizer.stream("low", endpoint=QUICK, **asked["beam"])
        assert events == alone.push(samples.astype(np.float32)) + alone.finish()
        assert texts(events)


def test_a_long_recording_is_decoded_in_bounded_memory(
    recognizer: Recognizer, asked: dict[str, DecodingArguments]
) -> None:
    """Speech without one pause: what the search remembers does not grow with it."""
    decoder = recognizer._decoders.make(Decoding(**asked["beam"]), live=False)
    state, sizes, n_words = decoder.start(), [], 0
    rows = list(recognizer._model.log_probs([np.tile(spoken("AB CDE GA FED "), 30)]))
    for _ in range(12):
        for log_probs in rows:
            words, state = decoder.advance(state, log_probs)
            n_words += len(words)
        sizes.append(len(pickle.dumps(state)))
    assert n_words > 500
    assert max(sizes[6:]) <= 1.2 * max(sizes[:3])


def test_pyctcdecode_is_for_recordings(recognizer: Recognizer) -> None:
    """A stream that asks for it is told so."""
    with pytest.raises(OfflineOnlyError, match="pyctcdecode"):
        recognizer.stream(decoder="pyctcdecode")


def test_every_option_of_the_search_can_be_given(recognizer: Recognizer) -> None:
    """`beam` takes the options themselves."""
    options = BeamOptions(beam_width=3, commit_s=0.5)
    stream = recognizer.stream("low", endpoint=QUICK, beam=options)
    assert str(options) in stream.state.setup.decoding
    assert texts(stream.push(np.append(spoken("AB"), PAUSE).astype(np.float32))) == ["AB"]


# --- the command line ----------------------------------------------------------------------------


@pytest.fixture
def run(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Transcribe, or listen to, a recording of the tiny model with some options."""
    import soundfile

    recording = tmp_path / "said.wav"
    samples = np.concatenate([unclear("CD", "C"), PAUSE, PAUSE])
    soundfile.write(recording, samples, RATE_HZ, subtype="FLOAT")

    def done(*options: str, command: str = "transcribe") -> tuple[int, str, str]:
        source = ["--file", str(recording), "--fast"] if command == "listen" else [str(recording)]
        status = cli.main([command, *source, "--model", str(tiny_bundle), *options])
        return status, *capsys.readouterr()

    return done


@pytest.mark.parametrize("command", ["transcribe", "listen"])
def test_commands_take_the_options(
    run: Callable[..., tuple[int, str, str]], asked: dict[str, DecodingArguments], command: str
) -> None:
    """Both commands hear otherwise with a language model, hotwords, and phrases."""
    lm = str(asked["beam"]["lm"])
    for options, text in (
        ([], "DD"),
        (["--lm", lm, "--alpha", "1.5", "--beta", "1", "--beam", "10"], "CD"),
        (["--hotword", "cd=3", "--hotword", "G=2.5"], "CD"),
        (["--phrases", "cd [e]"], "CD"),
        (["--lm", lm, "--domain"], "CD"),
    ):
        status, out, _ = run(*options, command=command)
        assert status == 0
        assert (out.strip() == text) if command == "transcribe" else (f'"text": "{text}"' in out)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lm", "none.arpa"], ["none.arpa", "does not exist"]),
        (["--hotword", "Zigbee", "--hotword", "Ünß=3"], ["'Zigbee'", "'Ünß'"]),
        (["--hotword", "ab=c"], ["'ab=c'", "a number"]),
        (["--phrases", "ab (c"], ["line 1, column 4"]),
        (["--phrases", "no/where.txt"], ["no/where.txt"]),
        (["--beam", "0"], ["beam is 0", "1 or more"]),
        (["--phrases", "ab", "--lm", "x"], ["phrases and lm"]),
        (["--alpha", "1"], ["lm attach"]),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    run: Callable[..., tuple[int, str, str]], options: list[str], words: list[str]
) -> None:
    """What was wrong is named, for both commands; nothing is printed on stdout."""
    for command in ("transcribe", "listen"):
        status, out, err = run(*options, command=command)
        assert (status, out) == (2, "")
        assert err.startswith("wav2edge: error: ")
        assert err.count("\n") == 1
        assert all(word in err for word in words)


@pytest.mark.parametrize("command", ["transcribe", "listen"])
def test_words_that_are_never_heard_are_told(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, command: str
) -> None:
    """A language model with words that the tokens cannot spell is used, and these are counted."""
    words = {"<unk>": -2.0, "<s>": -99.0, "</s>": -1.0, "cd": -1.0, "zoë": -1.0, "4711": -1.0}
    path = tmp_path / "lm.arpa"
    path.write_text(arpa_text({(word,): (score, 0.0) for word, score in words.items()}), "utf-8")
    status, out, err = run("--lm", str(path), command=command)
    assert (status, err.count("\n")) == (0, 1)
    assert out
    assert "of the 3 words of" in err
    assert "2 cannot be spelled" in err
    assert "zoë 4711" in err


def test_a_binary_without_kenlm_is_one_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the package is not installed the line says how to install it."""
    import sys

    from wav2edge.lm.ngram import KENLM

    binary = tmp_path / "lm.bin"
    binary.write_bytes(KENLM + b" format version 5\n\0" + bytes(100))
    monkeypatch.setitem(sys.modules, "kenlm", None)
    status, out, err = run("--lm", str(binary))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "pip install" in err
