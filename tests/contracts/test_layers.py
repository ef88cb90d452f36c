"""The layers go one way: config -> rules -> steps -> library, and inside the library likewise."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

from leakboard import plugins, stages
from leakboard.sources import PLUMBING

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "workflow"
LIBRARY = WORKFLOW / "leakboard"
STEPS = sorted(WORKFLOW.glob("*.py"))
RULES = sorted(ROOT.glob("rules/*.smk"))
MODULES = sorted(LIBRARY.rglob("*.py"))
MEASURES = sorted((LIBRARY / "measures").glob("*.py"))
STAGES = sorted(f for f in (LIBRARY / "stages").glob("*.py") if f.stem != "__init__")
PLUGINS = sorted(
    f
    for folder, _ in plugins.CLASSES.values()
    for f in (LIBRARY / folder).glob("*.py")
    if f.stem != "__init__"
)
LOGGER = WORKFLOW / "snakemake_logger_plugin_leakboard"
STEP_LINES = 45  # a step reads files, calls the library, writes files
RANKS = [  # each may import those of its own row and of the rows above
    {"errors", "files", "images", "data", "randomness", "digests"},
    {"diffusion", "networks", "encoder", "classifier", "resnet"},
    {"inception", "vit", "vision", "weights"},
    {"lessons"},
    {"training", "features", "candidates", "neighbors"},
    {"defenses", "attacks", "trainers"},
]


def trees(files: Iterable[Path]) -> Iterable[tuple[Path, ast.Module]]:
    for file in files:
        yield file, ast.parse(file.read_text(encoding="utf-8"))


@cache
def imported(file: Path) -> set[str]:
    """Every module that a file imports anywhere, functions included, with its dotted name."""
    names: set[str] = set()
    package = ["leakboard", *file.relative_to(LIBRARY).parts[:-1]] if file in MODULES else []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


@cache
def library(file: Path) -> set[Path]:
    """The library's files among what a file imports, packages' own included."""
    found: set[Path] = set()
    for name in imported(file):
        top, *parts = name.split(".")
        if top == "leakboard" and parts:
            found |= {LIBRARY.joinpath(*parts).with_suffix(".py")}
            found |= {LIBRARY.joinpath(*parts[:i], "__init__.py") for i in range(1, len(parts) + 1)}
    return {f for f in found if f.is_file()} - {file}


@cache
def closure(file: Path) -> set[Path]:
    """A file and all library files that come with it."""
    found, todo = set(), {file}
    while todo:
        file = todo.pop()
        found.add(file)
        todo |= library(file) - found
    return found


def short(file: Path) -> str:
    return file.relative_to(WORKFLOW).as_posix()


def test_the_walk_sees_the_imports_that_it_is_about() -> None:
    assert len(PLUGINS) >= 10
    assert len(MEASURES) >= 5
    assert LIBRARY / "diffusion.py" in library(LIBRARY / "defenses/none.py")
    assert LIBRARY / "measures/__init__.py" in library(LIBRARY / "quality.py")
    assert LIBRARY / "errors.py" in library(LIBRARY / "job.py")  # a relative import
    assert "torch" in imported(LIBRARY / "randomness.py")  # inside a function
    assert LIBRARY / "randomness.py" in closure(LIBRARY / "attacks/loss.py")


@pytest.mark.parametrize("file", MEASURES, ids=short)
def test_a_judge_imports_no_torch_not_even_through_others(file: Path) -> None:
    heavy = {"torch", "diffusers", "torchmetrics", "transformers", "faiss"}
    for other in closure(file):
        assert not {name.split(".")[0] for name in imported(other)} & heavy, short(other)


def test_judges_leave_torch_out_of_the_process() -> None:
    names = [f"leakboard.measures.{f.stem}" for f in MEASURES if f.stem != "__init__"]
    code = (
        "import sys, importlib\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    print(name, *({'torch', 'diffusers', 'torchmetrics'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == names


@pytest.mark.parametrize("file", PLUGINS, ids=short)
def test_no_plug_in_imports_another(file: Path) -> None:
    assert not closure(file) & set(PLUGINS) - {file}


def test_nothing_imports_a_plug_in_but_the_loader_by_name() -> None:
    for file in [*MODULES, *STEPS]:
        assert not library(file) & set(PLUGINS), short(file)


def test_layers_of_the_library_go_one_way() -> None:
    rank = {name: i for i, names in enumerate(RANKS) for name in names}
    seen = set()
    for file in MODULES:
        own = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
        seen.add(own)
        if own not in rank:
            continue
        for other in closure(file):  # through modules that are in no row, too
            name = other.relative_to(LIBRARY).parts[0].removesuffix(".py")
            assert rank.get(name, -1) <= rank[own], f"{short(file)} imports {short(other)}"
    assert rank.keys() <= seen, "a module was renamed: bring the table up to date"


def test_the_library_knows_nothing_of_the_workflow_manager() -> None:
    for file in MODULES:
        tops = {name.split(".")[0] for name in imported(file)}
        assert not {top for top in tops if top.startswith("snakemake")}, short(file)
        globals_ = {n.id for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Name)}
        assert "snakemake" not in globals_, short(file)


def test_the_library_imports_no_step() -> None:
    steps = {f.stem for f in STEPS}
    for file in MODULES:
        assert not {name for name in imported(file) if name.split(".")[0] in steps}, short(file)


def test_what_numbers_depend_on_is_imported_by_full_name() -> None:
    # `leakboard.sources` finds a job's source files by absolute imports: it would miss others.
    used = {file for start in [*STEPS, *PLUGINS] for file in closure(start)}
    for file, tree in trees([*MODULES, *STEPS]):
        if file.stem in PLUMBING or file not in used:
            continue
        relative = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level]
        assert not relative, short(file)


def test_plumbing_is_named_once() -> None:
    # Files of these names are left out of a job's inputs, so no other file may share the name.
    stems = [f.stem for f in [*MODULES, *STEPS]]
    assert {name: stems.count(name) for name in PLUMBING} == dict.fromkeys(PLUMBING, 1)


# --- steps and rules -----------------------------------------------------------------------------


def blocks() -> dict[str, str]:
    """rule -> its text."""
    text = "".join(f.read_text(encoding="utf-8") + "\n" for f in RULES)
    parts = re.split(r"^(?:rule|checkpoint) (\w+):\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_step_has_a_rule_of_its_name_and_the_reverse() -> None:
    assert len(STEPS) >= 15
    assert sorted(blocks()) == sorted(f.stem for f in STEPS)


def test_every_rule_runs_the_step_of_its_name() -> None:
    for rule, text in blocks().items():
        assert re.findall(r'"\.\./workflow/(\w+)\.py"', text) == [rule]


def test_every_rule_says_what_it_does_and_where_it_logs() -> None:
    for rule, text in blocks().items():
        assert re.match(r'    """[A-Z].*[.?]"""\n', text), rule
        assert re.search(rf'log:\s+"results/logs/{rule}[/.]', text), rule


def test_every_rule_has_one_param_that_an_edit_changes_and_its_sources_as_input() -> None:
    for rule, text in blocks().items():
        assert f'spec=spec("{rule}")' in text or rule == "page", rule
        params = re.search(r"    params:\n((?:        .*\n)+)", text)
        named = re.findall(r"^ {8}(\w+)=(.)", params[1] if params else "", re.MULTILINE)
        paths = [name for name, first in named if first == '"']  # no edit of the config moves them
        assert len(named) - len(paths) == 1 or rule == "page", rule
        assert re.search(rf'code\("{rule}"\)', text), rule


def test_every_stage_has_a_step_of_its_name_which_imports_that_stage_alone() -> None:
    named = {*stages.MEASURED, *stages.DERIVED}
    assert {f.stem for f in STAGES} == named
    for step in STEPS:
        used = {f.stem for f in closure(step) if f in STAGES}
        assert used == named & {step.stem}, short(step)


@pytest.mark.parametrize("file", STAGES, ids=short)
def test_a_stage_keeps_its_interface_and_imports_no_other(file: Path) -> None:
    assert not (closure(file) - {file}) & set(STAGES)
    module = stages.load(file.stem)
    if file.stem in stages.MEASURED:
        assert list(inspect.signature(module.measure).parameters) == ["spec", "files"]
        assert list(inspect.signature(module.promised).parameters) == ["spec"]
    else:
        assert len(inspect.signature(module.make).parameters) == 2
    assert file.stem not in stages.VERIFIED or file.stem in stages.DERIVED
    for names in getattr(module, "LISTS", {}).values():
        assert isinstance(names, tuple)


def test_a_stage_that_says_what_it_is_of_is_loaded_by_its_name_and_no_other_module_is() -> None:
    with pytest.raises(ValueError, match="no stage 'merge'"):
        stages.load("merge")
    with pytest.raises(ValueError, match="no stage"):
        stages.load("..artefacts")


def test_stages_leave_torch_out_of_the_process_but_for_those_that_need_it() -> None:
    names = [f"leakboard.stages.{f.stem}" for f in STAGES if f.stem != "quality"]
    code = (
        "import sys, importlib\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    print(name, *({'torch', 'diffusers', 'torchmetrics'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.splitlines() == names


@pytest.mark.parametrize("file", STEPS, ids=short)
def test_a_step_is_short_and_says_what_it_does(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= STEP_LINES
    tree = ast.parse(text)
    assert (ast.get_docstring(tree) or "").endswith((".", "?"))
    assert not [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]


def test_a_step_does_its_work_inside_a_job() -> None:
    for file, tree in trees(STEPS):
        with_ = tree.body[-1]
        assert isinstance(with_, ast.With), short(file)
        assert ast.unparse(with_.items[0].context_expr).startswith("job(snakemake.log[0]"), file


# --- what may not be there -----------------------------------------------------------------------


def unsafe(tree: ast.Module) -> list[str]:
    """What runs code that came as data."""
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                found.append(f"{name}()")
            case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                found.append("torch.load")
            case ast.keyword(arg="allow_pickle" | "shell" as name, value=ast.Constant(value=True)):
                found.append(f"{name}=True")
            case ast.keyword(arg="allow_pickle" | "shell" as name, value=value) if not isinstance(
                value, ast.Constant
            ):
                found.append(f"{name}={ast.unparse(value)}")
            case ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen" as name):
                found.append(f"os.{name}")
            case ast.Attribute(value=ast.Name(id="yaml"), attr="load" | "unsafe_load" as name):
                found.append(f"yaml.{name}")
            case ast.Import(names=names):
                found += [n.name for n in names if n.name.split(".")[0] in ("pickle", "dill")]
            case ast.ImportFrom(module=str(name)) if name.split(".")[0] in ("pickle", "dill"):
                found.append(name)
            case ast.ImportFrom(module="torch", names=names):
                found += ["torch.load" for n in names if n.name == "load"]
    return found


@pytest.mark.parametrize(
    "code",
    [
        "eval('1')",
        "def f(): exec(x)",
        "torch.load(p, weights_only=True)",
        "from torch import load",
        "import pickle",
        "from pickle import loads",
        "np.load(p, allow_pickle=True)",
        "np.load(p, allow_pickle=trusted)",
        "run(c, shell=True)",
        "os.system(c)",
        "yaml.load(t)",
    ],
)
def test_the_search_finds_what_runs_data(code: str) -> None:
    assert unsafe(ast.parse(code))


def test_nothing_runs_code_that_came_as_data() -> None:
    files = list(WORKFLOW.rglob("*.py"))
    assert len(files) > 60
    for file, tree in trees(files):
        allowed = ["torch.load"] if file == LIBRARY / "weights.py" else []
        assert unsafe(tree) == allowed, short(file)


def test_published_weights_are_unpickled_as_tensors_and_nothing_else() -> None:
    tree = ast.parse((LIBRARY / "weights.py").read_text(encoding="utf-8"))
    calls = [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Call)]
    (call,) = (c for c in calls if c.startswith("torch.load"))
    assert call.endswith("weights_only=True)")


def test_one_module_runs_torchscript_and_asks_first_whether_it_may() -> None:
    for file, tree in trees(WORKFLOW.rglob("*.py")):
        loads = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert ("torch.jit.load" in loads) == (file == LIBRARY / "weights.py"), short(file)
    for file in [*RULES, ROOT / "Snakefile"]:
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\b(eval|exec|pickle|torch\.load|shell=True)\b\(?", text), file.name


def test_the_logger_package_is_all_of_the_workflow_that_is_not_library_or_steps() -> None:
    folders = {f.name for f in WORKFLOW.iterdir() if f.is_dir() and list(f.glob("*.py"))}
    assert folders == {LIBRARY.name, LOGGER.name}
