"""What `transformers` does: the model in eager mode, or its pipeline in chunks (`peer_worker`)."""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "torch", "transformers")
RATE_HZ = 16_000


def load(job: dict[str, Any]) -> dict[str, Callable[[NDArray[np.float32]], str]]:
    """Load the checkpoint as its documentation shows it."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(job["threads"])
    return {"whole": _pipeline(job) if "chunk_s" in job else _eager(job, torch)}


def _eager(job: dict[str, Any], torch: Any) -> Callable[[NDArray[np.float32]], str]:  # noqa: ANN401
    library = importlib.import_module("transformers")
    extractor = library.Wav2Vec2FeatureExtractor.from_pretrained(job["model"])
    tokenizer = library.Wav2Vec2CTCTokenizer.from_pretrained(job["model"])
    model = library.Wav2Vec2ForCTC.from_pretrained(job["model"]).eval()

    def whole(samples: NDArray[np.float32]) -> str:
        inputs = extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")
        with torch.inference_mode():
            logits = model(inputs.input_values).logits
        text: str = tokenizer.decode(logits[0].argmax(-1))
        return text

    return whole


def _pipeline(job: dict[str, Any]) -> Callable[[NDArray[np.float32]], str]:
    pipe = importlib.import_module("transformers").pipeline(
        "automatic-speech-recognition",
        model=job["model"],
        device="cpu",
        chunk_length_s=job["chunk_s"],
        stride_length_s=job["stride_s"],
    )

    def whole(samples: NDArray[np.float32]) -> str:
        text: str = pipe({"raw": samples, "sampling_rate": RATE_HZ})["text"]
        return text

    return whole
