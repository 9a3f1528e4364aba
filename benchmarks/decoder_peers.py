"""Runs another decoder in that one's own environment: python decoder_peers.py NAME JOB.json.

JOB.json names the file of log-probs, the labels, the language model and the options. Then every
line on standard input names an array; the answer is a line of JSON: CPU seconds, text and score.
This file imports nothing of ours: the other environment has none of it.
"""

import importlib
import json
import logging
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Decode = Callable[[NDArray[np.float32]], tuple[str, float]]


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

    def decode(log_probs: NDArray[np.float32]) -> tuple[str, float]:
        best = decoder.decode_beams(
            log_probs,
            beam_width=job["beam_width"],
            beam_prune_logp=job["beam_prune_log_prob"],
            token_min_logp=job["token_min_log_prob"],
            prune_history=True,
        )[0]
        return best[0], float(best[-1])

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

    def decode(log_probs: NDArray[np.float32]) -> tuple[str, float]:
        emissions = np.ascontiguousarray(log_probs, np.float32)
        best = decoder.decode(emissions.ctypes.data, *emissions.shape)[0]
        return " ".join(words.get_entry(one) for one in best.words if one >= 0), best.score

    return decode


def main(name: str, job: Path) -> None:
    """Answer line by line."""
    logging.disable(logging.CRITICAL)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    asked = json.loads(job.read_text(encoding="utf-8"))
    log_probs = np.load(asked["log_probs"])
    decode = {"pyctcdecode": pyctcdecode, "flashlight": flashlight}[name](asked)
    for line in sys.stdin:
        array = log_probs[line.strip()]
        began = time.process_time()
        text, score = decode(array)
        answer = {"cpu_s": time.process_time() - began, "text": text, "score": score}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
