"""What onnx-asr does with a folder in its layout `wav2vec2-ctc` (`peer_worker`).

Releases that do not know that type yet get a class for it, on the package's own base of all CTC
models; the model's session, decoding and everything around them stay the package's.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DISTRIBUTIONS = ("numpy", "onnxruntime", "onnx-asr")
TYPE = "wav2vec2-ctc"


def load(job: dict[str, Any]) -> dict[str, Callable[[NDArray[np.float32]], str]]:
    """Load the folder."""
    library = importlib.import_module("onnx_asr")
    runtime = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = job["threads"]
    chosen = {"sess_options": options, "providers": ["CPUExecutionProvider"]}
    try:
        model = library.load_model(TYPE, job["model"], **chosen)
    except ValueError:
        model = _adapted(job, runtime, chosen)
    return {"whole": model.recognize}


def _adapted(job: dict[str, Any], runtime: Any, chosen: dict[str, Any]) -> Any:  # noqa: ANN401
    base: Any = importlib.import_module("onnx_asr.asr")._AsrWithCtcDecoding  # noqa: SLF001
    loader = importlib.import_module("onnx_asr.loader")

    class WholeGraph(base):  # type: ignore[misc]
        """Samples in, log-probs out."""

        _preprocessor_name = "identity"

        def __init__(self, files: Any, preprocessors: Any, options: Any) -> None:  # noqa: ANN401
            super().__init__(files, preprocessors, options)
            self._model = runtime.InferenceSession(files["model"], **options)

        @staticmethod
        def _get_model_files(quantization: str | None = None) -> dict[str, str]:
            raise NotImplementedError  # the files are found below, whatever their precision

        @property
        def _subsampling_factor(self) -> int:
            factor: int = self.config["subsampling_factor"]
            return factor

        def _encode(self, samples: Any, lengths: Any) -> tuple[Any, Any]:  # noqa: ANN401
            feeds = {"input_values": samples, "input_lengths": lengths}
            (found,) = self._model.run(["logprobs"], feeds)
            return found, np.minimum(lengths // self._subsampling_factor + 1, found.shape[1])

    manager = loader.Manager(**chosen)
    names = {"model": "model.onnx", "vocab": "vocab.txt", "config": "config.json"}
    files = {kind: Path(job["model"], name) for kind, name in names.items()}
    graph = WholeGraph(files, manager._create_preprocessor, manager.default_onnx_config)  # noqa: SLF001
    return manager._create_asr_adapter(graph)  # noqa: SLF001
