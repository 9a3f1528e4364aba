"""Schemes of products and policies: what they change, what they must not, and which one wins."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is absent: it comes with the extra `export`")
pytest.importorskip("transformers", reason="transformers is absent: see the extra `export`")
pytest.importorskip("onnx", reason="onnx is absent: it comes with the extra `export`")

import onnx
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from torch.nn import functional

from wav2edge.cli import main
from wav2edge.export import search
from wav2edge.export.commands import PRECISIONS
from wav2edge.export.convert import export
from wav2edge.export.errors import ExportError
from wav2edge.export.integer_convolution import with_integer_position
from wav2edge.export.precision import POLICIES
from wav2edge.export.products import Product, Scheme, observed, rounding_error, unfolded
from wav2edge.export.recordings import listed
from wav2edge.runtime.bundle import Bundle
from wav2edge.runtime.session import open_session


@given(st.integers(1, 9), st.integers(1, 5), st.integers(0, 20), st.integers(1, 3))
def test_a_convolution_is_a_product_of_unfolded_rows(
    kernel: int, stride: int, more: int, channels: int
) -> None:
    """For every kernel, stride and length, the rows are those that torch's conv1d multiplies."""
    torch.manual_seed(0)
    rows, weight = torch.randn(kernel + more, channels), torch.randn(4, channels, kernel)
    product = unfolded(rows, kernel, stride) @ weight.permute(2, 1, 0).reshape(-1, 4)
    expected = functional.conv1d(rows.T[None], weight, stride=stride)[0].T
    assert product.shape == expected.shape
    assert torch.allclose(product, expected, atol=1e-5)


@pytest.mark.parametrize("scheme", [one for one in Scheme if one is not Scheme.SPLIT])
def test_narrowing_changes_nothing_in_float(scheme: Scheme) -> None:
    """Scales that move, and rows that are divided, cancel out; taps share channels' scales."""
    torch.manual_seed(1)
    rows = torch.randn(50, 12) * torch.tensor([0.01, 1.0, 100.0]).repeat(4)
    product = Product(torch.randn(12, 5), torch.randn(5), repeats=4)
    expected = product(rows)
    with observed([product]) as seen:
        product(rows)
    product.take(scheme, seen[product])
    assert torch.allclose(product(rows), expected, rtol=1e-4, atol=1e-3)
    if scheme.is_smooth:
        assert product.narrowing is not None
        assert torch.allclose(product.narrowing[:3], product.narrowing[3:6])
        narrowed = rows * product.narrowing
        assert narrowed.abs().amax(0).max() / narrowed.abs().amax(0).min() < 1000


def test_the_rounding_error_is_that_of_onnxruntime(tmp_path: Path) -> None:
    """What `rounding_error` says is lost is what DynamicQuantizeLinear loses."""
    rows = np.random.default_rng(0).standard_normal((40, 7), np.float32) + 0.5
    graph = helper.make_graph(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
            helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
        ],
        "rounded",
        [helper.make_tensor_value_info("x", 1, ["n", 7])],
        [helper.make_tensor_value_info("y", 1, ["n", 7])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "rounded.onnx")
    session = open_session(tmp_path / "rounded.onnx", threads=1, provider="cpu")
    (kept,) = session.run(("y",), {"x": rows})
    lost = rounding_error(torch.from_numpy(rows)).numpy()
    step = (rows.max() - rows.min()) / 255
    # A value half-way between two steps may go either way in the last bit.
    assert (np.abs(rows - kept - lost) < 1e-5).mean() > 0.99
    assert np.abs(lost).max() <= 0.51 * step


@pytest.mark.parametrize(("kernel", "pads", "bias"), [(8, (0, 7), True), (5, (0, 0), False)])
def test_the_positional_convolution_in_integers(
    tmp_path: Path,
    kernel: int,
    pads: tuple[int, int],
    bias: bool,  # noqa: FBT001
) -> None:
    """It is the grouped convolution it stands for, but for rounding to 8 bits, at every length."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((12, 3, kernel), np.float32)
    constants = [numpy_helper.from_array(weight, "w")]
    constants += [numpy_helper.from_array(rng.standard_normal(12, np.float32), "b")] * bias
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", *["b"] * bias], ["y"], "c", group=4, pads=pads)],
        "position",
        [helper.make_tensor_value_info("x", 1, [1, 12, "n"])],
        [helper.make_tensor_value_info("y", 1, [1, 12, "m"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "float.onnx")
    onnx.save(with_integer_position(model), tmp_path / "integer.onnx")
    whole, rewritten = (
        open_session(tmp_path / f"{name}.onnx", threads=1, provider="cpu")
        for name in ("float", "integer")
    )
    for n_frames in (kernel, kernel + 1, 40):
        rows = rng.standard_normal((1, 12, n_frames), np.float32)
        (expected,), (found,) = (one.run(("y",), {"x": rows}) for one in (whole, rewritten))
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 0.03 * np.abs(expected).max()
    assert "MatMulInteger" in (tmp_path / "integer.onnx").read_bytes().decode("latin-1")


def test_every_policy_can_be_asked_for_by_name() -> None:
    """The command line offers the policies and `auto`, and integer convolutions by name alone."""
    assert set(PRECISIONS) == {*POLICIES, "auto"}
    default = POLICIES[PRECISIONS[0]]
    assert not any(one.is_integer for one in (default.early, default.late, default.position))


@pytest.fixture
def sped_up(monkeypatch: pytest.MonkeyPatch, tone_checkpoint: Path) -> list[Path]:
    """Let `auto` judge by the tone model's own clips, and choose between three policies."""
    monkeypatch.setattr(search, "SHORTEST_S", 10.0)
    chosen = {name: POLICIES[name] for name in ("float32", "int8", "int8-conv-smooth")}
    monkeypatch.setattr(search, "POLICIES", chosen)
    return sorted((tone_checkpoint / "clips").glob("*.wav"))


