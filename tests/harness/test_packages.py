"""A submission's requirements: met ones cost nothing, missing ones are installed for its player alone."""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from harness.protocol.trial import Trial
from harness.system import packages
from harness.system.packages import PackagesError
from harness.trial.referee import run_trial
from submissions.registry import SubmissionRef, resolve
from tests.submissions.test_algoperf import PROBE


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A package that is nowhere else."""
    path = tmp_path / "pacer_probe_words-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("pacer_probe_words.py", "WORDS = 3\n")
        info = "pacer_probe_words-1.0.dist-info"
        file.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: pacer_probe_words\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def submission(folder: Path, requirements: str) -> SubmissionRef:
    place = folder / "needy"
    place.mkdir(exist_ok=True)
    (place / "submission.py").write_text("import pacer_probe_words\n" + PROBE.replace("UPDATE", "pass"))
    (place / "requirements.txt").write_text(requirements)
    return resolve(str(place))


def test_what_is_there_is_not_installed(tmp_path: Path) -> None:
    met = "# nothing new\ntorch>=2.0\nnumpy  # any\nwinreg-shim; sys_platform == 'win32'\n"
    assert packages.install(submission(tmp_path, met), tmp_path) is None
    assert packages.install(resolve("nadamw"), tmp_path) is None
    assert not (tmp_path / "packages").exists()


def test_a_trial_has_what_its_submission_asks_for(tmp_path: Path, wheel: Path, order: Trial) -> None:
    ref = submission(tmp_path, f"torch\n--no-index\n{wheel}\n")
    data = tmp_path / "data"
    data.mkdir()
    for dataset in order.data.iterdir():
        (data / dataset.name).symlink_to(dataset)
    (data / "packages").unlink(missing_ok=True)
    place = packages.install(ref, data)
    assert place is not None
    assert (place / "pacer_probe_words.py").exists()
    assert not (place / "torch").exists()
    assert packages.install(ref, data) == place
    assert importlib.util.find_spec("pacer_probe_words") is None
    record = run_trial(replace(order, submission=ref, data=data, ending=replace(order.ending, every=2, last=2)))
    assert record.failure is None


def test_a_version_that_does_not_go_with_ours_is_said(tmp_path: Path, wheel: Path) -> None:
    ref = submission(tmp_path, f"--no-index\n{wheel}\npip-has-no-such-package-of-pacer\n")
    with pytest.raises(PackagesError, match=r"needy.*requirements\.txt could not be installed"):
        packages.install(ref, tmp_path)
