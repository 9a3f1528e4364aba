"""Streams that share runs: each gives what it gives alone, whoever its mates are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is absent: it comes with the extra `export`")
pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

from random_checkpoint import write_checkpoint
from tiny_bundle import say

from wav2edge.benchmarks import batching
from wav2edge.benchmarks.result import Result
from wav2edge.benchmarks.sessions import Sessions
from wav2edge.export.checkpoint import load_checkpoint
from wav2edge.export.convert import manifest_facts
from wav2edge.export.foreign import silence
from wav2edge.export.graph_file import build_graph
from wav2edge.export.model_writer import write_model
from wav2edge.export.precision import POLICIES
from wav2edge.export.step_graph import StepGraph
from wav2edge.runtime.acoustic import AcousticModel, AcousticState, StepRequest
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.errors import AudioError, BatchError, OptionsError, StreamFinishedError
from wav2edge.runtime.events import Event
from wav2edge.runtime.pool import StreamPool
from wav2edge.runtime.recognizer import Recognizer, load
from wav2edge.runtime.session import open_session
from wav2edge.runtime.stream import StreamOptions
from wav2edge.runtime.together import PRESENT

KINDS = ["base", "odd", "wavlm", "data2vec"]  # group norm, layer norm, distances, several paddings
SHORT = StreamOptions(chunk_ms=60, lookahead_ms=40, left_ms=200)
CLOSE = 1e-5  # of log-probs; what is promised is 1e-3
Runs = list[dict[str, tuple[int, ...]]]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Bundle]:
    """Export a kind without comparing it; each once."""
    place = tmp_path_factory.mktemp("together")
    made: dict[tuple[str, str], Bundle] = {}

    def make(kind: str, precision: str = "float32") -> Bundle:
        if (kind, precision) in made:
            return made[kind, precision]
        with silence():
            source = write_checkpoint(place / kind, kind, do_normalize=kind == "base")
            checkpoint, policy = load_checkpoint(str(source)), POLICIES[precision]
            step = StepGraph(checkpoint.model)
            policy.apply(step, {})
            model = build_graph(step, checkpoint.sizes, half=policy.half)
        facts = {
            **manifest_facts(checkpoint, [noise(16_000, 1)]),
            "precision": {"name": precision},
            "batches": not policy.is_integer,
        }
        made[kind, precision] = Bundle.write(
            place / f"{kind}-{precision}",
            facts,
            model=write_model(model, place),
            tokens=checkpoint.vocabulary.tokens,
        )
        return made[kind, precision]

    return make


def noise(n_samples: int, seed: int) -> np.ndarray:
    """Noise whose loudness changes, so that statistics over time matter."""
    rng = np.random.default_rng(seed)
    loudness = 0.02 + 0.1 * np.abs(np.sin(np.arange(n_samples) / 2500 + seed))
    return (loudness * rng.standard_normal(n_samples)).astype(np.float32)


def opened(bundle: Bundle) -> tuple[AcousticModel, Runs]:
    """Open a bundle; the shapes of every run are noted."""
    session, runs = open_session(bundle.model_path, threads=1, provider="cpu"), Runs()
    run = session.run

    def noting(outputs: Any, feeds: Any) -> Any:  # noqa: ANN401
        runs.append({name: value.shape for name, value in feeds.items()})
        return run(outputs, feeds)

    session.run = noting  # type: ignore[method-assign]
    return AcousticModel(bundle, session), runs


def said(events: list[Event]) -> list[object]:
    """Events without what the clock or the last bits of a float say."""
    plain: list[object] = []
    for event in events:
        segment = getattr(event, "segment", None)
        words = [(w.text, w.start_s, w.end_s) for w in segment.words] if segment else None
        plain.append((type(event), words, replace(event, lag_s=0.0)) if not segment else words)
    return plain


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_streams_of_any_age_step_together_as_they_do_alone(
    bundles: Callable[..., Bundle], kind: str, data: st.DataObject
) -> None:
    """Whoever steps with whom, by how much, held back or finishing: log-probs and states agree."""
    model = _models.setdefault(kind, opened(bundles(kind))[0])
    hop, states = model.geometry.hop, dict[int, AcousticState]()
    for round_ in range(data.draw(st.integers(1, 4))):
        due = data.draw(st.sets(st.integers(0, 4), min_size=1))
        requests = [
            StepRequest(
                states.get(i, model.start(prior=True)),
                noise(
                    data.draw(st.sampled_from([5 * hop, 5 * hop, 8 * hop + 3, 0])), 9 * i + round_
                ),
                data.draw(st.sampled_from([2, 2, 0, 4])),
                data.draw(st.sampled_from([6, 6, 0, None])),
            )
            for i in sorted(due)
        ]
        for i, request, (step, state) in zip(
            sorted(due), requests, model.steps(requests), strict=True
        ):
            alone, after = model.step(
                request.state,
                request.samples,
                hold_frames=request.hold_frames,
                left_frames=request.left_frames,
            )
            for name in ("log_probs", "provisional"):
                expected = getattr(alone, name)
                np.testing.assert_allclose(getattr(step, name), expected, atol=CLOSE, rtol=0)
            assert step.first_frame == alone.first_frame
            assert state.n_frames == after.n_frames
            np.testing.assert_allclose(
                state.left.arrays(), after.left.arrays(), atol=CLOSE, rtol=1e-5
            )
            np.testing.assert_allclose(state.features, after.features, atol=CLOSE, rtol=0)
            np.testing.assert_array_equal(state.tail, after.tail)
            states[i] = state


_models: dict[str, AcousticModel] = {}


def test_streams_of_one_age_share_one_run_without_a_mask(
    bundles: Callable[..., Bundle],
) -> None:
    """Four streams at the same chunk are one run of the context; of other ages, with a mask."""
    model, runs = opened(bundles("odd"))
    audio = noise(20 * model.geometry.hop, 0)
    states = [model.start() for _ in range(4)]

    def stepped(which: list[int]) -> list[dict[str, tuple[int, ...]]]:
        runs.clear()
        found = model.steps([StepRequest(states[i], audio, 4, 12) for i in which])
        for i, (_, state) in zip(which, found, strict=True):
            states[i] = state
        return [run for run in runs if "frames" in run]

    (run,) = stepped([0, 1, 2, 3])
    assert run["frames"][0] == 4
    assert PRESENT not in run
    (run,) = stepped([0, 1])
    assert PRESENT not in run
    states[3] = model.start()
    (run,) = stepped([0, 2])
    assert run["frames"][0] == 2
    stepped([1])
    states[2] = replace(
        states[2], left=states[2].left.extended([a[:0] for a in states[2].left.arrays()], 10)
    )
    (run,) = stepped([0, 1, 2])
    n_rows = run["frames"][1] - model.position_left_frames
    assert run[PRESENT] == (3 * (12 + n_rows),)


@settings(max_examples=6, deadline=None)
@given(
    pushes=st.lists(
        st.dictionaries(st.integers(0, 3), st.sampled_from([0, 500, 1600, 4000]), min_size=1),
        min_size=1,
        max_size=6,
    ),
    workers=st.sampled_from([None, None, 2]),
)
def test_events_are_those_of_single_streams(
    bundles: Callable[..., Bundle],
    pushes: list[dict[int, int]],
    workers: int | None,
) -> None:
    """Streams that are pushed in any company and finish at any time hear what they hear alone."""
    recognizer = _recognizers.setdefault("odd", load(bundles("odd").folder))
    pool = StreamPool(workers=workers)
    mates = [recognizer.stream(SHORT) for _ in range(4)]
    singles = [recognizer.stream(SHORT) for _ in range(4)]
    for number, push in enumerate(pushes):
        audio = {i: noise(n, number + 7 * i) for i, n in push.items()}
        found = pool.push({mates[i]: x for i, x in audio.items()})
        assert list(found) == [mates[i] for i in audio]
        for i, x in audio.items():
            assert said(found[mates[i]]) == said(singles[i].push(x))
    ended = {**pool.finish(mates[2:]), **pool.finish(mates[:2])}
    for mate, single in zip(mates, singles, strict=True):
        assert said(ended[mate]) == said(single.finish())
    assert pool.finish(mates) == {mate: [] for mate in mates}


_recognizers: dict[str, Recognizer] = {}


def test_int8_streams_do_not_share_a_run(bundles: Callable[..., Bundle]) -> None:
    """A bundle in int8 says why not, and what instead: threads give exactly what singles give."""
    recognizer = load(bundles("odd", "int8-plain").folder)
    streams = [recognizer.stream(SHORT) for _ in range(3)]
    audio = {stream: noise(6000, i) for i, stream in enumerate(streams)}
    with pytest.raises(BatchError, match=r"int8-plain.*workers=2"):
        StreamPool().push(audio)
    assert issubclass(BatchError, ValueError)
    beside = [recognizer.stream(SHORT) for _ in range(3)]
    pool = StreamPool(workers=2)
    found = pool.push(dict(zip(beside, audio.values(), strict=True)))
    finished = pool.finish(beside)
    alone = recognizer.stream(SHORT)
    events = alone.push(noise(6000, 2)), alone.finish()
    assert (said(found[beside[2]]), said(finished[beside[2]])) == tuple(map(said, events))


def test_a_bundle_from_before_is_told_apart(tiny_bundle: Path) -> None:
    """A float32 bundle that says nothing of batches keeps working, alone and in threads."""
    streams = [load(tiny_bundle).stream() for _ in range(2)]
    audio = dict.fromkeys(streams, say("AB C"))
    with pytest.raises(BatchError, match="export the model again"):
        StreamPool().push(audio)
    found = StreamPool(workers=2)
    found.push(audio)
    texts = [events[-2].segment.text for events in found.finish(streams).values()]  # type: ignore[union-attr]
    assert texts == ["AB C"] * 2


def test_what_one_stream_refuses_pushes_none(tiny_bundle: Path) -> None:
    """Samples that cannot be, or a finished stream, leave every mate as it was."""
    recognizer, pool = load(tiny_bundle), StreamPool(workers=2)
    good, bad = recognizer.stream(), recognizer.stream()
    with pytest.raises(AudioError):
        pool.push({good: say("A"), bad: np.full(100, np.nan, np.float32)})
    assert good.state.n_pushed == 0
    bad.finish()
    with pytest.raises(StreamFinishedError):
        pool.push({good: say("A"), bad: say("A")})
    assert good.state.n_pushed == 0


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "2"])
def test_a_number_of_workers_that_cannot_be_is_refused(workers: Any) -> None:  # noqa: ANN401
    """Workers are a whole number from 1, or None."""
    with pytest.raises(OptionsError, match="workers"):
        StreamPool(workers=workers)


def test_float16_shares_runs_too(bundles: Callable[..., Bundle]) -> None:
    """Half precision batches like float32, within what its own rounding is."""
    model, _ = opened(bundles("odd", "float16"))
    requests = [
        StepRequest(model.start(), noise(9 * model.geometry.hop, i), i, 5) for i in range(3)
    ]
    for request, (step, _) in zip(requests, model.steps(requests), strict=True):
        alone, _ = model.step(
            request.state, request.samples, hold_frames=request.hold_frames, left_frames=5
        )
        np.testing.assert_allclose(step.log_probs, alone.log_probs, atol=1e-3, rtol=0)


def test_the_benchmark_takes_a_bundle(
    bundles: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that is named is measured instead, with the threads asked for."""
    monkeypatch.setattr(batching, "STREAMS", (2,))
    monkeypatch.setattr(batching, "RECORDINGS", (2,))
    monkeypatch.setattr(batching, "WHOLE_S", 1.0)
    named, how = str(bundles("odd").folder), Sessions(threads=2)
    result = batching.measure(tmp_path, model=named, rounds=1, sessions=how)
    assert result.conditions.threads == 2
    assert {name.split("_")[0] for name in result.figures} == {"model"}
    assert set(result.figures) == set(result.definitions)
    assert "left_out" not in result.conditions.options


