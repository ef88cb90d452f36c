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
    _add_assets(commands)
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
            sys.exit(_assets(arguments))
        else:
            from leakboard import docs as writer

            writer.write(arguments.root)
    except UserError as error:
        sys.exit(f"leakboard: {error}")


def _add_assets(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    assets = commands.add_parser(
        "assets", help="what the configuration reads from outside: datasets, weights"
    )
    assets.add_argument("--config", type=Path, default=Path("config/config.yaml"))
    some = assets.add_subparsers(dest="action", required=True)
    list_ = some.add_parser("list", help="files, sizes, SHA-256, and where they are")
    list_.add_argument("--known", action="store_true", help="instead, all that can be fetched")
    fetch = some.add_parser("fetch", help="download them into the cache: $LEAKBOARD_CACHE")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="else all that is missing")
    fetch.add_argument("--from", type=Path, dest="source", metavar="PATH", help="your own copy")
    verify = some.add_parser("verify", help="hash the cache again: exit code 1 if one is wrong")
    verify.add_argument("names", nargs="*", metavar="NAME", help="else all")
    export = some.add_parser("export", help="pack them into one file")
    export.add_argument("file", type=Path, metavar="FILE.tar", help="a new file")
    export.add_argument("names", nargs="*", metavar="NAME", help="else all that is configured")
    import_ = some.add_parser("import", help="put them into the cache")
    import_.add_argument("file", type=Path, metavar="FILE.tar")


def _assets(arguments: argparse.Namespace) -> int:
    from leakboard import assets, stocking

    match arguments.action:
        case "import":
            stocking.import_(arguments.file)
            return 0
        case "verify":
            return stocking.verify(arguments.names)
        case "list" if arguments.known:
            stocking.show_known()
            return 0
        case "fetch" if arguments.source and len(arguments.names) != 1:
            raise UserError("assets fetch --from: say which asset it is, and only one")
    names = getattr(arguments, "names", [])
    if not names:
        names = assets.asked(_tracks(arguments.config))
        if not names:
            print(f"{arguments.config}: its tracks read nothing from outside the repository")
            return 0
    match arguments.action:
        case "export":
            stocking.export(names, arguments.file)
        case "fetch" if arguments.names:
            stocking.fetch(names, arguments.source)
        case "fetch":
            stocking.fetch_all(names)
        case _:
            stocking.show(names)
    return 0


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
