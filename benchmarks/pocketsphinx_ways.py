"""How both recognizers are asked in `pocketsphinx`: with what language model, or with what grammar.

The language model of a domain is made of sentences drawn from the same templates as the grammar,
for both the same ones. PocketSphinx has its defaults but for what is in its favour: with a domain
its dictionary holds the words of that alone (with all words it takes up to ten seconds to start);
with a grammar it does not search its lattice again (`bestpath`), which loses words and takes
longer, and its beams are wider, which costs half as much again and hears far more.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wav2edge.lm.build import BuildOptions, build_language_model
from wav2edge.lm.corpus import Normalizer
from wav2edge.lm.drawing import draw_sentences
from wav2edge.lm.kneser_ney import FALLBACK
from wav2edge.lm.templates import Templates
from wav2edge.runtime.bundle import WEIGHTS, Bundle

from .environments import environment
from .jsgf import jsgf, words_of
from .peer_contenders import CONTENDERS, OURS
from .peer_models import Form
from .peer_process import PeerProcess

OTHER = "pocketsphinx"
PACKAGES = ("pocketsphinx==5.1.1",)
SENTENCES = 20_000
"""Drawn for the language model of a domain."""
GRAMMAR_OPTIONS = {"bestpath": False, "beam": 1e-64, "pbeam": 1e-64, "wbeam": 1e-48}
"""Of the other one's decoder; its own beams are 1e-48, 1e-48 and 7e-29."""
_SCRIPT = Path(__file__).with_name("peer_pocketsphinx.py")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to hear."""

    engine: str
    label: str
    """In a table."""
    of_domain: bool = False
    """It knows what may be said, and is asked where that is known."""


WAYS: dict[str, Way] = {
    "wav2edge-greedy": Way("wav2edge", "greedy"),
    "wav2edge-lm": Way("wav2edge", "language model"),
    "wav2edge-domain": Way("wav2edge", "domain's model", of_domain=True),
    "wav2edge-phrases": Way("wav2edge", "phrases", of_domain=True),
    "pocketsphinx-lm": Way(OTHER, "language model"),
    "pocketsphinx-domain": Way(OTHER, "domain's model", of_domain=True),
    "pocketsphinx-grammar": Way(OTHER, "grammar", of_domain=True),
}
"""By name, in the table's order."""


@dataclass(frozen=True, slots=True)
class Domain:
    """All that may be said in some recordings."""

    label: str
    templates_text: str

    @property
    def templates(self) -> Templates:
        """The phrases."""
        return Templates.read(self.templates_text, source=self.label)


class Seats:
    """The processes that can be started, by way, or way/domain.

    Args:
        bundle: Ours.
        cache: Folder of the environments, which are made if they are not there.
        folder: For language models, grammars, and what is exchanged.
        domains: What may be said, where it is known.
        said: Words that are counted where the dictionary lacks them, by set.

    Raises:
        BenchmarkError: An environment cannot be made.
        TemplateError: A domain's templates make no grammar.
    """

    def __init__(
        self,
        bundle: Bundle,
        cache: Path,
        folder: Path,
        domains: Sequence[Domain],
        said: Mapping[str, Sequence[str]],
    ) -> None:
        self._folder, self._ours, self._said = folder, CONTENDERS[OURS], said
        self._bundle = bundle
        numpy = f"numpy=={version('numpy')}"
        self._pythons = {
            "wav2edge": self._ours.python(cache),
            OTHER: environment(cache / f"venv-{OTHER}", (*PACKAGES, numpy)),
        }
        self.jobs: dict[str, dict[str, Any]] = {"wav2edge-greedy": self._job({"decoder": "greedy"})}
        if bundle.manifest.language_model is not None:
            self.jobs["wav2edge-lm"] = self._job({"decoder": "beam"})
        self.jobs["pocketsphinx-lm"] = self._other({}, [])
        for domain in domains:
            self._add(domain)

    def started(self, name: str) -> PeerProcess:
        """Start one process."""
        own = Path(tempfile.mkdtemp(dir=self._folder))
        engine = WAYS[way_of(name)].engine
        script = _SCRIPT if engine == OTHER else self._ours.script
        return PeerProcess(self._pythons[engine], script, self.jobs[name], own)

    def file_mb(self, name: str) -> float:
        """Return what one of our processes reads from the disk: model and language model, in MB."""
        decoding = self.jobs[name]["decoding"]
        files = [self._bundle.model_path, self._bundle.folder / WEIGHTS]
        own = self._bundle.manifest.language_model
        if "lm" in decoding:
            files.append(Path(decoding["lm"]))
        elif decoding.get("decoder") == "beam" and own is not None:
            files.append(self._bundle.folder / own.file)
        return sum(one.stat().st_size for one in files if one.is_file()) / 1e6

    def _add(self, domain: Domain) -> None:
        """Make what both need to know a domain."""
        grammar = jsgf(domain.templates)
        path = self._folder / f"{domain.label}.jsgf"
        path.write_text(grammar, encoding="utf-8")
        words = words_of(grammar)
        spelled = self._language_model(domain, Normalizer.of(self._bundle.alphabet), "ours")
        lower = self._language_model(domain, Normalizer("lower"), "lower")
        for way, job in {
            "wav2edge-domain": self._job({"lm": str(spelled), "domain": True}),
            "wav2edge-phrases": self._job({"phrases": domain.templates_text}),
            "pocketsphinx-domain": self._other({"lm": str(lower)}, words),
            "pocketsphinx-grammar": self._other({"jsgf": str(path), **GRAMMAR_OPTIONS}, words),
        }.items():
            self.jobs[f"{way}/{domain.label}"] = job

    def _language_model(self, domain: Domain, normalize: Normalizer, suffix: str) -> Path:
        drawn = draw_sentences(domain.templates, SENTENCES)
        out = self._folder / f"{domain.label}-{suffix}.arpa"
        text = (normalize(" ".join(words)).split() for words in drawn)
        return build_language_model(text, out, BuildOptions(fallback=FALLBACK)).arpa

    def _job(self, decoding: Mapping[str, Any]) -> dict[str, Any]:
        model = str(self._bundle.folder.absolute())
        form = Form({"model": model, "decoding": dict(decoding)}, ())
        return self._ours.job(form, {}, 1)

    def _other(self, options: Mapping[str, Any], words: Sequence[str]) -> dict[str, Any]:
        return {"options": options, "words": words, "said": self._said, "threads": 1}


def way_of(name: str) -> str:
    """Return the way of a process.

    >>> way_of("pocketsphinx-grammar/digits")
    'pocketsphinx-grammar'
    """
    return name.partition("/")[0]


def domain_of(name: str) -> str:
    """Return the domain's label of a process; empty: it has none."""
    return name.partition("/")[2]
