"""The sub-commands of `wav2edge bench` that compare what is heard with what was said."""

import argparse
from dataclasses import asdict
from pathlib import Path

from wav2edge.runtime.decoding_arguments import add_decoding, decoding_of

from .command_line import (
    Kinds,
    add_data,
    add_outputs,
    add_runtime,
    at_least,
    check_outputs,
    load,
    progress,
    sessions,
    tell,
    write_out,
)


def add_parsers(kinds: Kinds) -> None:
    """Add `accuracy`, `phrases`, `confidence`, `hotwords`, `adaptation` and `pretraining`."""
    _add_accuracy(kinds)
    one = kinds.add_parser(
        "phrases",
        help="phrases of an assistant: false rejects against false accepts",
        description="Recorded commands, read books and noise against phrases that a home assistant "
        "knows, over the threshold; digit strings with phrases and without; cost.",
    )
    add_runtime(one)
    add_data(one)
    one.add_argument("--phrases", type=Path, metavar="FILE", help="default: a home assistant's")
    add_outputs(one, plot=True)
    one.set_defaults(run=_phrases)
    one = kinds.add_parser(
        "confidence",
        help="whether confidences tell right words from wrong ones",
        description="Words of greedy decoding and of the beam search on the development sets.",
    )
    add_runtime(one)
    add_data(one)
    one.add_argument("--lm", type=Path, metavar="FILE", help="a language model for the beam search")
    one.add_argument("--sets", nargs="+", default=[], metavar="SET", help="default: all")
    add_outputs(one)
    one.set_defaults(run=_confidence)
    one = kinds.add_parser(
        "hotwords",
        help="hotwords over their boost: how many are heard, and what it costs the other words",
        description="Of every development set the rarest words are the hotwords, one list a set.",
    )
    add_runtime(one)
    add_data(one)
    one.add_argument("--lm", metavar="FILE", help="default: the bundle's own, if it has one")
    add_outputs(one)
    one.set_defaults(run=_hotwords)
    _add_adaptation(kinds)


def _add_pretraining(kinds: Kinds) -> None:
    one = kinds.add_parser(
        "pretraining",
        help="whether pre-training pays: two arms of equal budget, few transcripts",
        description="Train one arm from nothing on ten minutes of transcripts, another first on "
        "all recordings without transcripts and then on the same ten minutes, or go on with them; "
        "then score both on the development sets. Needs the extra `train`.",
    )
    add_data(one)
    one.add_argument(
        "--out",
        type=Path,
        default=Path(".training/pretraining"),
        metavar="FOLDER",
        help="where the arms are trained; default: .training/pretraining",
    )
    one.add_argument("--config", choices=("tiny", "small"), default="tiny", help="default: tiny")
    one.add_argument(
        "--minutes", type=float, default=15.0, metavar="M", help="CPU of each arm; default: 15"
    )
    add_outputs(one, plot=True)
    one.set_defaults(run=_pretraining)


def _add_accuracy(kinds: Kinds) -> None:
    one = kinds.add_parser(
        "accuracy",
        help="word error rates of every development set, offline and at each preset",
        description="One stream an utterance, finished at its end. Needs the extra `bench`.",
    )
    add_runtime(one)
    add_data(one)
    one.add_argument(
        "--decoders",
        metavar="D,D",
        help="compare some of greedy, beam, lm, phrases instead, as in greedy,lm,phrases",
    )
    add_outputs(one)
    add_decoding(one)
    one.set_defaults(run=_accuracy)


