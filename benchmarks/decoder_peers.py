"""What another decoder does with log-probs, in that one's own environment (`peer_worker`).

The job names the decoder, its labels, its language model and its options. What is heard is no
audio: it is a file of float32 log-probs, frame by frame, a value a label.
"""

import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "pyctcdecode", "kenlm", "flashlight-text")
Frames = NDArray[np.float32]
Decode = Callable[[Frames], str]


def load(job: dict[str, Any]) -> dict[str, Decode]:
    """Load the decoder; `whole` gives the text of the best path."""
    decode = {"pyctcdecode": pyctcdecode, "flashlight": flashlight}[job["decoder"]](job)
    n_labels = len(job["labels"])
    return {"whole": lambda values: decode(values.reshape(-1, n_labels))}


def pyctcdecode(job: dict[str, Any]) -> Decode:
    """`decode_beams(prune_history=True)`, what is compared with everywhere."""
    library = importlib.import_module("pyctcdecode")
    kenlm = importlib.import_module("kenlm")
    model = library.LanguageModel(
        kenlm.Model(job["model"]),
        job["words"],
        alpha=job["alpha"],
        beta=job["beta"],
        unk_score_offset=job["unknown_word_score"],
    )
    decoder = library.BeamSearchDecoderCTC(library.Alphabet(job["labels"], False), model)  # noqa: FBT003

    def decode(log_probs: Frames) -> str:
        best = decoder.decode_beams(
            log_probs,
            beam_width=job["beam_width"],
            beam_prune_logp=job["beam_prune_log_prob"],
            token_min_logp=job["token_min_log_prob"],
            prune_history=True,
        )[0]
        text: str = best[0]
        return text

    return decode


def flashlight(job: dict[str, Any]) -> Decode:
    """The lexicon decoder of flashlight-text, C++: it can only find words of the list."""
    library = importlib.import_module("flashlight.lib.text.decoder")
    kenlm = importlib.import_module("flashlight.lib.text.decoder.kenlm")
    dictionaries = importlib.import_module("flashlight.lib.text.dictionary")
    labels = ["|" if label == " " else label or "<blank>" for label in job["labels"]]
    bar, blank = labels.index("|"), labels.index("<blank>")
    lexicon = {"<unk>": [], **{word: [[*word, "|"]] for word in job["words"]}}
    words = dictionaries.create_word_dict(lexicon)
    model = kenlm.KenLM(job["model"], words)
    trie = library.Trie(len(labels), bar)
    start = model.start(False)  # noqa: FBT003  (their signature)
    for word, spellings in lexicon.items():
        index = words.get_index(word)
        _, score = model.score(start, index)
        for spelled in spellings:
            trie.insert([labels.index(letter) for letter in spelled], index, score)
    trie.smear(library.SmearingMode.MAX)
    options = library.LexiconDecoderOptions(
        beam_size=job["beam_width"],
        beam_size_token=len(labels),
        beam_threshold=-job["beam_prune_log_prob"],
        lm_weight=job["alpha"] * math.log(10),
        word_score=job["beta"],
        unk_score=-math.inf,
        sil_score=0.0,
        log_add=True,
        criterion_type=library.CriterionType.CTC,
    )
    unknown = words.get_index("<unk>")
    decoder = library.LexiconDecoder(options, trie, model, bar, blank, unknown, [], False)  # noqa: FBT003

    def decode(log_probs: Frames) -> str:
        emissions = np.ascontiguousarray(log_probs, np.float32)
        best = decoder.decode(emissions.ctypes.data, *emissions.shape)[0]
        return " ".join(words.get_entry(one) for one in best.words if one >= 0)

    return decode
