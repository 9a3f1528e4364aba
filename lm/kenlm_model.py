"""N-gram models read by KenLM (Heafield 2011, "KenLM: Faster and smaller language model queries").

The only module that imports `kenlm`. Binaries are mapped lazily: what is never asked for is never
read from the disk, and two processes share the pages.

KenLM's own states cannot be pickled, so a state is the words it stands for, and KenLM's are kept
beside them: losing one costs a few look-ups and changes nothing.
"""

import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from .alphabet import Alphabet
from .arpa import scan_unigrams
from .errors import KenlmMissingError, LanguageModelFormatError, WordListError
from .ngram import GZIP, LARGEST_OWN, LMState, read_bytes, read_word_list, word_list_of
from .vocabulary import END, START, UNKNOWN, Vocabulary

_KEPT = 200_000  # of KenLM's states; then all are forgotten and made again as they are needed
_BELONGING = 0.9  # of a list's words that the model must know
_NO_NUMBER = re.compile(rb"(?:^|\n)[-+]?(?:nan|inf)", re.IGNORECASE)


class KenlmModel:
    """A model that KenLM holds; satisfies `LanguageModel`.

    Args:
        model: A `kenlm.Model`.
        new_state: `kenlm.State`.
        vocabulary: Its words, as the alphabet spells them.
    """

    def __init__(self, model: Any, new_state: Callable[[], Any], vocabulary: Vocabulary) -> None:  # noqa: ANN401
        self.order: int = model.order
        self.vocabulary = vocabulary
        self._entries = vocabulary.entries
        self._model = model
        self._new_state = new_state
        self._states: dict[LMState, Any] = {}

    @property
    def words(self) -> Collection[str]:
        """Every word, as the alphabet spells it."""
        return self._entries.keys()

    def start(self) -> LMState:
        """Return the state after `<s>`."""
        return (START,)

    def score(self, state: LMState, word: str) -> tuple[float, LMState]:
        """Return log10 p(word | state), and the state after it."""
        entry = self._entries.get(word, UNKNOWN)
        after = self._new_state()
        found = self._model.BaseFullScore(self._held(state), entry, after)
        n_kept = min(found.ngram_length, self.order - 1)
        reached = (*state, entry)
        reached = reached[len(reached) - n_kept :]
        self._keep(reached, after)
        return found.log_prob, reached

    def end(self, state: LMState) -> float:
        """Return log10 p(`</s>` | state)."""
        log_prob: float = self._model.BaseScore(self._held(state), END, self._new_state())
        return log_prob

    def __contains__(self, word: object) -> bool:
        """Tell whether the model knows a word."""
        return word in self._entries

    def _held(self, state: LMState) -> Any:  # noqa: ANN401  (KenLM's own state)
        """Return KenLM's state for these words, made again if it was forgotten."""
        held = self._states.get(state)
        if held is None:
            held, words = self._new_state(), state
            if state[:1] == (START,):
                self._model.BeginSentenceWrite(held)
                words = state[1:]
            else:
                self._model.NullContextWrite(held)
            for word in words:
                after = self._new_state()
                self._model.BaseScore(held, word, after)
                held = after
            self._keep(state, held)
        return held

    def _keep(self, state: LMState, held: object) -> None:
        if state not in self._states:
            if len(self._states) >= _KEPT:
                self._states.clear()
            self._states[state] = held


def open_binary(path: Path, alphabet: Alphabet | None, *, words: Path | None) -> KenlmModel:
    """Map a binary; see `load_language_model`."""
    model, new_state = _open(path, path)
    listed = word_list_of(path, words)
    said = read_word_list(listed)
    known = [word for word in said if word in model]
    if len(known) < _BELONGING * len(said) or not known:
        raise WordListError(
            f"of the {len(said)} words in {listed} the model {path} knows {len(known)}: expected "
            "the list of its own words, in its own spelling (upper or lower case counts); "
            "wav2edge lm build writes one, or take the words of the 1-grams of its ARPA file"
        )

    def unigrams() -> Iterator[tuple[str, float]]:
        for word in known:
            yield word, model.score(word, bos=False, eos=False)

    return KenlmModel(model, new_state, Vocabulary.of(unigrams(), alphabet, source=str(path)))


def open_arpa(path: Path, alphabet: Alphabet | None) -> KenlmModel:
    """Let KenLM read an ARPA file, packed or not; see `load_language_model`."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    if not packed:
        return _from_arpa(path, path, alphabet)
    _kenlm(path)  # before minutes are spent unpacking
    with tempfile.TemporaryDirectory() as folder:
        unpacked = Path(folder) / "lm.arpa"
        unpacked.write_bytes(read_bytes(path))
        return _from_arpa(unpacked, path, alphabet)


def _from_arpa(path: Path, source: Path, alphabet: Alphabet | None) -> KenlmModel:
    _kenlm(source)  # before the whole file is read for nothing
    _refuse_no_numbers(path, source)
    model, new_state = _open(path, source)
    vocabulary = Vocabulary.of(scan_unigrams(path), alphabet, source=str(source))
    return KenlmModel(model, new_state, vocabulary)


def _kenlm(path: Path) -> Any:  # noqa: ANN401  (a module without types)
    try:
        import kenlm
    except ImportError as error:
        raise KenlmMissingError(
            f"{path} is a KenLM binary, or ARPA of more than {LARGEST_OWN >> 20} MB, and needs "
            'the package kenlm, which is not installed: pip install "wav2edge[lm]", or take a '
            "smaller ARPA file (wav2edge lm build --prune 0 0 1)"
        ) from error
    return kenlm


def _open(path: Path, source: Path) -> tuple[Any, Callable[[], Any]]:
    kenlm = _kenlm(source)
    config = kenlm.Config()
    config.load_method = kenlm.LoadMethod.LAZY
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config), kenlm.State
    except OSError as error:
        why = str(error).rpartition(" threw ")[2].rstrip(")")
        raise LanguageModelFormatError(
            f"KenLM cannot read {source}: {why[-300:]}. Copy the file again, or make it again"
        ) from error


def _refuse_no_numbers(path: Path, source: Path) -> None:
    """Refuse an ARPA file with NaN or infinity for a log-probability, as KenLM does not always."""
    n_lines, rest = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            block = rest + block
            found = _NO_NUMBER.search(block)
            if found:
                line = n_lines + block.count(b"\n", 0, found.start() + 1)
                raise LanguageModelFormatError(
                    f"{source}, line {line}: found {found[0].strip().decode()!r} for a "
                    "log-probability, expected a finite number: make the model again"
                )
            rest = block[-8:]
            n_lines += block.count(b"\n", 0, len(block) - len(rest))
