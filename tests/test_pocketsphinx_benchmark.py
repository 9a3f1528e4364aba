"""The comparison with PocketSphinx: its grammar, its worker, and a run without it."""

import csv
import importlib.util
import itertools
import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
from test_templates import LETTERS, said
from tiny_bundle import say, write_tiny_bundle

from wav2edge import cli
from wav2edge.benchmarks import peer_contenders, pocketsphinx, pocketsphinx_ways
from wav2edge.benchmarks.jsgf import jsgf, words_of
from wav2edge.benchmarks.phrases import COMMANDS, HOME
from wav2edge.benchmarks.pocketsphinx_figures import cost_table, figures, section, table, verdicts
from wav2edge.benchmarks.pocketsphinx_ways import WAYS, Domain
from wav2edge.benchmarks.result import Result
from wav2edge.lm.drawing import draw_sentences
from wav2edge.lm.errors import TemplateError
from wav2edge.lm.phrase_graph import compile_templates
from wav2edge.lm.templates import Templates

PEER = Path(pocketsphinx.__file__).with_name("peer_pocketsphinx.py")
TEMPLATES = """
room = hall | living room | [guest] room
next_day = today | to[o] morrow
please = [please]
(turn|switch) (on|off) [the|all [the]] {room} light[ bulb][s]
[oh]{2} {please} open it
wake me at {1..3} or {10..30..10}[th] {next_day}
un[der|til (now |then )]done
call (one|two){2,3}
"""


def sentences(grammar: str) -> set[str]:
    """Write out a JSGF, by a reader that knows nothing of templates."""
    rules = dict(re.findall(r"^(?:public )?(<[^>]+>) = (.*);$", grammar, re.MULTILINE))

    def choice(tokens: list[str], at: int) -> tuple[set[str], int]:
        found: set[str] = set()
        row = {""}
        while at < len(tokens) and tokens[at] not in (")", "]"):
            if tokens[at] == "|":
                found, row, at = found | row, {""}, at + 1
                continue
            one, at = item(tokens, at)
            row = {f"{a} {b}".strip() for a, b in itertools.product(row, one)}
        return found | row, at

    def item(tokens: list[str], at: int) -> tuple[set[str], int]:
        if tokens[at] in ("(", "["):
            inside, end = choice(tokens, at + 1)
            assert tokens[end] == {"(": ")", "[": "]"}[tokens[at]]
            return inside | ({""} if tokens[at] == "[" else set()), end + 1
        word = tokens[at]
        return (expand(rules[word]) if word in rules else {word}), at + 1

    def expand(text: str) -> set[str]:
        tokens = re.findall(r"<[^>]+>|[()\[\]|]|[^\s()\[\]|<>]+", text)
        found, end = choice(tokens, 0)
        assert end == len(tokens)
        return {" ".join(one.split()) for one in found}

    return expand(rules["<phrases>"])


def test_a_grammar_accepts_exactly_the_sentences_of_the_templates() -> None:
    """Slots, ranges, options, pieces of words, repetitions: the same as our own graph accepts."""
    templates = Templates.read(TEMPLATES)
    expected = {one.lower() for one in said(compile_templates(templates, LETTERS), longest=90)}
    assert sentences(jsgf(templates)) == expected
    assert "turn on all the room light bulbs" in expected
    assert set(words_of(jsgf(templates))) == {word for one in expected for word in one.split()}


def test_what_has_no_end_repeats() -> None:
    """Without end there is a sign for it; where it is a piece of a word there is none."""
    assert "public <phrases> = (a | b)+ c* | d d+;" in jsgf(Templates.read("(a|b)+ c*\nd{2,}"))
    with pytest.raises(TemplateError, match="piece of a word"):
        jsgf(Templates.read("never(more)+"))


def test_drawn_sentences_are_phrases() -> None:
    """Each can be read back, the same seed draws the same, another one others."""
    home = Templates.read(HOME.read_text(encoding="utf-8"))
    drawn = [" ".join(words) for words in draw_sentences(home, 200)]
    assert all(home.reading(one) for one in drawn)
    assert len(set(drawn)) > 150
    assert drawn == [" ".join(words) for words in draw_sentences(home, 200)]
    assert drawn != [" ".join(words) for words in draw_sentences(home, 200, seed=1)]
    digits = draw_sentences(Templates.read("(one|two)+ {3..4}*"), 500)
    assert {len(words) for words in digits} == set(range(1, 17))


