"""What is said twice on a command line adds up or is an error; nothing is lost in silence."""

import argparse

import pytest

from mxnetseg import cli
from mxnetseg.cli import main
from mxnetseg.cli.parser import Parser


def options():
    """Every option that takes a value, of every command and action, with its parser."""
    waiting = []
    for name in cli.COMMANDS:
        parser = Parser(prog=name)
        cli._add_arguments(name, parser)
        waiting.append(parser)
    while waiting:
        parser = waiting.pop()
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += action.choices.values()
            elif action.option_strings and action.nargs != 0:
                yield parser, action


def test_every_option_adds_up_or_is_an_error(capsys):
    found = list(options())
    assert len(found) > 80
    for parser, action in found:
        for group in parser._mutually_exclusive_groups:
            group.required = False
        for other in parser._actions:
            other.required = False
            if not other.option_strings and not isinstance(other, argparse._SubParsersAction):
                other.nargs, other.choices = "*", None
        value = str(next(iter(action.choices))) if action.choices else "1"
        said = [action.option_strings[0], *[value] * (action.nargs if isinstance(action.nargs, int) else 1)]
        if isinstance(action, (argparse._AppendAction, argparse._ExtendAction)):
            assert len(getattr(parser.parse_args(said * 2), action.dest)) == 2 + len(action.default or ())
            continue
        with pytest.raises(SystemExit):
            parser.parse_args([said[0], *[""] * (len(said) - 1)])  # "$UNSET" is not the same as no option
        parser.parse_args(said)  # once is right, and again for another line
        parser.parse_args(said)
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            parser.parse_args(said * 2)
        assert stop.value.code == 2
        assert f"{said[0]}: given twice, the first time as" in capsys.readouterr().err, (parser.prog, said)


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "train --model fcn --ctx cpu --set train.epochs=2 --set train.epochs=3",
            "train.epochs is given twice, 2 and 3",
        ),
        ("train --model fcn --ctx cpu --root a --set data.root=b", "data.root is given twice"),
        ("config fcn --set eval.crop=32 eval.stride=64", "eval.stride: leaves strips between the windows out"),
    ],
)
def test_changes_that_contradict(capsys, line, message):
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err


def test_an_empty_place_is_not_this_folder(capsys):
    for argv in (["predict", "", "--checkpoint", "x.params"], ["train", "--config", "fcn", "--from", ""]):
        with pytest.raises(SystemExit):
            main(argv)
        assert "an empty text" in capsys.readouterr().err
    assert main(["predict", "a.png", "--checkpoint", "."]) == 2
