"""Only what pyproject.toml can't say: the recipes in configs/ are shipped as mxnetseg/configs."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["mxnetseg", "mxnetseg.*"]), "mxnetseg.configs"],
    package_dir={"mxnetseg.configs": "configs"},
    package_data={"mxnetseg.configs": ["*.yaml", "*/*.yaml"]},
)
