"""The options of `wav2edge train adapt`; torch is not needed to show them."""

import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the ranges that chunk, look-ahead and left context are drawn from."""
    group = parser.add_argument_group("what streams are drawn from, in milliseconds")
    for name, default, what in (
        ("chunk", (160.0, 640.0), "new audio a step"),
        ("look-ahead", (0.0, 640.0), "audio that is seen before a frame is final"),
        ("left", (2000.0, 8000.0), "audio that a step still sees"),
    ):
        group.add_argument(
            f"--{name}-ms",
            nargs=2,
            type=float,
            default=default,
            metavar=("LEAST", "MOST"),
            help=f"{what} (default {default[0]:g} {default[1]:g})",
        )
    group.add_argument(
        "--whole",
        type=float,
        default=0.25,
        metavar="SHARE",
        help="share of batches that see everything, so that offline does not suffer (default 0.25)",
    )
