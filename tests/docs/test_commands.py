"""Commands in the pages are ones that the parsers take, with names and files that there are."""

import re

import pytest

import mxnetseg.zoo  # noqa: F401  (fills the tables of names)
from mxnetseg.errors import MXNetSegError

from . import commands
from .markdown import LANGUAGES, PAGES, blocks, spans


def problems(lines):
    """What is wrong with (where, command line) pairs."""
    found = []
    for where, line in lines:
        try:
            commands.check(line)
        except (commands.Wrong, MXNetSegError, ValueError) as err:
            found.append(f"{where}: {line}\n    {err}")
    return found


def lines_of(page):
    for block in blocks(page):
        if block.mark == "checked" or block.language not in ("sh", "console"):
            continue
        for number, line in enumerate(block.text.splitlines()):
            shown = line[2:] if block.language == "console" and line.startswith("$ ") else line
            if block.language == "sh" or line.startswith("$ "):
                yield f"{page}:{block.line + number}", shown


@pytest.mark.parametrize("page", PAGES)
def test_command_lines(page):
    assert not problems(lines_of(page))


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_their_language(page):
    """A block without one would escape the other tests."""
    assert [block.where for block in blocks(page) if block.language not in LANGUAGES] == []


@pytest.mark.parametrize("page", PAGES)
def test_commands_within_a_line(page):
    whole = re.compile(r"^((python -m )?mxnetseg [a-z]|python (?!-m mxnetseg)[\w/-]+|make [a-z])")
    found = [(where, code) for where, code in spans(page) if whole.match(code) and "..." not in code]
    # a name alone stands for the command
    assert [problem for problem in problems(found) if not re.search("arguments (are|.*is) required", problem)] == []


def test_options_within_a_line():
    known = {*commands.all_options(), "--no-deps"}  # pip's, too
    for page in PAGES:
        for where, code in spans(page):
            option = re.match(r"^(--[a-z][a-z-]*)", code)
            assert not option or option.group(1) in known, f"{where}: no command has {option.group(1)}"


@pytest.mark.parametrize(
    "line",
    [
        "mxnetseg trian --model fcn",
        "mxnetseg train --modl fcn",
        "mxnetseg train --model fcnn",
        "mxnetseg train --model fcn --set optimizer.rl=0.1",
        "python train.py --config configs/none.yaml",
        "python eval.py --mode val",
        "mxnetseg flops --model fcn --backbone resnet19",
        "mxnetseg data show citiscapes",
        "mxnetseg data check streets --rot DIR",
        "make tset",
        "python tools/none.py",
        "python -m tools.bench --jsn FILE",
        "python demo/image_demo.py - - - --out pred.png --nothing",
        "python -m tools.docs --all",
        "pip install -r requirements-none.txt",
        "mxntseg models",
        "mxnetseg predict a.jpg --checkpoint weights/swiftnet/swiftnet_none.params",
    ],
)
def test_a_wrong_line_is_found(line):
    assert problems([("here", line)])
