"""The rules that hold the house together: who imports whom, how long things get, and that documents tell the truth."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from pipeline.cli import VERBS

ROOT = Path(__file__).parent.parent
PACKAGES = ("pipeline", "models", "flows")

# Who may import whom: a unit of `pipeline` (a file, or a folder with all its files) imports what stands below it. In
# one line, only where `beside` says so: stages never import each other.
LAYERS = (
    ("cli commands", "beside"),  # compositions: with flows, the only code that knows pipeline and models
    ("run results republish pending", "beside"),  # the line, and what is done around it
    (
        "probe decode sample signals infer excite aggregate tags select export page report store inputs judge",
        "",
    ),  # stages
    # what flows; how files are opened and how they appear; what a series means over time
    ("records config media names steps whole_files children", "beside"),
    ("timeline errors", ""),  # of the standard library only
)
OF_PIPELINE_FOR_MODELS = {"pipeline.errors", "pipeline.whole_files"}
ONLY_IN = {"prefect": ("flows",), "torch": ("models",), "torchvision": ("models",), "openvino": ("models",)}
# Inside a function of a command, for what is no computing: is it there, how many threads, where do curves go.
LAZY = {(f"pipeline/commands/{verb}.py", "torch") for verb in ("doctor", "watching")}

MOST_FUNCTION_LINES = 40
MOST_LINES = {"tests": 500}
MOST_LINES_ELSEWHERE = 400
WHY = re.compile(r"#\s*long: \w+")  # a comment that says why something is longer than that


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Import:
    """`path` imports `name`; `lazily`: inside a function."""

    path: str
    name: str
    lazily: bool


@cache
def sources(*folders: str) -> tuple[Path, ...]:
    return tuple(sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def imports(path: Path) -> tuple[Import, ...]:
    """Absolute names, wherever they stand in the file."""
    found = []
    inside = {child for node in ast.walk(tree(path)) if isinstance(node, FUNCTIONS) for child in ast.walk(node)}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [Import(name_of(path), alias.name, node in inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: imports are absolute"
            found += [
                Import(name_of(path), _imported(node.module or "", alias.name), node in inside) for alias in node.names
            ]
    return tuple(found)


def _imported(module: str, name: str) -> str:
    """`from pipeline.store import lock` imports the module `pipeline.store.lock`, if that is one."""
    whole = f"{module}.{name}"
    return whole if (ROOT / (whole.replace(".", "/") + ".py")).exists() else module


def all_imports(*folders: str) -> list[Import]:
    return [found for path in sources(*folders) for found in imports(path)]


def unit(module: str) -> str:
    """`pipeline.store.lock` and `pipeline/store/lock.py` are of the unit `store`."""
    return re.split(r"[./]", module.removesuffix(".py"))[1]


LEVEL = {name: level for level, (names, _) in enumerate(LAYERS) for name in names.split()}


# Layers


def test_every_unit_of_the_pipeline_has_its_layer_and_every_layer_its_units() -> None:
    entries = (ROOT / "pipeline").iterdir()
    there = {path.stem for path in entries if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert there - {"__init__"} == set(LEVEL)


def test_the_document_draws_the_same_layers() -> None:
    drawn = re.search(r"```\nL4(.*?)```", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), re.DOTALL)
    assert drawn is not None
    words = set(re.findall(r"[a-z_]+", drawn[1]))
    assert set(LEVEL) - words == set()


def allowed(importing: str, imported: str) -> bool:
    if importing == imported:
        return True
    if LEVEL[importing] == LEVEL[imported]:
        return LAYERS[LEVEL[importing]][1] == "beside"
    return LEVEL[importing] < LEVEL[imported]


def test_a_unit_imports_only_what_stands_below_it() -> None:
    own = [found for found in all_imports("pipeline") if found.name.startswith("pipeline.")]
    assert len(own) > 100
    assert [found for found in own if not allowed(unit(found.path), unit(found.name))] == []


def test_a_package_is_used_by_its_public_name() -> None:
    """`pipeline.store`, not `pipeline.store.lock`: what a folder does not export is its own business."""
    inner = [
        found
        for found in all_imports(*PACKAGES)
        if re.match(r"pipeline\.(store|decode|export|page|judge)\.", found.name)
    ]
    assert inner == [found for found in inner if found.path.startswith(f"pipeline/{unit(found.name)}/")]


def test_the_ground_floor_needs_the_standard_library_only() -> None:
    ground = [f"pipeline/{name}.py" for name in LAYERS[-1][0].split()]
    outside = [found for found in all_imports("pipeline") if found.path in ground]
    assert [found for found in outside if found.name.split(".")[0] not in sys.stdlib_module_names] == []


def test_networks_know_of_the_pipeline_only_its_errors_and_how_files_appear() -> None:
    wrong = [found for found in all_imports("models") if re.match(r"pipeline|flows|prefect", found.name)]
    assert [found for found in wrong if found.name not in OF_PIPELINE_FOR_MODELS] == []


def test_figures_know_no_network() -> None:
    """They judge arrays, whatever answered: of `models` they import each other and the arithmetic of boxes."""
    used = {found.name for found in all_imports("models/figures")}
    assert {name.split(".")[0] for name in used} - sys.stdlib_module_names == {"cv2", "models", "numpy", "pycocotools"}
    own = {name for name in used if name.startswith("models")}
    assert {name for name in own if not name.startswith("models.figures.")} == {"models.geometry"}


def test_only_commands_and_flows_know_the_networks_and_nobody_knows_the_flows() -> None:
    known = [found for found in all_imports("pipeline") if re.match(r"models\b|flows\b", found.name)]
    assert known
    assert {unit(found.path) for found in known} == {"commands"}
    assert [found for found in known if found.name.startswith("flows")] == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_stays_where_it_belongs(library: str) -> None:
    users = [found for found in all_imports(*PACKAGES) if found.name.split(".")[0] == library]
    strangers = [found for found in users if found.path.split("/")[0] not in ONLY_IN[library]]
    assert users
    assert [found for found in strangers if not (found.lazily and (found.path, library) in LAZY)] == []


def test_the_command_line_knows_nothing_before_it_is_asked() -> None:
    at_once = [found.name for found in imports(ROOT / "pipeline" / "cli.py") if not found.lazily]
    assert {name for name in at_once if name.split(".")[0] not in sys.stdlib_module_names} == {"pipeline.errors"}


def test_only_the_command_line_prints() -> None:
    calls = ((path, node) for path in sources(*PACKAGES) for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    printing = {name_of(path) for path, node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"}
    assert printing == {"pipeline/cli.py"}


# Budgets


def length(function: ast.AST) -> int:
    """Lines of a function, without those of the functions inside it, which count on their own."""
    assert isinstance(function, FUNCTIONS) and function.end_lineno is not None
    inner = [node for node in ast.walk(function) if isinstance(node, FUNCTIONS) and node is not function]
    within = {line for node in inner for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    return len(set(range(function.lineno, function.end_lineno + 1)) - within)


def test_no_function_is_long_without_a_reason() -> None:
    long = []
    for path in sources(*PACKAGES, "tests", "benchmarks"):
        lines = path.read_text(encoding="utf-8").splitlines()
        functions = (node for node in ast.walk(tree(path)) if isinstance(node, FUNCTIONS))
        for node in (node for node in functions if length(node) >= MOST_FUNCTION_LINES):
            if not WHY.search("\n".join(lines[max(0, node.lineno - 2) : node.lineno])):
                long.append(f"{name_of(path)}:{node.lineno} {node.name}: {length(node)}")
    assert long == []


def test_no_file_is_long_without_a_reason() -> None:
    long = []
    for path in sources(*PACKAGES, "tests", "benchmarks"):
        text = path.read_text(encoding="utf-8")
        most = MOST_LINES.get(name_of(path).split("/")[0], MOST_LINES_ELSEWHERE)
        if len(text.splitlines()) >= most and not WHY.search(text[:500]):
            long.append(f"{name_of(path)}: {len(text.splitlines())}")
    assert long == []


# What a reader relies on


def test_every_module_says_what_its_job_is() -> None:
    written = (path for path in sources(*PACKAGES, "benchmarks", "tests") if path.stat().st_size)
    assert [name_of(path) for path in written if not ast.get_docstring(tree(path))] == []


def exporting() -> list[str]:
    """Modules that say what they export."""
    found = []
    for path in sources(*PACKAGES):
        assigned = (node for node in tree(path).body if isinstance(node, ast.Assign))
        names = [target.id for node in assigned for target in node.targets if isinstance(target, ast.Name)]
        if "__all__" in names:
            found.append(name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    return found


@pytest.mark.parametrize("module", exporting())
def test_every_exported_name_is_there(module: str) -> None:
    loaded = importlib.import_module(module)
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
    assert len(set(loaded.__all__)) == len(loaded.__all__)


FOLDERS_OF_DOCUMENTS = ("docs", "flows", "benchmarks", "models")
DOCUMENTS = [ROOT / "README.md", *sorted(path for name in FOLDERS_OF_DOCUMENTS for path in (ROOT / name).rglob("*.md"))]
COMMAND = re.compile(r"(matchcut|make|python -m) +\S")


@dataclass(frozen=True)
class Shown:
    """A command as a document shows it; `whole` in a block of code, where it can be typed as it stands."""

    document: str
    text: str
    whole: bool


def shown() -> list[Shown]:
    found = []
    for document in DOCUMENTS:
        parts = re.split(r"^```.*$", document.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for number, part in enumerate(parts):
            in_block = number % 2 == 1
            texts = part.splitlines() if in_block else re.findall(r"(?<!`)`([^`\n]+)`(?!`)", part)
            stripped = (re.sub(r"\s+#.*", "", text).strip() for text in texts)
            found += [Shown(name_of(document), text, in_block) for text in stripped if COMMAND.match(text)]
    return found


def parser_of(verb: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=verb, exit_on_error=False)
    importlib.import_module(f"pipeline.commands.{verb}").add_arguments(parser)
    return parser


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def test_the_documents_show_commands() -> None:
    texts = {command.text.split()[0] for command in shown()}
    assert texts == {"matchcut", "make", "python"}
    assert {command.text.split()[1] for command in shown() if command.text.startswith("matchcut")} >= {"run", "rescore"}


@pytest.mark.parametrize("command", [c for c in shown() if c.text.startswith("matchcut")], ids=lambda c: c.text)
def test_a_command_that_is_shown_exists(command: Shown) -> None:
    verb, *arguments = shlex.split(command.text)[1:]
    if verb.startswith("-"):
        assert verb in ("--help", "--version")
        return
    assert verb in VERBS, command.document
    parser = parser_of(verb)
    options = {word.split("=")[0] for word in arguments if word.startswith("-")}
    assert options <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", parser.format_help())), command.document
    if command.whole:
        parser.parse_args(arguments)


@pytest.mark.parametrize("command", [c for c in shown() if c.text.startswith("make")], ids=lambda c: c.text)
def test_a_target_that_is_shown_exists(command: Shown) -> None:
    targets = [word for word in shlex.split(command.text)[1:] if "=" not in word]
    assert targets and set(targets) <= make_targets(), command.document


@pytest.mark.parametrize("command", [c for c in shown() if c.text.startswith("python")], ids=lambda c: c.text)
def test_a_module_that_is_shown_can_be_run(command: Shown) -> None:
    assert_runs(shlex.split(command.text)[2])


def assert_runs(module: str) -> None:
    """A package is run by its `__main__`, which a child process of its own imports again: so it asks, too."""
    place = ROOT / module.replace(".", "/")
    path = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    assert '__name__ == "__main__"' in path.read_text(encoding="utf-8"), module


def test_make_runs_what_there_is() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    modules = set(re.findall(r"-m ((?:benchmarks|flows)\.\w+)", makefile))
    names = re.findall(r"for name in ([\w ]+);", makefile)
    for module in modules | {f"benchmarks.{name}" for line in names for name in line.split()}:
        assert_runs(module)
    assert set(re.findall(r"/matchcut (\w+)", makefile)) <= set(VERBS)
    told = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    assert told <= make_targets()


def test_every_command_has_its_module() -> None:
    for verb in VERBS:
        assert parser_of(verb).format_help()


def test_every_link_in_a_document_leads_somewhere() -> None:
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            broken += [] if (document.parent / target).exists() else [f"{name_of(document)}: {target}"]
    assert broken == []
