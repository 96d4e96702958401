"""Command lines taken from the pages, put to the parsers that they are meant for."""

import argparse
import ast
import os
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any, Iterator, List, Optional
from unittest import mock

from mxnetseg import cli
from mxnetseg.config import load_recipe, override_recipe, recipe_for

from .markdown import ROOT

# programs that are not ours; the files that they are given must be there all the same
OTHERS = ("apt-get", "cd", "curl", "docker", "git", "jupyter", "pip", "pre-commit", "source", "wandb")
STARTERS = ("horovodrun", "mpirun", "srun")  # of our program, whose name stands behind their options
MODULES = ("build", "pip", "pytest", "venv")  # python -m ...
FOLDERS = ("configs", "demo", "docs", "mxnetseg", "tests", "tools", "weights")
PLACEHOLDER = re.compile(r"^-$|^[A-Z][A-Z_]*(\.\w+)?$|\.\.\.|[<>*]|^/|^my")  # FILE, out.../x, <name>, the reader's own


class Wrong(Exception):
    """A command that would not do what the page says."""


class _Parsed(BaseException):
    """Ends a script once its options are parsed."""


def check(line: str) -> None:
    """Raise `Wrong` where a line of shell names a command, an option, a file or a name that there isn't."""
    for part in re.split(r"&&|\|| >.*", line) if "'" not in line and "<" not in line else [line]:
        words = shlex.split(part, comments=True)
        while words and re.match(r"^[A-Z_]+=", words[0]):
            words.pop(0)
        if words:
            _program(words)


def _program(words: List[str]) -> None:
    program, rest = Path(words[0]).name, words[1:]
    for word in rest:
        _file(word)
    if program == "mxnetseg":
        _names(_command(rest, None))
    elif re.match(r"^python3?(\.\d+)?$", program):
        _python(rest)
    elif program == "make":
        _make(rest)
    elif program == "compute-sanitizer":
        _program(rest)
    elif program in STARTERS:
        _program(rest[rest.index("mxnetseg") :])
    elif program not in OTHERS:
        raise Wrong(f"{program}: no program that the pages may ask for (tests/docs/commands.py)")


def _file(word: str) -> None:
    word = word.rsplit("=", 1)[-1]
    known = word.split("/")[0] in FOLDERS and "/" in word or re.match(r"^(requirements.*\.txt|\w+\.py)$", word)
    if not known or PLACEHOLDER.search(word) or (ROOT / word).exists():
        return
    if not word.startswith("weights/") or word.startswith("weights/swiftnet/swiftnet"):  # others are the reader's
        raise Wrong(f"{word} is not in the repository")


def _python(words: List[str]) -> None:
    if words[0] == "-m":
        module, rest = words[1], words[2:]
        if module == "mxnetseg":
            return _names(_command(rest, None))
        if module in MODULES:
            return None
        path = ROOT / module.replace(".", "/")
        path = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        return _script(path, rest, lambda: runpy.run_module(module, run_name="__main__"))
    if words[0] in ("train.py", "eval.py"):
        return _names(_command([words[0][:-3], *words[1:]], words[0]))
    path = ROOT / words[0]
    return _script(path, words[1:], lambda: runpy.run_path(str(path), run_name="__main__"))


def _script(path: Path, words: List[str], run) -> None:
    if not path.is_file():
        raise Wrong(f"{path.relative_to(ROOT)} is not there")
    source = path.read_text(encoding="utf-8")
    if "ArgumentParser" not in source and "run_script" not in source:
        if words:
            raise Wrong(f"{path.name} takes no options")
        return

    def stop(name):
        parse = getattr(argparse.ArgumentParser, name)

        def parse_and_stop(self, args=None, namespace=None):
            parse(self, args, namespace)
            raise _Parsed

        return parse_and_stop

    kinds = ("parse_args", "parse_intermixed_args")
    patches = [mock.patch.object(argparse.ArgumentParser, name, stop(name)) for name in kinds]
    state = [
        mock.patch.object(argparse.ArgumentParser, "error", _error),
        mock.patch.object(sys, "argv", [str(path), *words]),
        mock.patch.object(sys, "path", [str(ROOT), *sys.path]),
        mock.patch.dict(os.environ),
    ]
    for patch in [*patches, *state]:
        patch.start()
    try:
        run()
    except _Parsed:
        return
    finally:
        mock.patch.stopall()
    raise AssertionError(f"{path} parses no options")


def _error(parser, message):
    raise Wrong(f"{parser.prog}: {message}")


def _command(argv: List[str], program: Optional[str]) -> argparse.Namespace:
    with mock.patch.object(argparse.ArgumentParser, "error", _error):
        _, args = cli.parse(list(argv), program)
    started = args.rest[1:] if getattr(args, "command", None) == "launch" else []
    return _command(started, None) if started else args


def _names(args: Any) -> None:
    """Recipes, keys, models, backbones and data sets that an option names."""
    from mxnetseg.data import list_datasets
    from mxnetseg.registry import BACKBONES, MODELS

    def given(name: str) -> List[str]:
        value = getattr(args, name, None)
        values = value if isinstance(value, list) else [value] if isinstance(value, str) else []
        return [one for one in values if not PLACEHOLDER.search(one)]

    command, changes = getattr(args, "command", None), given("set")
    trains = hasattr(args, "resume")
    files = [str(ROOT / name) if (ROOT / name).exists() else name for name in [*given("config"), *given("recipe")]]
    recipes = [load_recipe(name, changes) for name in files]
    recipes += [recipe_for(name, changes) for name in given("model") if trains]
    if changes and not recipes:
        override_recipe(recipe_for("fcn"), changes)
    if not trains:
        _known("model", given("model"), MODELS)
    if command == "models":
        _known("model", given("names"), MODELS)
    _known("backbone", given("backbone"), BACKBONES)
    _known("data set", [*given("data"), *given("name")], list_datasets())


def _known(kind: str, names: List[str], known) -> None:
    for name in names:
        if name not in known:
            raise Wrong(f"there is no {kind} {name}")


def _make(words: List[str]) -> None:
    for word in words:
        if "=" not in word and word not in targets():
            raise Wrong(f"make {word}: the Makefile has no such target")


def targets() -> List[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return re.findall(r"^([a-z][\w-]*):(?!=)", text, re.MULTILINE)


def all_options() -> Iterator[str]:
    """Every option of every command, and of the scripts (read off their sources)."""
    parser = argparse.ArgumentParser(prog="mxnetseg")
    subparsers = parser.add_subparsers()
    for name in cli.COMMANDS:
        cli._command(name).add_arguments(subparsers.add_parser(name))
    waiting = [parser]
    while waiting:
        for action in waiting.pop()._actions:
            yield from action.option_strings
            if isinstance(action, argparse._SubParsersAction):
                waiting.extend(action.choices.values())
    for path in [*ROOT.glob("tools/**/*.py"), *ROOT.glob("demo/*.py"), ROOT / "mxnetseg" / "cli" / "demos.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("--"):
                yield node.value