def worker() -> ModuleType:
    """The script that runs in PocketSphinx's environment."""
    spec = importlib.util.spec_from_file_location("peer", PEER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_word_is_spoken_like_those_that_it_is_made_of() -> None:
    """The fewest pieces, the first as long as can be; without pieces it is an error."""
    known = {"ec": "E", "eco": "EH K OW", "o": "O", "bee": "B IY", "be": "B", "obee": "OB"}
    peer = worker()
    assert peer.composed("ecobee", known) == "EH K OW B IY"
    assert peer.composed("ecobeebe", known) == "EH K OW B IY B"
    with pytest.raises(ValueError, match="lacks 'ecobees'"):
        peer.composed("ecobees", known)


class FakeDecoder:
    """Tells how many samples it was given, and how it was made."""

    def __init__(self, **options: object) -> None:
        self.options, self.heard = options, b""
        made = options.get("dict")
        self.dictionary = Path(str(made)).read_text(encoding="utf-8") if made else ""
        FakeDecoder.last = self

    last: "FakeDecoder"

    def start_utt(self) -> None:
        """Begin."""

    def process_raw(self, samples: bytes, *, full_utt: bool) -> None:
        """Hear a whole recording."""
        assert full_utt
        self.heard = samples

    def end_utt(self) -> None:
        """End."""

    def hyp(self) -> SimpleNamespace | None:
        """Tell; nothing of nothing."""
        return SimpleNamespace(hypstr="turn it on") if any(self.heard) else None


def test_its_worker_adds_words_and_counts_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A grammar comes with its words alone, all readings; what the dictionary lacks is added."""
    (tmp_path / "en-us").mkdir()
    (tmp_path / "en-us" / "means").write_bytes(bytes(1_000_000))
    (tmp_path / "en-us.lm.bin").write_bytes(bytes(5_000_000))
    (tmp_path / "cmudict-en-us.dict").write_text(
        "bee B IY\nbee(2) B EH\nbeer B IH R\neco IY K OW\neco(2) E K OW\n"
    )
    grammar = tmp_path / "home.jsgf"
    grammar.write_bytes(bytes(500_000))
    fake = SimpleNamespace(get_model_path=lambda _: str(tmp_path), Decoder=FakeDecoder)
    monkeypatch.setitem(sys.modules, "pocketsphinx", fake)
    job = {"options": {"jsgf": str(grammar), "bestpath": False}, "words": ["bee", "ecobee"],
           "said": {"home": ["bee", "xyz", "bee", "bee"]}}  # fmt: skip
    ways = worker().load(job)
    made = FakeDecoder.last
    assert made.options["bestpath"] is False
    assert made.dictionary.splitlines() == ["ecobee IY K OW B IY", "bee B IY", "bee(2) B EH"]
    assert ways["whole"](np.array([0.5, -2.0], np.float32)) == "turn it on"
    assert np.frombuffer(made.heard, np.int16).tolist() == [16383, -32767]
    assert ways["whole"](np.zeros(2, np.float32)) == ""
    told = json.loads(ways["about"](np.zeros(1, np.float32)))
    assert told["added"] == {"ecobee": "IY K OW B IY"}
    assert told["lacking"] == {"home": 0.25}
    assert told["file_mb"] == pytest.approx(1.5, abs=0.01)
    told = json.loads(worker().load({**job, "options": {}, "words": []})["about"](np.zeros(1)))
    assert "dict" not in FakeDecoder.last.options
    assert told["file_mb"] == pytest.approx(6.0, abs=0.01)


FAKE_PEER = """
import json
DISTRIBUTIONS = ("numpy",)

def load(job):
    text = "BAD BED" if "jsgf" in job["options"] else "SAD BED"
    about = {"file_mb": 2.0, "added": {}, "lacking": {"speech_to_phrase_en": 0.5}}
    return {"whole": lambda samples: text, "about": lambda samples: json.dumps(about)}
"""
COLUMNS = ("path", "split", "norm", "duration_s", "notes")
SAID = (  # folder, split, what is heard, transcript
    (COMMANDS, "dev", "BAD BED", "BAD BED"),
    (COMMANDS, "dev", "BAD CAFE", "BAD CAFE"),
    (COMMANDS, "dev", "EGAD", ""),
    ("an4", "dev", "A C" * 20, "A C" * 20),
    ("an4", "dev", "B", "B"),
    ("noise", "noise", "", ""),
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recordings; a script of ours stands for PocketSphinx, nothing is installed."""
    with (tmp_path / "MANIFEST.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, delimiter="\t")
        writer.writeheader()
        for number, (folder, split, heard, text) in enumerate(SAID):
            path = tmp_path / folder / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            samples = np.concatenate([say(f"{heard} "), np.zeros(4000, np.float32)])
            soundfile.write(path, samples, 16_000, subtype="FLOAT")
            row = {"path": f"{folder}/{path.name}", "split": split, "norm": text}
            writer.writerow(row | {"duration_s": str(len(samples) / 16_000), "notes": ""})
    script = tmp_path / "fake.py"
    script.write_text(FAKE_PEER, encoding="utf-8")
    for module in (peer_contenders, pocketsphinx_ways):
        monkeypatch.setattr(module, "environment", lambda *_: Path(sys.executable))
    monkeypatch.setattr(pocketsphinx_ways, "_SCRIPT", script)
    monkeypatch.setattr(
        pocketsphinx, "DOMAINS", {COMMANDS: Domain("commands", "bad (cafe|bed)\nbed [bad]")}
    )
    return tmp_path


def test_both_hear_the_same_recordings(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each set is scored with each way that means something there; commands are counted outside.

    The first second of a set without a domain is its first recording.
    """
    pytest.importorskip("onnx", reason="the tiny model is built with onnx")
    write_tiny_bundle(data / "bundle", sample_rate_hz=16_000)
    out, page = data / "out.json", data / "out.html"
    asked = ["bench", "pocketsphinx", "--model", str(data / "bundle"), "--data", str(data)]
    more = ["--starts", "1", "--seconds", "1", "--json", str(out), "--html", str(page)]
    assert cli.main([*asked, *more]) == 0
    result = Result.read(out)
    found = {name: one.median for name, one in result.figures.items() if one is not None}
    assert {name: n for name, n in found.items() if name.startswith(("wer", "false", "lack"))} == {
        f"wer {COMMANDS} wav2edge-greedy": 0.0,
        f"wer {COMMANDS} wav2edge-domain": 0.0,
        f"wer {COMMANDS} wav2edge-phrases": 0.0,
        f"wer {COMMANDS} pocketsphinx-lm": 0.75,
        f"wer {COMMANDS} pocketsphinx-domain": 0.75,
        f"wer {COMMANDS} pocketsphinx-grammar": 0.25,
        "wer an4 wav2edge-greedy": 0.0,
        "wer an4 pocketsphinx-lm": 1.0,
        "false_accepts no command wav2edge-domain": 0.5,
        "false_accepts no command wav2edge-phrases": 0.0,
        "false_accepts no command pocketsphinx-domain": 1.0,
        "false_accepts no command pocketsphinx-grammar": 1.0,
        f"lacking {COMMANDS}": 0.5,
    }
    assert found["rss_beyond_mb pocketsphinx-lm"] == pytest.approx(
        found["rss_mb pocketsphinx-lm"] - 2.0, rel=0.01
    )
    assert found["start_wall_s wav2edge-phrases/commands"] > 0
    assert result.conditions.options["domains"] == {"commands": COMMANDS}
    assert result.conditions.audio == {COMMANDS: 2, "an4": 1}
    printed = capsys.readouterr().out
    assert f"{COMMANDS}: 0.0 % (domain's model) against 25.0 % (grammar): ahead" in printed
    assert "Beside PocketSphinx" in page.read_text(encoding="utf-8")
    check_tables(result)


def check_tables(result: Result) -> None:
    """One column a way; one row a process, with what it heard in what is no command."""
    wer, costs = table(result), cost_table(result)
    assert wer[0].count("|") == len(WAYS) - 1 + 3  # the bundle has no language model
    assert wer[3] == "| an4 | 21 | 0.0 % |  |  | 100.0 % |  |  |"
    assert len({line.count("|") for line in costs}) == 1
    assert next(x for x in costs if "phrases" in x).endswith("| 0% of 2 |")
    assert next(x for x in costs if "grammar" in x).endswith("| 100% of 2 |")
    assert section(result).rows[0][:2] == ["set", "words"]
    assert len(section(result).charts) == 1
    assert verdicts(result)[1].endswith(": ahead")


def test_an_empty_text_is_no_command_heard() -> None:
    """What is no command counts by whether words are heard, and has no word error rate."""
    pairs = {
        "no command pocketsphinx-grammar": [("", ""), ("", "next"), ("", " "), ("", "stop it")]
    }
    found = figures({}, pairs)
    assert list(found) == ["false_accepts no command pocketsphinx-grammar"]
    one = found["false_accepts no command pocketsphinx-grammar"]
    assert one is not None
    assert (one.median, one.n) == (0.5, 4)
