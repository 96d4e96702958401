"""Only what pyproject.toml can't say: recipes are shipped as mxnetseg/configs, operators as sources."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["mxnetseg", "mxnetseg.*"]), "mxnetseg.configs"],
    package_dir={"mxnetseg.configs": "configs"},
    package_data={
        "mxnetseg": ["py.typed"],
        "mxnetseg.configs": ["*.yaml", "*/*.yaml"],
        "mxnetseg.data": ["classes/*.csv"],
        "mxnetseg.ops": ["*.cc", "*.h", "*/*.cc", "*/*.cu", "*/*.h"],
    },
)
