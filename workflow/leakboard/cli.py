"""`leakboard ...`: what one does around a run."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from leakboard.errors import UserError

if TYPE_CHECKING:
    from leakboard.config import Resolved


def main() -> None:
    """The command line; each command's help says what it does."""
    parser = argparse.ArgumentParser(prog="leakboard", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "run", help="reproduce the leaderboard: Snakemake with its arguments", add_help=False
    )
    check = commands.add_parser(
        "check", help="say whether the boards are valid: exit code 0; 1 invalid, 3 incomplete"
    )
    check.add_argument("results", nargs="?", type=Path, default=Path("results"))
    commands.add_parser(
        "board", help="make tables and a page of what there is, and run nothing", add_help=False
    )
    status = commands.add_parser(
        "status",
        help="say what is done, runs, failed or waits: exit code 0 all done; 3 not yet, 1 failed",
        description="From files alone, as of the last `leakboard run`: on any machine that sees"
        " them, during a run and after it. Exit code 0: all is done; 3: not yet; 1: a job failed.",
    )
    status.add_argument("results", nargs="?", type=Path, default=Path("results"))
    status.add_argument("--json", action="store_true", help="for scripts")
    list_ = commands.add_parser("list", help="name the methods that can be used in the config")
    list_.add_argument("group", nargs="?", help="defenses, attacks, trainers, ...")
    docs = commands.add_parser("docs", help="write the JSON schemas and config/README.md anew")
    docs.add_argument("--root", type=Path, default=Path(), help="the folder of the Snakefile")
    verify = commands.add_parser("verify", help="compute every number again from its files")
    verify.add_argument("--root", type=Path, default=Path("results"), help="the results folder")
    merge = commands.add_parser("merge", help="make one board of those of several machines")
    merge.add_argument(
        "folders", nargs="+", type=Path, metavar="DIR", help="a results folder, or a bundle"
    )
    merge.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder")
    bundle = commands.add_parser("bundle", help="pack finished boards into one file for `merge`")
    bundle.add_argument("file", type=Path, metavar="FILE.tar.gz", help="a new file")
    bundle.add_argument("--root", type=Path, default=Path("results"), help="the results folder")
    bundle.add_argument("--track", action="append", default=[], help="one of them; else all")
    bundle.add_argument(
        "--pictures", action="store_true", help="with pictures, drawn and real, and their features"
    )
    assets = commands.add_parser(
        "assets", help="what the configuration reads from outside: for machines without internet"
    )
    assets.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    some = assets.add_subparsers(dest="action", required=True)
    some.add_parser("list", help="files, sizes, SHA-256, and where they are")
    export = some.add_parser("export", help="pack them into one file")
    export.add_argument("file", type=Path, metavar="FILE.tar", help="a new file")
    import_ = some.add_parser("import", help="put them into the cache: $LEAKBOARD_CACHE")
    import_.add_argument("file", type=Path, metavar="FILE.tar")
    arguments, rest = parser.parse_known_args()
    if rest and arguments.command not in ("run", "board"):
        parser.error(f"unknown arguments: {' '.join(rest)}")
    try:
        if arguments.command in ("run", "board"):
            from leakboard import run

            run.main(sys.argv[2:], board=arguments.command == "board")
        elif arguments.command == "check":
            from leakboard import stamps

            sys.exit(stamps.check(arguments.results))
        elif arguments.command == "status":
            from leakboard import status as teller

            sys.exit(teller.main(arguments.results, arguments.json))
        elif arguments.command == "list":
            _list(arguments.group)
        elif arguments.command == "verify":
            sys.exit(_judging("verify").main(arguments.root))
        elif arguments.command == "merge":
            _judging("merge").main(arguments.folders, arguments.to)
        elif arguments.command == "bundle":
            from leakboard import bundle as packer

            packer.main(arguments.root, arguments.file, arguments.track, arguments.pictures)
        elif arguments.command == "assets":
            _assets(arguments)
        else:
            from leakboard import docs as writer

            writer.write(arguments.root)
    except UserError as error:
        sys.exit(f"leakboard: {error}")


def _assets(arguments: argparse.Namespace) -> None:
    from leakboard import assets

    if arguments.action == "import":
        assets.import_(arguments.file)
        return
    paths = assets.asked(_tracks(arguments.config))
    if arguments.action == "export":
        assets.export(paths, arguments.file)
    elif paths:
        assets.show(paths)
    else:
        print(f"{arguments.config}: its tracks read nothing from outside the repository")


def _tracks(config: Path) -> list[Resolved]:
    """The tracks of a configuration, as a run in the folder above it reads them."""
    import yaml

    from leakboard import resolve

    try:
        shared = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{config}: cannot be read ({error}); name it with --config") from error
    return list(resolve.read(shared, str(config), [Path()]).values())


def _judging(name: str) -> ModuleType:
    """A module that computes with one thread, as jobs do: several add up in another order."""
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return import_module(f"leakboard.{name}")


def _list(group: str | None) -> None:
    from leakboard import plugins

    for name in [group] if group else plugins.CLASSES:
        if name not in plugins.CLASSES:
            raise UserError(
                f"no group '{name}'; {plugins.did_you_mean(str(name), plugins.CLASSES)}"
            )
        print(f"{name}:")
        for method in plugins.modules(name):
            defaults = plugins.defaults(name, method).items()
            print(f"  {method:20} {', '.join(f'{key}: {value}' for key, value in defaults)}")


if __name__ == "__main__":
    main()
