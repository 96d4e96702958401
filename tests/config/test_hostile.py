"""YAML that would take long, much memory or the process: an error at once. The times are generous: nothing is near."""

import os
import resource
import time

import pytest

from mxnetseg.config import as_recipe, load_recipe
from mxnetseg.errors import MXNetSegError

LAUGH = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 40))
TEXTS = {
    "deep": "a: " + "[" * 100_000,
    "deep mappings": "{a: " * 50_000,
    "deep by indentation": "".join(" " * i + "a:\n" for i in range(500)),
    "doubling": LAUGH,
    "doubling by merge keys": MERGED,
    "in itself": "a: &a [*a]",
    "in itself, from the top": "&a {a: *a}",
    "many": "a: [" + "1," * 140_000 + "]",
    "many keys": "\n".join(f"k{i}: 1" for i in range(9_000)),
    "long": "description: " + "x" * 400_000,
    "a long number": "train: {seed: " + "9" * 200_000 + "}",
    "a long number by its tag": 'train: {seed: !!int "' + "9" * 200_000 + '"}',
    "no date": "description: 2001-99-99",
    "no number": 'train: {epochs: !!float ""}',
    "no truth": "model: {aux: !!bool x}",
    "a list as a key": "{[1]: 2}",
    "a set": "train: !!set {a, b}",
    "half a character": 'description: "\\ud800"',
    "a zero byte": "description: a\0b",
    "a zero byte in a path": 'data: {root: "a\\0b"}',
    "a zero byte in a base": '_base_: "a\\0b"',
    "a long base": "_base_: " + "x" * 5_000,
    "an endless base": "_base_: /dev/zero",
    "two documents": "a: 1\n---\nb: 2\n",
    "an object": "data: !!python/object/apply:os.system [ls]",
}


def refused(call):
    begun, memory = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MXNetSegError) as caught:
        call()
    assert time.process_time() - begun < 3  # a second, were the machine idle
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200_000  # kB
    assert len(str(caught.value)) < 20_000


@pytest.mark.parametrize("kind", TEXTS)
def test_hostile_text(kind, tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(TEXTS[kind], encoding="utf-8")
    refused(lambda: load_recipe(path))


def test_hostile_values_from_python_and_behind_set():
    turning = {}
    turning["data"] = turning
    refused(lambda: as_recipe(turning))
    for change in ("train.epochs=" + "[" * 50_000, ".".join("a" * 50_000) + "=1", f"a={LAUGH[:9]}"):
        refused(lambda change=change: load_recipe("fcn", [change]))


def test_bases_in_circles_chains_and_doubled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name, *bases):
        (tmp_path / f"{name}.yaml").write_text(
            f"_base_: [{', '.join(bases)}]\ntrain: {{epochs: 3}}\n", encoding="utf-8"
        )
        return f"{name}.yaml"

    write("a", "b.yaml")
    write("b", "a.yaml")
    refused(lambda: load_recipe("a.yaml"))
    for i in range(60):
        write(f"c{i}", f"c{i + 1}.yaml")
    refused(lambda: load_recipe("c0.yaml"))
    for i in range(15):
        write(f"d{i}", f"d{i + 1}.yaml", f"./d{i + 1}.yaml")
    write("d15")
    begun = time.process_time()
    assert load_recipe("d0.yaml").train.epochs == 3  # each file is read once, not 2 ** 15 times
    assert time.process_time() - begun < 3
    os.symlink("loop.yaml", "loop.yaml")
    refused(lambda: load_recipe("loop.yaml"))
