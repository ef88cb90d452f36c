"""Where this workflow is: in a folder, or in a repository that Snakemake reads file by file.

in    nothing
out   HOME, the folder (None: there is none); IMAGE, of containers; step(stage), a step's source
"""

import os
import sys
from importlib import metadata
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.sourcecache import LocalSourceFile

HERE = workflow.current_basedir
HOME = Path(HERE.get_path_or_uri(secret_free=True)) if isinstance(HERE, LocalSourceFile) else None
METHODS = {each.name.lower() for each in workflow.deployment_settings.deployment_method}

if workflow.modifier.path_modifier.replace_prefix("results/") != "results/":
    raise WorkflowError(
        "leakboard: no `prefix:` or `replace_prefix:` here, for results name each other by their "
        "paths; remove it, and run in a folder of its own (`snakemake --directory FOLDER`)"
    )

if HOME:
    HOME = Path(os.path.normpath(HOME.parent))
    SOURCES = HOME / "workflow"  # of the library: for this process, and for its jobs
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    os.environ.update(PYTHONPATH=os.pathsep.join(dict.fromkeys([str(SOURCES), *inherited])))
    sys.path.insert(0, str(SOURCES))
    import leakboard  # unless it is there already: Snakemake's loggers are loaded before

    LIBRARY = Path(leakboard.__file__).parent
    if not LIBRARY.samefile(SOURCES / "leakboard"):
        raise WorkflowError(
            f"leakboard: the installed package, {LIBRARY}, is not that of this workflow; install "
            f"the one that is (`pip install --editable {HOME}`), or set PYTHONPATH={SOURCES}"
        )
else:
    with open(workflow.source_path("../pyproject.toml"), encoding="utf-8") as file:
        VERSION = next(line.split('"')[1] for line in file if line.startswith("version ="))
    try:
        found = metadata.version("leakboard")
    except metadata.PackageNotFoundError:
        found = "not installed"
    if found != VERSION or METHODS & {"conda", "apptainer"}:
        raise WorkflowError(
            f"leakboard: a workflow that is read from a repository ({HERE}) runs with the package "
            f"that is installed beside Snakemake: version {VERSION} is needed, found: {found}"
            f"{', and --sdm, which has none' if found == VERSION else ''}. Install it with `pip "
            f"install git+URL@TAG` and run without --sdm, or clone the repository and name its "
            f"workflow/Snakefile"
        )

IMAGE = os.environ.get("LEAKBOARD_IMAGE") or os.path.relpath(
    (HOME or Path()) / "envs/leakboard.sif"
)
if "apptainer" in METHODS and not Path(IMAGE).is_file():
    raise WorkflowError(
        f"leakboard: no image {IMAGE}; build it, `apptainer build envs/leakboard.sif "
        f"envs/leakboard.def` in {HOME}, or name yours in LEAKBOARD_IMAGE"
    )


container: IMAGE


def step(stage):
    """The source of a step: here, or a copy of what the repository holds."""
    if HOME:
        return HOME / "workflow" / f"{stage}.py"
    return Path(workflow.source_path(f"../workflow/{stage}.py"))
