"""The documentation site: it builds, its links lead somewhere, and it fetches nothing."""

import argparse
import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import wav2edge
from wav2edge import cli
from wav2edge.lm import errors as lm_errors
from wav2edge.runtime import errors as runtime_errors

ROOT = Path(__file__).resolve().parents[1]
DRAWINGS = sorted((ROOT / "docs" / "drawings").glob("*.svg"))
_FETCHED = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("image", "href"), ("img", "src"),
    ("img", "srcset"), ("link", "href"), ("object", "data"), ("script", "src"), ("source", "src"),
    ("use", "href"), ("video", "src"),
}  # fmt: skip
_OUTSIDE = re.compile(r"(?:[a-z]+:)?//", re.IGNORECASE)


@dataclass
class Page:
    """What a page holds, as far as these tests ask."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.page = Page(path)
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.page.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.page.links.add(given["href"])
        if tag == "link" and given.get("rel") in ("canonical", "next", "prev"):
            return
        self.page.fetched |= {given[name] for name in given if (tag, name) in _FETCHED}

    def handle_data(self, data: str) -> None:
        self.page.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly into a folder of its own."""
    for module in ("zensical", "mkdocstrings_handlers"):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'no site: {module} is not installed: pip install "wav2edge[docs]"')
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "docs" / "pages", folder / "docs" / "pages")
    config = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "paths: [.]" in config
    config = config.replace("paths: [.]", f"paths: [{ROOT}]")
    (folder / "mkdocs.yml").write_text(config, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict", "-f", folder / "mkdocs.yml"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    complaints = [
        line for line in (done.stdout + done.stderr).splitlines()
        if re.search("warning|error", line, re.IGNORECASE)
    ]  # fmt: skip
    assert complaints == []
    return folder / "site"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Every page that was built."""
    return {path: _Reader(path).page for path in sorted(site.rglob("*.html"))}


def test_every_page_is_built_and_found(site: Path, pages: dict[Path, Page]) -> None:
    """Each Markdown file is a page, and each page is in the navigation."""
    sources = sorted((ROOT / "docs" / "pages").rglob("*.md"))
    built = [
        (site / path.relative_to(ROOT / "docs" / "pages")).with_suffix(".html") for path in sources
    ]
    assert set(built) == set(pages) - {site / "404.html"}
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    listed = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    assert sorted(listed) == [str(path.relative_to(ROOT / "docs" / "pages")) for path in sources]


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    """Each link within the site names a page that is there, and a place on it that is there."""
    wrong = []
    for page in pages.values():
        for link in page.links:
            if _OUTSIDE.match(link) or page.path.name == "404.html":
                continue
            file, place = urldefrag(link)
            target = (page.path.parent / unquote(file)).resolve() if file else page.path
            target = target / "index.html" if target.is_dir() else target
            known = target.is_file() and (not place or unquote(place) in pages[target].ids)
            if not known:
                wrong.append(f"{page.path.relative_to(site)}: {link}")
    assert wrong == []


def test_nothing_is_fetched_from_outside(site: Path, pages: dict[Path, Page]) -> None:
    """No script, style, picture or font comes from anywhere else; no page counts its readers."""
    outside = {
        f"{page.path.name}: {one}"
        for page in pages.values()
        for one in page.fetched
        if _OUTSIDE.match(one)
    }
    assert outside == set()
    for style in site.rglob("*.css"):
        named = re.findall(r"(?:url\(|@import)\s*['\"]?([^'\")\s]+)", style.read_text("utf-8"))
        assert [one for one in named if _OUTSIDE.match(one)] == []
    text = "".join(path.read_text(encoding="utf-8") for path in pages)
    assert not re.search("googletagmanager|google-analytics|fonts.g(oogleapis|static)", text)


def test_every_public_name_is_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    """Each name of `wav2edge.__all__` has its place, told from its docstring."""
    page = pages[site / "reference" / "python.html"]
    placed = {one.rpartition(".")[2] for one in page.ids}
    assert set(wav2edge.__all__) - {"__version__", "Event"} <= placed
    assert "wav2edge.Event" in page.text


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield one
                yield from _parsers(one)


def test_every_command_and_option_is_in_the_reference(site: Path, pages: dict[Path, Page]) -> None:
    """What the parsers understand is what the page says: it is generated from them."""
    page = pages[site / "reference" / "command-line.html"]
    commands = list(_parsers(cli.parser()))
    assert {one.prog.replace(" ", "-") for one in commands} <= page.ids
    options = {
        option for one in commands for action in one._actions for option in action.option_strings
    }
    assert {option for option in options if option not in page.text} <= {"-h", "--help"}


def test_every_error_is_explained(site: Path, pages: dict[Path, Page]) -> None:
    """Each error of the runtime and the decoders is in the table, with what it means."""
    text = pages[site / "how-to" / "troubleshooting.html"].text
    names = [
        error.__name__
        for module in (lm_errors, runtime_errors)
        for error in vars(module).values()
        if inspect.isclass(error) and issubclass(error, wav2edge.Wav2EdgeError)
    ]
    assert [name for name in names if name not in text] == []


@pytest.mark.parametrize("path", DRAWINGS, ids=lambda path: path.stem)
def test_drawings_take_the_page_s_colours(path: Path) -> None:
    """A drawing names itself for who cannot see it, is used, and has no colour of its own."""
    text = path.read_text(encoding="utf-8")
    assert re.search(r"<title>\w[^<]+</title>", text)
    assert not re.search(r"#[0-9a-f]{3}|rgb\(|fill=|stroke=", text)
    used = [page.read_text("utf-8") for page in (ROOT / "docs" / "pages").rglob("*.md")]
    assert any(f"<!-- drawing: {path.name} -->" in page for page in used)


def test_what_a_page_names_must_be_there() -> None:
    """A page that includes a file or a heading that is not there stops the build, naming it."""
    pytest.importorskip("markdown", reason='no site: pip install "wav2edge[docs]"')
    spec = importlib.util.spec_from_file_location("includes", ROOT / "docs" / "includes.py")
    assert spec is not None
    assert spec.loader is not None
    includes = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(includes)
    for kind, what in (("section", "README.md, Nowhere"), ("code", "examples/none.py")):
        with pytest.raises(includes.IncludeError, match=r"Nowhere|none\.py"):
            getattr(includes, kind)(what)
