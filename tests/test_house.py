"""The rules of the house that no linter knows: sizes, names, what every module says, what every change brings."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = sorted((ROOT / "src").rglob("*.py"))
PYTHON = [*SOURCE, *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "benchmarks").rglob("*.py"))]
FILE_LINES = 500
TEST_FILE_LINES = 1000  # a test file is read one test at a time
FUNCTION_LINES = 60
POSITIONAL = 5
NAMES_THAT_SAY_NOTHING = {"util", "utils", "common", "helper", "helpers", "misc", "manager"}
POSTPONED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")  # split, or this file would be found itself
MIGRATIONS = "migrations/versions"  # each is one frozen list of statements, written once and never read for its logic
CHANGE_KINDS = ("Added", "Changed", "Fixed", "Removed", "Security")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Every function of a file with the place to name in a complaint."""
    for node in ast.walk(parse(path)):
        if isinstance(node, Function):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", node


def is_command(function: Function) -> bool:
    """Whether click calls it, which passes every option by its name."""
    return any("command(" in ast.unparse(decorator) for decorator in function.decorator_list)


def lines_of(function: Function) -> int:
    """A function's length without its docstring: explaining more must never be forbidden."""
    docstring = ast.get_docstring(function, clean=False)
    length = (function.end_lineno or function.lineno) - function.lineno + 1
    return length - (docstring.count("\n") + 1 if docstring else 0)


def test_there_is_something_to_check() -> None:
    assert len(SOURCE) > 20


def test_files_stop_at_the_limit() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in PYTHON
        if (lines := len(path.read_text(encoding="utf-8").splitlines()))
        > (FILE_LINES if path in SOURCE else TEST_FILE_LINES)
    }
    assert long == {}, f"over {FILE_LINES} lines: what are the two things in it?"


def test_functions_stop_at_the_limit() -> None:
    long = {
        place: lines
        for path in PYTHON
        for place, node in functions(path)
        if (lines := lines_of(node)) > FUNCTION_LINES and MIGRATIONS not in place
    }
    assert long == {}, f"over {FUNCTION_LINES} lines"


def test_functions_take_few_positional_arguments() -> None:
    many = {
        place: count
        for path in SOURCE
        for place, node in functions(path)
        if not is_command(node)
        and (
            count := sum(argument.arg not in {"self", "cls"} for argument in [*node.args.posonlyargs, *node.args.args])
        )
        > POSITIONAL
    }
    assert many == {}, f"more than {POSITIONAL}: a dataclass or keywords"


def test_every_module_says_why_it_exists() -> None:
    silent = [str(path.relative_to(ROOT)) for path in SOURCE if not ast.get_docstring(parse(path))]
    assert silent == []


def test_no_bare_except() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in PYTHON if {path.stem, path.parent.name} & NAMES_THAT_SAY_NOTHING] == []


def test_nothing_is_postponed_in_a_comment() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in PYTHON
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if POSTPONED.search(line)
    ]
    assert found == []


def test_tests_mirror_the_source() -> None:
    """Every room has its tests where they are looked for; branch coverage tells whether they reach everything."""
    of_their_own = {"contract", "interop"}
    rooms = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")} - {Path()}
    sources = {path.parent.relative_to(ROOT / "src" / "homeport") for path in SOURCE if path.name != "__init__.py"}
    assert {str(room) for room in rooms if room.parts[0] not in of_their_own} <= {str(source) for source in sources}
    assert {source.parts[0] for source in sources if source.parts} <= {room.parts[0] for room in rooms}


@pytest.mark.parametrize("path", sorted((ROOT / "changes").glob("*.md")), ids=lambda path: path.stem)
def test_change_files_are_well_formed(path: Path) -> None:
    """`changes/README.md` says how; each entry is one `Kind: sentence.` paragraph."""
    if path.name == "README.md":
        return
    assert re.fullmatch(r"\d{4}-[a-z0-9]+(-[a-z0-9]+)*", path.stem), "NNNN-a-few-words.md"
    for paragraph in path.read_text(encoding="utf-8").strip().split("\n\n"):
        kind, colon, sentence = paragraph.partition(": ")
        assert colon, paragraph
        assert kind in CHANGE_KINDS, paragraph
        assert sentence.rstrip().endswith("."), paragraph
        assert max(map(len, paragraph.splitlines())) <= 120, paragraph


@pytest.mark.parametrize(
    "path", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/trust.md", "changes/README.md"]
)
def test_papers_name_only_files_that_exist(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    named = re.findall(r"`((?:src|docs|tests|tools|changes|benchmarks)/[\w./-]+)`", text)
    places = [(ROOT / path).parent / link for link in links] + [ROOT / name for name in named]
    assert [str(place) for place in places if not place.exists()] == []


@pytest.mark.parametrize("script", ["tools/make-venv", ".ci/run"])
def test_scripts_can_be_run(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111 == 0o111
    shell = "bash" if "bash" in path.read_text().splitlines()[0] else "sh"
    subprocess.run([shell, "-n", path], check=True)
