r"""A model bundle: a folder with all that a device needs, checked before anything of it is used.

    manifest.json   what the model is (`manifest.py`), and size and SHA-256 of every other file
    model.onnx      the network
    model.onnx.data its weights, if it has more than 2 GB
    tokens.txt      one token a line, UTF-8, "\n" only; a token's id is its line, from 0
    lm/             a language model and, with a binary, its word list (`attachment.py`), if any

A bundle may come from a stranger: it is data and never code (no pickle), nothing outside its
folder is opened, and what does not fit is refused before the model is used. Hashes guard against
damage, not against forgery: whoever writes a bundle writes its hashes.
"""

import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from wav2edge.lm.alphabet import Alphabet
from wav2edge.lm.errors import AlphabetError

from .errors import (
    BundleExistsError,
    BundleNotFoundError,
    DamagedBundleError,
    ManifestError,
    UnsafePathError,
)
from .integrity import check_contents, check_size, checking, sha256_of
from .manifest import SCHEMA, Manifest
from .onnx_asr import VOCABULARY, is_onnx_asr, read_facts

MANIFEST, MODEL, TOKENS = "manifest.json", "model.onnx", "tokens.txt"
WEIGHTS = MODEL + ".data"

_LARGEST_MANIFEST = 1 << 24  # bytes; ours have a few thousand


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files are all there and as they were written."""

    folder: Path
    manifest: Manifest
    alphabet: Alphabet

    @property
    def model_path(self) -> Path:
        """The network's file."""
        return self.folder / MODEL

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """Open a bundle, and check every file of it; raises what `reading` does."""
        with cls.reading(folder) as bundle:
            return bundle

    @classmethod
    @contextmanager
    def reading(cls, folder: str | os.PathLike[str]) -> Iterator[Self]:
        """Open a bundle, and check every file of it.

        The weights, if they have a file of their own, are checked beside what is done with the
        bundle in this context: they are numbers, which nobody interprets.

        A folder in the layout of onnx-asr, without a manifest, is read as it is (`onnx_asr.py`).

        Args:
            folder: The bundle.

        Raises:
            BundleNotFoundError: If there is no such folder, or a file is missing.
            ManifestError: If the manifest cannot be understood.
            SchemaError: If it was written for another version.
            UnsafePathError: If a file name leads out of the folder.
            DamagedBundleError: If a file is not the one that was written; of the weights, when
                the context ends.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).exists() and is_onnx_asr(folder):
            yield cls(folder, *_foreign(folder))
            return
        manifest = Manifest.from_json(_manifest_of(folder), source=str(folder / MANIFEST))
        said = manifest.language_model
        attached = () if said is None else filter(None, (said.file, said.words))
        for required in (MODEL, TOKENS, *attached):
            if required not in manifest.files:
                raise ManifestError(
                    f"{folder / MANIFEST} does not list {required} under files: export the model "
                    "again, manifests are not written by hand"
                )
        if WEIGHTS not in manifest.files and (folder / WEIGHTS).exists():
            raise DamagedBundleError(
                f"{folder / WEIGHTS} is not what {MANIFEST} tells of: copy the whole folder again"
            )
        for name, facts in manifest.files.items():
            check_size(_inside(folder, name), facts.bytes)
            if name != WEIGHTS:
                check_contents(folder / name, facts.sha256)
        contents = (folder / TOKENS).read_bytes()
        found = cls(folder, manifest, _alphabet(manifest, contents, str(folder / TOKENS)))
        if WEIGHTS not in manifest.files:
            yield found
            return
        with checking(folder / WEIGHTS, manifest.files[WEIGHTS].sha256):
            yield found

    @classmethod
    def write(
        cls,
        folder: str | os.PathLike[str],
        facts: Mapping[str, Any],
        *,
        model: bytes | Path,
        tokens: Sequence[str],
        others: Mapping[str, bytes | Path] | None = None,
        overwrite: bool = False,
    ) -> Self:
        """Write a bundle: afterwards it is there, complete and checked, or nothing is.

        Args:
            folder: Where it shall be. It may not exist yet, or be empty.
            facts: The manifest without `schema` and `files`, which are made here.
            model: The ONNX model, or where it lies; a file is copied, and its weights with it if
                they lie beside it in a file of their own.
            tokens: In the order of their ids.
            others: Further files by their names, for instance a model card.
            overwrite: Replace a bundle that is there already; nothing but a bundle is replaced.

        Returns:
            The bundle as `read` finds it.

        Raises:
            ManifestError: If the facts do not make a manifest.
            UnsafePathError: If the name of another file leads out of the folder.
            BundleExistsError: If something is there that may not be replaced.
            OSError: If the disk does not take it; then nothing of it is left.
        """
        folder = Path(os.path.abspath(folder))  # noqa: PTH100  (resolve would follow links)
        _refuse_to_replace(folder, overwrite=overwrite)
        contents = {TOKENS: _lines(tokens), MODEL: model, **_weights(model), **(others or {})}
        draft = folder.parent / f".{folder.name}.{os.urandom(4).hex()}"
        try:
            draft.mkdir(parents=True)
            files = {name: _put(_inside(draft, name), body) for name, body in contents.items()}
            manifest = {"schema": SCHEMA, **facts, "files": files}
            text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            _put(draft / MANIFEST, text.encode())
            checked = cls.read(draft)
            _replace(folder, draft)
        except BaseException:
            _remove(draft)
            raise
        return replace(checked, folder=folder)

    def amended(
        self,
        facts: Mapping[str, Any],
        *,
        add: Mapping[str, bytes | Path] | None = None,
        remove: Collection[str] = (),
    ) -> Self:
        """Change a bundle where it is: a reader finds it as it was or as it will be, no mixture.

        Args:
            facts: What shall stand in the manifest.
            add: Files by their names; one that is listed already is the same file.
            remove: Files by their names.

        Returns:
            The bundle as `read` finds it.

        Raises:
            BundleError: As `read` and `write` do; then nothing has changed.
            OSError: If the disk does not take it; then nothing has changed.
        """
        path = self.folder / MANIFEST
        found = json.loads(_manifest_of(self.folder))
        files = {name: said for name, said in found["files"].items() if name not in remove}
        fresh = {name: body for name, body in (add or {}).items() if name not in found["files"]}
        draft = path.with_name(f".{MANIFEST}.{os.urandom(4).hex()}")
        places = {name: _inside(self.folder, name) for name in (*fresh, *remove)}
        try:
            for name, body in fresh.items():
                files[name] = _put(places[name], body)
            text = json.dumps({**found, **facts, "files": files}, indent=1, ensure_ascii=False)
            Manifest.from_json(text.encode(), source=str(path))
            _put(draft, text.encode() + b"\n")
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            self._drop(places[name] for name in fresh)
            raise
        self._drop(places[name] for name in remove)
        return type(self).read(self.folder)

    def _drop(self, paths: Iterable[Path]) -> None:
        """Delete files, and the folders that are empty without them."""
        for path in paths:
            path.unlink(missing_ok=True)
            if (
                path.parent != self.folder
                and path.parent.is_dir()
                and not any(path.parent.iterdir())
            ):
                path.parent.rmdir()


def _foreign(folder: Path) -> tuple[Manifest, Alphabet]:
    """Read a folder of another layout; it has no hashes to check."""
    for name in (MODEL, VOCABULARY):
        if not _inside(folder, name).is_file():
            raise BundleNotFoundError(
                f"{folder / name} is missing: models of the onnx-asr layout have it; copy the "
                "whole folder again"
            )
    return read_facts(folder)


def _weights(model: bytes | Path) -> dict[str, Path]:
    """Find the weights of a model that has them in a file of their own."""
    beside = None if isinstance(model, bytes) else model.with_name(model.name + ".data")
    return {WEIGHTS: beside} if beside is not None and beside.is_file() else {}


def _manifest_of(folder: Path) -> bytes:
    if not folder.is_dir():
        what = "is a file, and a bundle is a folder" if folder.exists() else "does not exist"
        raise BundleNotFoundError(
            f"bundle {folder} {what}: give the folder that wav2edge export wrote"
        )
    path = _inside(folder, MANIFEST)
    if not path.is_file():
        raise BundleNotFoundError(
            f"{folder} has no {MANIFEST}: it is no bundle; wav2edge export makes bundles"
        )
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise ManifestError(
            f"{path} has {path.stat().st_size} bytes, more than any manifest: it is no bundle's"
        )
    return path.read_bytes()


def _inside(folder: Path, name: str) -> Path:
    """Return the path of a file of the bundle; its name must not lead anywhere else."""
    parts = name.split("/")
    plain = not any(sign in name for sign in '\\:\0*?"<>|') and not {"", ".", ".."} & set(parts)
    try:
        stays = plain and (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # a loop of links
        stays = False
    if not stays:
        raise UnsafePathError(
            f"file name {name!r} leads out of the bundle {folder}: names are relative, without "
            "'..', and links stay inside; do not use this bundle unless you know who made it"
        )
    return folder / name


def _alphabet(manifest: Manifest, contents: bytes, source: str) -> Alphabet:
    try:
        lines = contents.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise DamagedBundleError(f"{source} is no UTF-8: export the model again") from error
    if lines.pop() != "" or len(lines) != manifest.vocabulary_size:
        raise DamagedBundleError(
            f"{source} has {len(lines)} lines, the model has {manifest.vocabulary_size} tokens; "
            "each token is one line and ends with a newline: export the model again"
        )
    try:
        return Alphabet(
            tokens=tuple(lines),
            blank_id=manifest.blank_id,
            delimiter_id=manifest.word_delimiter_id,
            special_ids=manifest.special_ids,
            space=manifest.word_separator,
        )
    except AlphabetError as error:
        raise ManifestError(f"{source} and its manifest do not fit: {error}") from error


def _lines(tokens: Sequence[str]) -> bytes:
    for id_, token in enumerate(tokens):
        if "\n" in token:
            raise ManifestError(
                f"token {id_} is {token!r}, and a token cannot hold a newline: {TOKENS} is one "
                "token a line; rename it in the checkpoint's vocabulary"
            )
    return "".join(f"{token}\n" for token in tokens).encode()


def _put(path: Path, body: bytes | Path) -> dict[str, Any]:
    """Write one file so that it survives a power cut; return what the manifest says of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(body, Path):
        import shutil

        shutil.copyfile(body, path)
    else:
        path.write_bytes(body)
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return {"sha256": sha256_of(path), "bytes": path.stat().st_size}


def _refuse_to_replace(folder: Path, *, overwrite: bool) -> None:
    if not folder.is_dir():
        if folder.exists():
            raise BundleExistsError(f"{folder} is a file: name a folder for the bundle")
        return
    if not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise BundleExistsError(
            f"{folder} holds other things than a bundle: name a folder that is empty or new"
        )
    if not overwrite:
        raise BundleExistsError(
            f"{folder} holds a bundle already: name another folder, or ask for it to be replaced"
        )


def _replace(folder: Path, draft: Path) -> None:
    """Put a complete draft in its place; what was there comes back if that fails."""
    if not folder.exists():
        draft.rename(folder)
        return
    aside = draft.with_name(draft.name + ".old")
    folder.rename(aside)
    try:
        draft.rename(folder)
    except OSError:
        aside.rename(folder)
        raise
    _remove(aside)


def _remove(folder: Path) -> None:
    import shutil  # three compressors come with it, and a reader writes nothing

    shutil.rmtree(folder, ignore_errors=True)
