"""Packages that a submission's `requirements.txt` asks for, installed beside Pacer's own for its player alone."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from filelock import FileLock
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pacer.errors import PacerError
from submissions.registry import SubmissionRef


class PackagesError(PacerError):
    """What a submission asks for cannot be installed."""


def install(submission: SubmissionRef, cache: Path) -> Path | None:
    """The folder to import a submission's further packages from, None where it needs none; made once a cache.

    What is installed here stays as it is. Raises PackagesError where pip fails, as for a version that does not go
    with that.
    """
    text = submission.requirements
    if text is None or all(map(_is_met, text.splitlines())):
        return None
    place = cache / "packages" / hashlib.sha256(f"{sys.version} {text}".encode()).hexdigest()[:16]
    place.parent.mkdir(parents=True, exist_ok=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(place)}))
    with FileLock(f"{place}.lock"):
        if (place / "ready").exists():
            return packages
        venv.create(place, clear=True)
        # pip then takes what Pacer has for installed, and adds what is missing.
        (packages / "pacer.pth").write_text("\n".join([*filter(_holds_packages, sys.path), ""]))
        wanted = place / "requirements.txt"
        wanted.write_text(text)
        constraints = place / "constraints.txt"
        constraints.write_text("\n".join(installed()))
        pip = [sys.executable, "-m", "pip", "--python", str(place / "bin" / "python"), "install", "--quiet"]
        pip += ["--disable-pip-version-check", "-r", str(wanted), "-c", str(constraints)]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            said = "\n".join(errors) or done.stderr
            raise PackagesError(
                f"{submission.name}: its requirements.txt could not be installed beside the packages that are here "
                f"and stay as they are; to list them, type: {sys.executable} -m pip list\n{said.strip()}"
            )
        (place / "ready").touch()
    return packages


def installed() -> list[str]:
    """What can be imported here, as lines "numpy==2.4.6" of a requirements file, by name."""
    found: dict[str, Version] = {}
    for distribution in distributions():
        with contextlib.suppress(InvalidVersion, KeyError, TypeError):  # some systems' metadata is broken
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), Version(distribution.version))
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def _holds_packages(entry: str) -> bool:
    """Whether something was installed into a folder of the import path."""
    return any(Path(entry).glob("*.dist-info"))


def _is_met(line: str) -> bool:
    """Whether a line of a requirements file asks for nothing that is not there."""
    wanted = line.partition("#")[0].strip()
    if not wanted:
        return True
    try:
        requirement = Requirement(wanted)
        if requirement.marker is not None and not requirement.marker.evaluate():
            return True
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except (InvalidRequirement, PackageNotFoundError):  # pip knows more forms than this, such as options
        return False
