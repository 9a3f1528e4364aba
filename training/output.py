"""What a run leaves behind: its state, its settings, and the checkpoint that it makes."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .errors import OtherRunError, TrainingStateError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Output:
    """Where a run writes."""

    checkpoint: Path
    """Folder of the averaged model, in the layout of `transformers`."""
    run: Path
    """Folder of `state.pt`, `settings.json` and the log."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What makes this run this one, as JSON can hold it; a run of other settings does not go on."""

    @classmethod
    def under(cls, folder: Path, settings: Mapping[str, Any]) -> "Output":
        """Return the usual places: the checkpoint in `folder`, the run in `folder/training`.

        Raises:
            OtherRunError: Something else lies there, or a run of other settings.
        """
        output = cls(folder, folder / "training", json.loads(json.dumps(dict(settings))))
        known = output.run / "settings.json"
        if known.is_file():
            output.refuse_other(json.loads(known.read_text(encoding="utf-8")))
        elif folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
            raise OtherRunError(f"{folder} is there and holds no run: choose a new or empty folder")
        return output

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin, and keep other processes of this machine out of the folder meanwhile.

        Two runs would each write over the other's state. Windows lets them.

        Raises:
            OtherRunError: Another process trains here now.
        """
        self.run.mkdir(parents=True, exist_ok=True)
        with (self.run / "lock").open("w") as lock:
            if fcntl is not None:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise OtherRunError(
                        f"another process trains in {self.run} now: wait for it, stop it, or "
                        "choose a new folder"
                    ) from None
            self.begin()
            yield

    def begin(self) -> None:
        """Make the folder of the run, and note the settings."""
        self.run.mkdir(parents=True, exist_ok=True)
        draft = self.run / "settings.tmp"
        draft.write_text(json.dumps(dict(self.settings), indent=1) + "\n", encoding="utf-8")
        draft.replace(self.run / "settings.json")

    def read_state(
        self, device: torch.device, restore: Callable[[Mapping[str, Any]], None]
    ) -> None:
        """Hand the state to `restore`, if there is one.

        Raises:
            TrainingStateError: It cannot be read, or does not fit.
            OtherRunError: It is another run's.
        """
        file = self.run / "state.pt"
        if not file.is_file():
            return
        try:
            state = torch.load(file, map_location=device, weights_only=True)
            self.refuse_other(state.get("settings", self.settings))
            restore(state)
        except OtherRunError:
            raise
        except Exception as error:  # a file can be broken in as many ways as torch can fail
            reason = " ".join(str(error).split())[:300]  # torch's first line names nothing
            raise TrainingStateError(
                f"{file} cannot be gone on from ({type(error).__name__}: {reason}): choose a new "
                "folder, or delete it to start anew"
            ) from error

    def write_state(self, state: Mapping[str, Any]) -> None:
        """Write `state.pt`; a kill in the middle leaves the old one."""
        self.run.mkdir(parents=True, exist_ok=True)
        draft = self.run / "state.tmp"
        torch.save({**state, "settings": dict(self.settings)}, draft)
        draft.replace(self.run / "state.pt")

    def write_checkpoint(self, save: Callable[[Path], None]) -> None:
        """Let `save` write into a folder beside, and move its files in place."""
        draft = self.run / "checkpoint.tmp"
        draft.mkdir(exist_ok=True)
        save(draft)
        self.checkpoint.mkdir(parents=True, exist_ok=True)
        for file in sorted(draft.iterdir()):
            file.replace(self.checkpoint / file.name)
        draft.rmdir()

    def refuse_other(self, found: Mapping[str, Any]) -> None:
        """Raise OtherRunError unless a run's settings are these."""
        names = sorted({*found, *self.settings})
        other = [name for name in names if found.get(name) != self.settings.get(name)]
        if other:
            changed = "; ".join(
                f"{name} was {_shown(found.get(name))} and is {_shown(self.settings.get(name))}"
                for name in other[:3]
            )
            raise OtherRunError(
                f"{self.checkpoint} holds another run ({changed}): choose a new folder, or the "
                "same options to go on"
            )


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) < 60 else text[:57] + "..."