def _add_adaptation(kinds: Kinds) -> None:
    one = kinds.add_parser(
        "adaptation",
        help="whether streaming adaptation pays: arms of one checkpoint, offline and in chunks",
        description="Train three arms from a checkpoint on the split train (with everything in "
        "sight, adapted to streaming, one after the other), or go on with them; then score all on "
        "the development sets, offline and at chunks of 160 to 640 ms. Needs the extra `train`.",
    )
    one.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a Wav2Vec2ForCTC folder")
    add_data(one)
    one.add_argument(
        "--out",
        type=Path,
        default=Path(".training/adaptation"),
        metavar="FOLDER",
        help="where the arms are trained; default: .training/adaptation",
    )
    one.add_argument(
        "--steps", type=int, default=100, metavar="N", help="of each arm; default: 100"
    )
    one.add_argument(
        "--without-both",
        action="store_true",
        help="leave out the arm that is first trained with everything in sight, then adapted",
    )
    one.add_argument(
        "--seconds",
        type=float,
        default=45.0,
        metavar="S",
        help="of each development set, from its beginning; default: 45",
    )
    add_outputs(one, plot=True)
    one.set_defaults(run=_adaptation)
    _add_pretraining(kinds)


def _accuracy(arguments: argparse.Namespace) -> int:
    from . import accuracy, decodings

    data, compared, threads = arguments.data, arguments.decoders, arguments.threads
    if compared is not None:
        names, lm = compared.split(","), arguments.lm and Path(arguments.lm)
        result = decodings.measure(
            load(arguments), data, names, lm=lm, threads=threads, report=progress
        )
        table = decodings.table
    else:
        check_outputs(arguments)
        recognizer = sessions(arguments).load(arguments.model, **decoding_of(arguments))
        result = accuracy.measure(recognizer, data, threads=threads, report=progress)
        table = accuracy.table
    status = tell(result, arguments)
    print("", *table(result), sep="\n")
    return status


def _phrases(arguments: argparse.Namespace) -> int:
    from .phrases import HOME, measure

    phrases = arguments.phrases if arguments.phrases is not None else HOME
    data, how = arguments.data, sessions(arguments)
    result = measure(load(arguments), data, phrases=phrases, sessions=how, report=progress)
    return tell(result, arguments)


def _confidence(arguments: argparse.Namespace) -> int:
    from .confidence import measure, table

    result = measure(
        load(arguments),
        arguments.data,
        model=arguments.lm,
        sets=arguments.sets,
        sessions=sessions(arguments),
        report=progress,
    )
    status = tell(result, arguments)
    print("", *table(result), sep="\n")
    return status


def _hotwords(arguments: argparse.Namespace) -> int:
    from .decodings import hotword_table, measure_hotwords

    check_outputs(arguments)
    recognizer = sessions(arguments).load(arguments.model, lm=arguments.lm)
    result = measure_hotwords(
        recognizer, arguments.data, threads=arguments.threads, report=progress
    )
    status = tell(result, arguments)
    print("", *hotword_table(result), sep="\n")
    return status


def _pretraining(arguments: argparse.Namespace) -> int:
    from .pretraining import Plan, measure, table, train

    check_outputs(arguments)
    plan = Plan(config=arguments.config, minutes=arguments.minutes)
    train(arguments.data, arguments.out, plan, progress)
    result = measure(arguments.data, arguments.out, plan, progress)
    progress("")
    write_out([result], arguments)
    print(*table(result), "", *result.conditions.lines(), sep="\n")
    return 0


def _adaptation(arguments: argparse.Namespace) -> int:
    from .adaptation import Plan, train
    from .streamed import measure, table

    check_outputs(arguments)
    at_least(arguments, steps=1, seconds=1)
    arms = Plan.trained[:-1] if arguments.without_both else Plan.trained
    plan = Plan(steps=arguments.steps, trained=arms)
    train(arguments.checkpoint, arguments.data, arguments.out, plan, progress)
    result = measure(
        plan.arms(arguments.checkpoint, arguments.out),
        arguments.data,
        options={"training": asdict(plan)},
        seconds=arguments.seconds,
        cache=arguments.out / "heard",
        report=progress,
    )
    progress("")
    write_out([result], arguments)
    print(*table(result), "", *result.conditions.lines(), sep="\n")
    return 0
