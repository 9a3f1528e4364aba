"""How log-probs become words: what a caller may ask for (`decoders.py` answers it).

    load(lm="lm.arpa", hotwords={"Zigbee": 6.0})     beam search with a language model and hotwords
    load(phrases="turn (on|off) the light")          phrases, and nothing else
    load(decoder="greedy")                           the best token of each frame

Without any of it: the beam search with the bundle's own language model, or greedy where the bundle
has none.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Union

from .errors import OptionsError

if TYPE_CHECKING:
    from wav2edge.lm.fusion import BeamOptions
    from wav2edge.lm.templates import Templates

Kind = Literal["greedy", "beam", "pyctcdecode"]
KINDS: tuple[Kind, ...] = ("greedy", "beam", "pyctcdecode")
PhrasesLike: TypeAlias = Union[str, os.PathLike[str], Sequence[str], "Templates"]


class DecodingArguments(TypedDict, total=False):
    """The fields of `Decoding` as keyword arguments; None is what is not asked for."""

    decoder: Kind | None
    lm: str | os.PathLike[str] | Literal[False] | None
    hotwords: Mapping[str, float] | None
    phrases: PhrasesLike | None
    beam: Union[int, "BeamOptions", None]
    alpha: float | None
    beta: float | None
    blank_penalty: float | None
    domain: bool | None
    reject: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """What a caller asks for.

    Raises:
        OptionsError: If two things exclude each other, or one means nothing.
    """

    decoder: Kind | None = None
    """None: what the others need. `pyctcdecode` is for recordings, and needs an extra."""
    lm: str | os.PathLike[str] | Literal[False] | None = None
    """A language model's file, ARPA or KenLM binary; None: the bundle's own, if it has one; False:
    none."""
    hotwords: Mapping[str, float] | None = None
    """Words that are expected, each with what it adds to a transcript's score; {}: none yet."""
    phrases: PhrasesLike | None = None
    """All that may be said: lines of text, a path (`pathlib.Path`) of a file of them, a list of
    phrases, or `Templates`; `lm/templates.py` tells how they are written."""
    beam: "int | BeamOptions | None" = None
    """Beams kept after each frame, or every option of the search."""
    alpha: float | None = None
    """Weight of the language model."""
    beta: float | None = None
    """Added for every word."""
    blank_penalty: float | None = None
    """Nats taken off the blank, in search and phrases; None: as the bundle says."""
    domain: bool | None = None
    """Whether the language model knows all that is said: no other word is heard, it is believed
    more, and the search is wider (`BeamOptions.of_domain`). None, False: as the bundle says."""
    reject: float | None = None
    """Phrases that fit less are not heard, 0 to 1; None: as the bundle says."""

    def __post_init__(self) -> None:
        if self.decoder is not None and self.decoder not in KINDS:
            raise OptionsError(f"decoder is {self.decoder!r}, expected {', '.join(KINDS)}")
        if self.beam is not None:
            _check_beam(self.beam)
            if self.domain and not isinstance(self.beam, int):
                raise OptionsError(
                    "domain and BeamOptions were given: domain stands for options of its own; "
                    "take one or the other, or BeamOptions.of_domain() and change that"
                )
        if self.phrases is not None and (others := self._given(_OF_SEARCH)):
            raise OptionsError(
                f"phrases and {', '.join(others)} were given: phrases are all that can be heard, "
                "and exclude the rest; take one or the other"
            )
        penalised = (*_OF_SEARCH[1:], "blank_penalty")
        if self.decoder == "greedy" and (others := self._given(penalised)):
            raise OptionsError(
                f"decoder 'greedy' and {', '.join(others)} were given: greedy decoding knows none "
                "of them; leave out decoder, or them"
            )

    def over(self, other: "Decoding") -> "Decoding":
        """Return what is asked for here, and of another what this leaves open.

        What excludes something of the other here puts it aside.
        """
        mine = self._given(_ALL)
        if self.phrases is not None or self.decoder == "greedy":
            return self
        if self._given(_OF_SEARCH):
            greedy = other.decoder == "greedy"
            other = replace(
                other, phrases=None, reject=None, decoder=None if greedy else other.decoder
            )
        return replace(other, **mine)

    def _given(self, names: Sequence[str]) -> dict[str, Any]:
        """Return those of some options that were given."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}


_ALL = tuple(field.name for field in fields(Decoding))
_OF_SEARCH = ("decoder", "lm", "hotwords", "beam", "alpha", "beta", "domain")


def _check_beam(beam: object) -> None:
    if isinstance(beam, int) and not isinstance(beam, bool) and beam >= 1:
        return
    from wav2edge.lm.fusion import BeamOptions

    if not isinstance(beam, BeamOptions):
        raise OptionsError(f"beam is {beam!r}, expected a whole number, 1 or more")


def templates_of(phrases: PhrasesLike) -> "Templates":
    """Read phrases, however they are given; see `Decoding.phrases`.

    Raises:
        PhrasesNotFoundError: If a file cannot be read.
        TemplateError: If a phrase cannot be understood.
    """
    from wav2edge.lm.templates import Templates

    if isinstance(phrases, Templates):
        return phrases
    if isinstance(phrases, str):
        return Templates.read(phrases)
    if not isinstance(phrases, os.PathLike):
        return Templates.of(phrases)
    return Templates.of_file(phrases)