def test_auto_takes_the_fastest_that_keeps_parity(
    sped_up: list[Path], tone_checkpoint: Path, tmp_path: Path
) -> None:
    """The manifest tells of winner and losers with their figures; the bundle is the winner."""
    table = tmp_path / "speech.tsv"
    rows = "".join(f"{path}\tx\n" for path in sped_up)
    table.write_text("path\ttext\n" + rows, encoding="utf-8")
    done = export(str(tone_checkpoint), tmp_path / "bundle", precision="auto", verify=[table])
    told = json.loads((tmp_path / "bundle" / "manifest.json").read_text())["precision"]
    tried = {row["policy"]: row for row in told["search"]}
    assert set(tried) == {"float32", "int8", "int8-conv-smooth"}
    kept = {name: row["cpu_ms_per_s"] for name, row in tried.items() if row["failed"] is None}
    assert kept[told["name"]] == min(kept.values())
    assert done.bundle.manifest.precision["name"] == told["name"]
    assert all(len(row["agreement"]) == 2 for row in tried.values())


def test_thresholds_go_into_the_manifest(tone_checkpoint: Path, tmp_path: Path) -> None:
    """What the command line says of noise and phrases, the bundle says."""
    asked = ["--reject-below", "0.2", "--reject-phrases-below", "0.1", "--precision", "float32"]
    asked += ["--phrases-blank-penalty", "2.5", "--margin-frames", "3"]
    assert main(["export", str(tone_checkpoint), str(tmp_path / "out"), *asked]) == 0
    manifest = Bundle.read(tmp_path / "out").manifest
    assert (manifest.reject_below, manifest.reject_phrases_below) == (0.2, 0.1)
    assert (manifest.phrases_blank_penalty, manifest.margin_frames) == (2.5, 3)


def test_auto_wants_speech_to_judge_by(tone_checkpoint: Path, tmp_path: Path) -> None:
    """Without five minutes of it the error says how much there was and what to do."""
    with pytest.raises(ExportError, match=r"needs 300 s: .*--verify"):
        export(str(tone_checkpoint), tmp_path / "bundle", precision="auto")
    assert not (tmp_path / "bundle").exists()


def test_a_table_without_paths_is_refused(tmp_path: Path) -> None:
    """The error names the table and the column it lacks."""
    table = tmp_path / "speech.tsv"
    table.write_text("file\ttext\na.wav\tx\n")
    with pytest.raises(ExportError, match="column named path"):
        listed([table])


def test_a_split_of_a_table(tmp_path: Path) -> None:
    """Only its rows count, in order; a split that nobody is in is an error that names it."""
    table = tmp_path / "speech.tsv"
    table.write_text("path\tsplit\na.wav\tdev\nb.wav\ttrain\nc.wav\tdev\n")
    assert listed([table, Path("d.wav")], "dev") == [
        *(tmp_path / x for x in ("a.wav", "c.wav")),
        Path("d.wav"),
    ]
    with pytest.raises(ExportError, match="no recordings of split 'test'"):
        listed([table], "test")


@pytest.mark.parametrize("options", [["--precision", "float16"], ["--portable"]])
def test_other_ways_keep_parity(
    options: list[str], tone_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """float16 and unsigned weights pass the gate on a trained model; the manifest says which."""
    clips = sorted((tone_checkpoint / "clips").glob("*.wav"))
    out = tmp_path / "bundle"
    arguments = ["export", str(tone_checkpoint), str(out), "--verify", *map(str, clips), *options]
    assert main(arguments) == 0, capsys.readouterr().err
    precision = Bundle.read(out).manifest.precision
    assert precision["portable"] is ("--portable" in options)
    assert precision["name"] == ("float16" if "float16" in options else "int8")


def test_rows_do_not_depend_on_their_neighbours() -> None:
    """Divided by its own largest magnitude, a quiet row keeps its digits beside a loud one."""
    product = Product(torch.eye(4), None)
    product.take(Scheme.ROWS, None)
    quiet, loud = torch.full((1, 4), 0.01), torch.full((1, 4), 100.0)
    assert torch.allclose(product(torch.cat([quiet, loud]))[:1], quiet)
    product.take(Scheme.CHANNEL, None)
    lost = rounding_error(torch.cat([quiet, loud]))[0]
    assert torch.allclose(lost, quiet[0])  # with one range for all, nothing of it is left
