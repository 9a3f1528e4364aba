"""Keep torch, transformers and the quantizer from talking.

What they have to say becomes typed errors or progress here.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Mute their loggers, warnings and progress bars for as long as the block runs."""
    from transformers.utils import logging as their_logging

    disabled, bars = logging.root.manager.disable, their_logging.is_progress_bar_enabled()
    logging.disable(logging.WARNING)
    their_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        if bars:
            their_logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """Return the first line of what an error of theirs says, to quote in one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
