"""What mkdocs.yml can't say: pages that lie outside docs/, and public names that have no docstring.

Hooks of `make docs`. Run by MkDocs, so nothing here imports MXNet or mxnetseg.
"""

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List

ROOT = Path(__file__).resolve().parents[2]
# the repository's own pages, which a forge shows beside the code
OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
}
# Gluon's own names, whose meaning every block shares: the class says what goes in and out
GLUON = ("hybrid_forward", "forward", "hybridize", "cast", "collect_params", "create_state", "update")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_config(config):
    """Refuse names that nothing is said about."""
    missing = undocumented()
    if missing:
        from mkdocs.exceptions import PluginError

        raise PluginError("public names without a docstring: " + ", ".join(missing))
    return config


def on_files(files, config):
    """Add the pages from outside."""
    from mkdocs.structure.files import File

    for source, name in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=moved(text)))
    return files


def on_page_markdown(markdown, page, **_):
    """Links that leave docs/ for one of these pages stay within the site."""
    return LINK.sub(lambda link: _within(link, inside=True), markdown)


def moved(text: str) -> str:
    """The text of a page from the root, as if it lay in docs/."""
    return LINK.sub(lambda link: _within(link, inside=False), text)


def _within(link, inside: bool) -> str:
    picture, text, target, anchor = link.groups()
    if re.match(r"[a-z]+:", target) or (inside and not target.startswith("../")):
        return link.group(0)
    name = target[3:] if inside else target
    if not inside and name.startswith("docs/"):
        return f"{picture}[{text}]({name[5:]}{anchor or ''})"
    if name in OUTSIDE:
        return f"[{text}]({OUTSIDE[name]}{anchor or ''})"
    return link.group(0) if inside and not (ROOT / name).exists() else text  # a file that the site does not hold


def documented() -> List[str]:
    """The modules that the reference shows."""
    pages = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("docs/reference/*.md")))
    return re.findall(r"^::: (\S+)$", pages, re.MULTILINE)


def undocumented() -> List[str]:
    """Public names of these modules that have no docstring: those in `__all__`, and the methods of classes there."""
    return [f"{module}.{name}" for module in documented() for name in without_docstring(_source(module))]


def _source(module: str) -> Path:
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def without_docstring(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not ast.get_docstring(tree):
        yield "(the module itself)"
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name not in _public(tree):
            continue
        if not ast.get_docstring(node):
            yield node.name
        for method in _methods(node):
            if not ast.get_docstring(method) and not _inherited(method.name, node, classes):
                yield f"{node.name}.{method.name}"


def _methods(node: ast.AST) -> List[ast.FunctionDef]:
    """Public ones of a class, without the overloads that only type checkers see."""
    found = [part for part in node.body if isinstance(part, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []
    return [
        part
        for part in found
        if not part.name.startswith("_")
        and part.name not in GLUON
        and not any(getattr(decorator, "id", "") == "overload" for decorator in part.decorator_list)
    ]


def _inherited(method: str, owner: ast.ClassDef, classes: Dict[str, ast.ClassDef]) -> bool:
    """Whether a base class in the same file says what the method does."""
    bases = [classes[base.id] for base in owner.bases if isinstance(base, ast.Name) and base.id in classes]
    said = {part.name for base in bases for part in _methods(base) if ast.get_docstring(part)}
    return method in said or any(_inherited(method, base, classes) for base in bases)


def _public(tree: ast.Module) -> List[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return list(ast.literal_eval(node.value))
    return []
