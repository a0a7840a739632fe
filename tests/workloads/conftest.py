"""The datasets of the tests: fetched once from the package index into the project's cache, then read offline."""

from pathlib import Path

import pytest

from pacer import paths


@pytest.fixture(scope="session")
def cache() -> Path:
    return paths.default_data()
