"""The reference page is current and complete."""

from pathlib import Path

from pydantic import BaseModel

from mxnetseg import cli
from mxnetseg.config import load_recipe, schema
from mxnetseg.config.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "config.md"


def test_the_page_is_what_the_schema_says(capsys):
    assert PAGE.read_text(encoding="utf-8") == reference(), "run: mxnetseg config > docs/config.md"
    assert cli.main(["config"]) == 0
    assert capsys.readouterr().out == reference()


def test_every_key_is_on_it_with_its_meaning():
    page = reference()
    parts = [p for p in vars(schema).values() if isinstance(p, type) and issubclass(p, BaseModel)]
    for part in parts:
        for name, field in part.model_fields.items():
            held = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            assert field.description or held, f"{part.__name__}.{name} has no description"
            assert held or f"{field.alias or name}` |" in page, name
    for key in ("optimizer.rules[].lr_mult", "loss.also[].gamma", "data.rare_class.temperature"):
        assert f"| `{key}` |" in page


def test_a_recipe_with_all_it_inherits(recipe_file, tmp_path, capsys):
    assert cli.main(["config", str(recipe_file), "--set", "optimizer.lr=0.5"]) == 0
    (tmp_path / "shown.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_recipe(tmp_path / "shown.yaml") == load_recipe(recipe_file, ["optimizer.lr=0.5"])
    assert cli.main(["config", "--set", "optimizer.lr=0.5"]) == 2
