"""docs/commands.md: every command with its options, read off the parsers.

Not argparse's own help: its layout differs from Python to Python.
"""

import argparse
import importlib.util
from pathlib import Path
from typing import Iterator, List

from mxnetseg import cli

ROOT = Path(__file__).resolve().parents[2]
INTRO = """# Commands

Made by `python -m tools.docs` from the parsers. Each is called as `mxnetseg COMMAND` after `pip install .`, and
as `python -m mxnetseg COMMAND` from a clone. `train.py` and `eval.py` are `mxnetseg train` and `mxnetseg eval`.

Exit status: 0, done. 1, `doctor` or `data check` found problems, or images that can't be read were left out. 2, a
mistake that the message explains. 128 + n, signal n came, and what was done is saved.
"""
DEMOS = ("image_demo.py", "video_demo.py")


def text(_: str) -> str:
    parts = [INTRO.strip()]
    for name in cli.COMMANDS:
        command = cli._command(name)
        parser = argparse.ArgumentParser(prog=f"mxnetseg {name}", description=command.HELP)
        cli._add_arguments(name, parser)
        parts += _sections(parser, 2)
    parts += ["## Demos", "Scripts in `demo/`, run from the root of a clone."]
    for name in DEMOS:
        script = _script(ROOT / "demo" / name)
        parser = argparse.ArgumentParser(prog=f"python demo/{name}", description=script.__doc__.split("\n\n")[1])
        script.add_arguments(parser)
        cli.add_import(parser)
        parts += _sections(parser, 3)
    return "\n\n".join(parts) + "\n"


def _script(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sections(parser: argparse.ArgumentParser, level: int) -> List[str]:
    """A heading, what the command does, a table of its arguments, and the same for its actions."""
    parts = [f"{'#' * level} {parser.prog}", " ".join((parser.description or "").split())]
    rows, below = [], []
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        own = [action for action in actions if not isinstance(action, argparse._SubParsersAction)]
        note = f" ({group.description or ''})".replace(" ()", "") if own and group.description else ""
        rows += [f"| {_names(action)} | {_meaning(action)}{note} |" for action in own]
        for action in actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {choice.dest: choice.help for choice in action._choices_actions}
                below += [(name, helps[name], child) for name, child in action.choices.items()]
    if rows:
        parts.append("\n".join(["| argument | meaning |", "| --- | --- |", *rows]))
    elif not below:
        parts.append("It has no options.")
    for name, about, child in below:
        child.prog, child.description = f"{parser.prog} {name}", f"{about[0].upper()}{about[1:]}."
        parts += _sections(child, level + 1)
    return parts


def _names(action: argparse.Action) -> str:
    value = " ".join(_value(action))
    if not action.option_strings:
        return f"`{value}`" if action.nargs not in ("?", "*") else f"`[{value}]`"
    return f"`{' '.join(filter(None, (action.option_strings[-1], value)))}`"


def _value(action: argparse.Action) -> Iterator[str]:
    if action.nargs == 0:
        return
    names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar or _choices(action),)
    optional = action.nargs == "?" and action.option_strings
    yield from (f"[{name}]" if optional else name for name in names)
    if action.nargs in ("+", "*"):
        yield "..."


def _choices(action: argparse.Action) -> str:
    return "/".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _meaning(action: argparse.Action) -> str:
    text = " ".join((action.help or "").split())
    if action.choices and action.metavar:
        text += f"; one of {', '.join(map(str, action.choices))}"
    if action.required and action.option_strings:
        text += " (must be given)"
    return text.replace("|", "\\|").replace("<", "&lt;")
