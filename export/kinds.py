"""Which kinds of checkpoint there are, and where their configs say different things.

The kinds of Wav2Vec 2.0 share one shape: convolutions over samples, a projection, convolutions that
carry positions, a transformer, a CTC head. This module answers what differs, so that nothing else
needs to ask for a kind by name.

    kind             class of transformers     differs in
    wav2vec2         Wav2Vec2ForCTC            (XLS-R and MMS as well; MMS has adapters a language)
    hubert           HubertForCTC              conv_pos_batch_norm, feat_proj_layer_norm
    unispeech        UniSpeechForCTC
    unispeech-sat    UniSpeechSatForCTC
    wavlm            WavLMForCTC               attention knows how far frames are apart
    data2vec-audio   Data2VecAudioForCTC       positions come from several small convolutions
"""

from typing import Any

from .errors import UnsupportedCheckpointError

SUPPORTED = {
    "wav2vec2": "Wav2Vec2ForCTC",
    "hubert": "HubertForCTC",
    "unispeech": "UniSpeechForCTC",
    "unispeech-sat": "UniSpeechSatForCTC",
    "wavlm": "WavLMForCTC",
    "data2vec-audio": "Data2VecAudioForCTC",
}
_MEL = ("wav2vec2-bert", "seamless_m4t", "whisper")
_NORMS = ("group", "layer")


def refuse_unsupported(source: str, config: Any) -> None:
    """Refuse by name what the step graph cannot do.

    Raises:
        UnsupportedCheckpointError: It says what is the matter, and what is supported.
    """
    kind, named = config.model_type, ", ".join(config.architectures or ["no architecture"])
    ours = kind in SUPPORTED
    mel = " (mel input, not samples)" if kind in _MEL else ""
    reasons = (
        (not ours, f"it is of the kind {kind!r}{mel}"),
        (ours and SUPPORTED[kind] not in (config.architectures or []), f"{named} has no CTC head"),
        (getattr(config, "add_adapter", False), "add_adapter: its adapter changes the frame rate"),
        (ours and first_norm(config) not in _NORMS, "feat_extract_norm is neither group nor layer"),
        (
            getattr(config, "adapter_attn_dim", None) is not None and not is_stable(config),
            "adapter_attn_dim without do_stable_layer_norm: transformers builds no adapters there",
        ),
    )
    for refused, reason in reasons:
        if refused:
            raise UnsupportedCheckpointError(
                f"{source} cannot be exported: {reason}; {supported()}"
            )


def supported() -> str:
    """Say what can be exported, for the end of a message."""
    return (
        f"supported are {', '.join(SUPPORTED.values())} with raw samples as input, group norm or "
        "layer norm, and any stack of convolutions"
    )


def first_norm(config: Any) -> str:
    """Return how the convolutions are normalised: `group` (the first one, over time) or `layer`.

    data2vec has no such key: its convolutions are all layer-normed.
    """
    return str(getattr(config, "feat_extract_norm", "layer"))


def is_stable(config: Any) -> bool:
    """Tell whether layers normalise their input ("stable layer norm") instead of their output."""
    return bool(getattr(config, "do_stable_layer_norm", False))


def position_reach(config: Any) -> tuple[int, int]:
    """Count the frames that the positional convolutions see before a frame, and behind it."""
    if config.model_type == "data2vec-audio":
        kernel, n_layers = config.conv_pos_kernel_size, config.num_conv_pos_embeddings
    else:
        kernel, n_layers = config.num_conv_pos_embeddings, 1
    left: int = kernel // 2
    return left * n_layers, (kernel - 1 - left) * n_layers


def knows_the_start(config: Any) -> bool:
    """Tell whether positions need to know which frames lie before the start of the audio.

    One convolution over zeros before the start needs not. Several, or one behind a batch norm, do:
    `transformers` pads each of them with zeros, and what precedes it would not leave zeros there.
    """
    return config.model_type == "data2vec-audio" or bool(
        getattr(config, "conv_pos_batch_norm", False)
    )
