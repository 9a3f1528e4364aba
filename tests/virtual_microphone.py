"""A microphone without hardware: a PulseAudio daemon of its own, whose null sink is what is heard.

PortAudio reaches it through ALSA's pulse plugin, as it reaches a real one on a desktop.
"""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

_START_S = 20.0
_ALSA = """
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


def missing() -> str:
    """Say what is not there; empty if a virtual microphone can be had."""
    programs = [name for name in ("pulseaudio", "paplay", "pactl") if shutil.which(name) is None]
    if programs:
        return f"{', '.join(programs)} not found: apt-get install pulseaudio pulseaudio-utils"
    if not list(Path("/usr/lib").glob("**/libasound_module_pcm_pulse.so")):
        return "ALSA's pulse plugin not found: apt-get install libasound2-plugins"
    if importlib.util.find_spec("sounddevice") is None:
        return 'sounddevice is not installed: pip install "wav2edge[mic]"'
    try:
        importlib.import_module("sounddevice")
    except OSError:
        return "PortAudio not found: apt-get install libportaudio2"
    return ""


class VirtualMicrophone:
    """A running daemon. Use it in a `with` statement; it skips the test where it cannot be had."""

    def __enter__(self) -> Self:
        reason = missing()
        if reason:
            pytest.skip(f"no virtual microphone: {reason}")
        self._folder = Path(tempfile.mkdtemp(prefix="mic-"))  # sockets want short paths
        self._folder.chmod(0o700)
        (self._folder / "asound.conf").write_text(_ALSA, encoding="utf-8")
        socket = self._folder / "native"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PULSE_")},
            "HOME": str(self._folder),
            "XDG_RUNTIME_DIR": str(self._folder),
            "PULSE_SERVER": f"unix:{socket}",
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
        }
        """For the processes that shall hear this microphone and no other."""
        self._daemon = subprocess.Popen(
            [
                "pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1",
                f"--load=module-native-protocol-unix socket={socket} auth-anonymous=1",
                "--load=module-null-sink sink_name=microphone rate=44100",
            ],
            env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.unplug()
        shutil.rmtree(self._folder, ignore_errors=True)

    def play(self, samples: NDArray[np.float32], rate_hz: int) -> None:
        """Let the microphone hear samples; return when it has."""
        file = self._folder / "played.wav"
        soundfile.write(file, samples, rate_hz, "FLOAT")
        subprocess.run(["paplay", file], env=self.environment, check=True, timeout=60)

    def unplug(self) -> None:
        """End the daemon: for whoever listens, the device goes away."""
        if self._daemon.poll() is None:
            self._daemon.terminate()
        self._daemon.wait(timeout=20)

    def _wait(self) -> None:
        """Wait until the daemon answers."""
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s:
            asked = subprocess.run(
                ["pactl", "list", "short", "sources"],
                env=self.environment, check=False, capture_output=True, timeout=20,
            )  # fmt: skip
            if b"microphone.monitor" in asked.stdout:
                return
            time.sleep(0.1)
        self.unplug()
        pytest.skip("no virtual microphone: pulseaudio does not start here")
