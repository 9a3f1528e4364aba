"""The names of what can run a model, and the ways to ask for it."""

from collections.abc import Mapping, Sequence

from .errors import ProviderError

Provider = str | tuple[str, Mapping[str, object]]
"""`cpu`, `cuda`, `tensorrt`, `openvino`, `coreml`, `directml`; or one of them and its options."""

NAMES = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
}
"""Ours -> ONNX Runtime's."""
COMES_WITH = {
    "cuda": "onnxruntime-gpu",
    "tensorrt": "onnxruntime-gpu",
    "openvino": "onnxruntime-openvino",
    "coreml": "onnxruntime on macOS",
    "directml": "onnxruntime-directml",
}
"""What to install for each."""


def asked_for(provider: Provider | Sequence[Provider]) -> dict[str, Mapping[str, object]]:
    """Bring all the ways to ask for providers into one: name -> options, in order.

    Raises:
        ProviderError: If one is unknown, or none is named.
    """
    asked: dict[str, Mapping[str, object]] = {}
    for one in _listed(provider):
        name, options = (one, {}) if isinstance(one, str) else one
        if name not in NAMES:
            raise ProviderError(f"provider is {name!r}, expected one of {', '.join(NAMES)}")
        asked[name] = options
    if not asked:
        raise ProviderError(f"no provider in the list, expected at least one of {list(NAMES)}")
    return asked


def _listed(provider: Provider | Sequence[Provider]) -> list[Provider]:
    match provider:
        case str():
            return [provider]
        case (str() as name, Mapping() as options):
            return [(name, options)]
        case [*several]:
            return [one for each in several for one in _listed(each)]
    raise ProviderError(
        f"provider is {provider!r}, expected a name, a pair of name and options, or a list of them"
    )


def ours(name: str) -> str:
    """Return our name of one of ONNX Runtime's, or its own if we have none."""
    return next((ours for ours, theirs in NAMES.items() if theirs == name), name)
