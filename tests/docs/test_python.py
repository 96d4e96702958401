"""Python in the pages: it compiles, what it names is there, and (in the longer tests) it runs."""

import ast
import importlib
import inspect
import subprocess
import sys

import pytest

from mxnetseg.data.streets import draw_streets

from .markdown import PAGES, ROOT, blocks

UNKNOWN = object()
FOREIGN = {"albumentations"}  # in examples, but not among our requirements
SOME = [page for page in PAGES if any(block.language == "python" for block in blocks(page))]


@pytest.mark.parametrize("page", SOME)
def test_mxnetseg_comes_before_mxnet(page):
    """It gives MXNet what newer releases of NumPy have dropped."""
    for block in blocks(page):
        lines = block.text.splitlines()
        theirs = [at for at, line in enumerate(lines) if line.startswith(("import mxnet as", "from mxnet."))]
        ours = [at for at, line in enumerate(lines) if line.startswith(("import mxnetseg", "from mxnetseg"))]
        assert block.language != "python" or not theirs or not ours or min(ours) < min(theirs)


def problems(code):
    """Imports, attributes and keyword arguments that there aren't."""
    known, found = {}, []
    tree = ast.parse(code)

    def value(node):
        """What an expression of imported names stands for."""
        if isinstance(node, ast.Name):
            return known.get(node.id, UNKNOWN)
        if not isinstance(node, ast.Attribute):
            return UNKNOWN
        owner = value(node.value)
        if owner is UNKNOWN:
            return UNKNOWN
        if not hasattr(owner, node.attr):
            found.append(f"line {node.lineno}: {ast.unparse(node) if sys.version_info >= (3, 9) else node.attr}")
            return UNKNOWN
        # what a class's instances are is not known
        return getattr(owner, node.attr) if inspect.ismodule(owner) else UNKNOWN

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name in FOREIGN:
                    continue
                module = importlib.import_module(name.name)
                top = importlib.import_module(name.name.split(".")[0])
                known[name.asname or name.name.split(".")[0]] = module if name.asname else top
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            for name in node.names:
                if hasattr(module, name.name):
                    known[name.asname or name.name] = getattr(module, name.name)
                else:
                    found.append(f"line {node.lineno}: {node.module} has no {name.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            value(node)
        elif isinstance(node, ast.Call) and callable(value(node.func)):
            try:
                signature = inspect.signature(value(node.func))
                keywords = {word.arg: None for word in node.keywords if word.arg}
                if not any(isinstance(arg, ast.Starred) for arg in node.args):
                    signature.bind_partial(*node.args, **keywords)
            except TypeError as err:
                found.append(f"line {node.lineno}: {err}")
            except ValueError:  # no signature to be had
                pass
    return sorted(set(found))


@pytest.mark.parametrize("page", SOME)
def test_blocks_name_what_there_is(page):
    for block in blocks(page):
        if block.language == "python" and block.mark != "checked":
            assert not problems(block.text), block.where


@pytest.mark.parametrize(
    "code",
    [
        "from mxnetseg import create_modell",
        "import mxnetseg\nmxnetseg.deploy.optimise(1)",
        "import mxnetseg\nmxnetseg.Predictor(1, dtyp='int8')",
        "from mxnetseg.flops import count\ncount(1, shap=512)",
    ],
)
def test_a_wrong_name_is_found(code):
    assert problems(code)


@pytest.mark.slow
@pytest.mark.parametrize("page", SOME)
def test_blocks_run(page, tmp_path):
    """One after the other, as a reader would, in a folder that has what the repository has, and drawn scenes."""
    code = [block.text for block in blocks(page) if block.language == "python" and not block.mark]
    for name in ("configs", "demo", "weights"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "photo.jpg").symlink_to(ROOT / "demo/images/street.png")
    draw_streets(tmp_path / "datasets" / "streets", {"train": 4, "val": 2}, (64, 96), progress=False)
    (tmp_path / "datasets" / "two_kinds").symlink_to("streets")  # docs/extending.md reads them with other classes
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r})\n" + "\n".join(code)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