def test_the_benchmark_times_threads_of_int8(
    bundles: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Streams that cannot share a run are measured one by one and in threads; the rest is None."""
    monkeypatch.setattr(batching, "STREAMS", (1, 2))
    monkeypatch.setattr(batching, "RECORDINGS", (2,))
    monkeypatch.setattr(batching, "WHOLE_S", 1.0)
    named = str(bundles("odd", "int8-plain").folder)
    result = batching.measure(tmp_path, model=named, rounds=3)
    missing = {name for name, figure in result.figures.items() if figure is None}
    assert missing == {
        "model_2_whole_together_audio_s_per_s",
        "model_2_whole_gain",
        *(f"model_{n}_together_{what}" for n in (1, 2) for what in ("cpu_ms", "step_ms", "gain")),
    }
    assert "int8" in result.conditions.options["left_out"]["together"]
    alone, threads, gain = (
        result.figures[f"model_2_{what}"]
        for what in ("alone_step_ms", "threads_step_ms", "threads_gain")
    )
    assert alone is not None
    assert threads is not None
    assert gain is not None
    assert alone.n == threads.n == gain.n == 3
    assert alone.lowest / threads.highest <= gain.median <= alone.highest / threads.lowest
    assert set(result.figures) == set(result.definitions)
    assert Result.from_json(result.to_json()).figures.keys() == result.figures.keys()


def test_the_benchmark_times_every_way(
    bundles: Callable[..., Bundle], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each number of streams has its cost alone and together, and each figure its meaning."""
    monkeypatch.setattr(batching, "_bundle", lambda *_: bundles("odd").folder)
    monkeypatch.setattr(batching, "WHOLE_S", 1.0)
    result = batching.measure(tmp_path, rounds=1)
    assert set(result.figures) == set(result.definitions)
    for n in batching.STREAMS:
        alone = result.figures[f"base_{n}_alone_cpu_ms"]
        assert alone is not None
        assert alone.median > 0
    assert Result.from_json(result.to_json()) == Result.from_json(result.to_json())
    for n in batching.RECORDINGS:
        through = result.figures[f"base_{n}_whole_together_audio_s_per_s"]
        assert through is not None
        assert through.median > 0
    assert "4 streams" in result.definitions["embedded_4_together_gain"]
