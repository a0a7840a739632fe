"""Finding submissions: by name, by file, by class; what is wrong is said and nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.protocol.choose import expanded
from submissions import points
from submissions.about import about
from submissions.by_name import parse
from submissions.registry import UnknownSubmissionError, known, resolve
from submissions.space import Choice, LogUniform

FILE = """
from submissions.base import Submission

class Mine(Submission):
    name = "mine"
    def configure(self, model, workload, hp): ...
"""


def test_the_folder_has_the_first_submissions() -> None:
    assert {"nadamw", "adamw", "nesterov", "schedule_free_adamw"} <= set(known())


def test_a_file_is_named_by_its_own_attribute(tmp_path: Path) -> None:
    path = tmp_path / "anything.py"
    path.write_text(FILE)
    assert resolve(str(path)).name == "mine"


def test_resolving_runs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "dangerous.py"
    path.write_text("raise SystemExit('ran')\n" + FILE)
    assert resolve(str(path)).name == "mine"


def test_a_file_that_cannot_be_parsed_goes_by_its_file_name(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def (")
    assert resolve(str(path)).name == "broken"


def test_the_hash_follows_the_text(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text(FILE)
    first = resolve(str(path)).hash
    path.write_text('"""Other words."""\n' + FILE + "\n# and a comment")
    assert resolve(str(path)).hash == first
    path.write_text(FILE.replace("...", "return None"))
    assert resolve(str(path)).hash != first


def test_a_file_cannot_take_the_name_of_another_submission(tmp_path: Path) -> None:
    path = tmp_path / "adam.py"
    path.write_text(FILE.replace('"mine"', '"adamw"'))
    with pytest.raises(UnknownSubmissionError, match="another `name`"):
        resolve(str(path))


def test_a_line_is_read_into_its_parts() -> None:
    spec = parse("torch.optim:SGD(lr=loguniform(1e-3, 1), momentum=choice(0.9, 0.99), nesterov=True)@constant")
    assert (spec.module, spec.class_name, spec.schedule) == ("torch.optim", "SGD", "constant")
    assert spec.arguments == {"lr": LogUniform(1e-3, 1), "momentum": Choice(0.9, 0.99), "nesterov": True}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such", "known: adabelief, "),
        ("no/such.py", "there is no file"),
        ("torch.optim:", "expected MODULE:CLASS"),
        ("torch.optim:SGD(0.1)", "expected MODULE:CLASS"),
        ("torch.optim:SGD(lr=open('x'))", "an argument is a literal"),
        ("torch.optim:SGD(lr=loguniform(1, 0))", "expected 0 < low < high"),
        ("torch.optim:SGD@sometimes", "known: warmup_cosine, cosine_power"),
        ("no_such_package_anywhere:SGD", "pip install no_such_package_anywhere"),
        ("os;x:SGD", "is no module name"),
        ("adamw@best", "expected @literature or @tuned"),
    ],
)
def test_what_is_wrong_is_said(spec: str, message: str) -> None:
    with pytest.raises(UnknownSubmissionError) as caught:
        resolve(spec)
    assert message in str(caught.value)


def test_a_tuned_point_is_beside_the_file_and_part_of_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    own = resolve(str(path))
    assert own.point is None
    with pytest.raises(UnknownSubmissionError, match="make tune SUBMISSION="):
        resolve(f"{path}@tuned")
    tuned = points.TunedPoint(
        point={"lr": 0.1}, command="by hand", state_bytes_per_parameter=8.0, evidence={"runs": [1]}
    )
    kept = points.save(path, "mine", tuned)
    assert kept == tmp_path / "tuned" / "mine.json"
    assert points.load(path, "mine") == tuned
    found = resolve(str(path))
    assert (found.name, found.point) == ("mine", {"lr": 0.1})
    assert found == resolve(f"{path}@tuned")
    assert found.hash != own.hash
    literature = resolve(f"{path}@literature")
    assert (literature.name, literature.point) == ("mine@literature", None)


def test_a_point_that_was_kept_under_the_old_name_is_read_until_there_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    with pytest.raises(UnknownSubmissionError, match="make tune SUBMISSION="):
        resolve(f"{path}@calibrated")
    kept = points.save(path, "mine", points.TunedPoint(point={"lr": 0.1}, command="by hand"))
    new_hash = resolve(str(path)).hash
    kept.parent.rename(tmp_path / "calibrated")
    old = resolve(str(path))
    assert (old.point, old.hash) == ({"lr": 0.1}, new_hash)
    assert resolve(f"{path}@calibrated") == resolve(f"{path}@tuned") == old
    points.save(path, "mine", points.TunedPoint(point={"lr": 0.2}, command="by hand"))
    assert resolve(str(path)).point == {"lr": 0.2}


@pytest.mark.parametrize("folder", ["tuned", "calibrated"])
@pytest.mark.parametrize("text", ['{"point": 3}', '{"point": {}, "command": ""}', "[]", "{"])
def test_a_damaged_point_is_named(folder: str, text: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "mine.json").write_text(text)
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    with pytest.raises(points.TunedPointError, match=f"{folder}/mine.json holds .*to be without one, type: rm"):
        resolve(str(path))


def test_all_means_every_submission_of_the_folder() -> None:
    assert expanded(("all",)) == tuple(known())
    assert expanded(("adam", "all@literature"))[:2] == ("adam", f"{next(iter(known()))}@literature")
    assert expanded(("adam", "adam")) == ("adam",)


def test_a_docstring_is_read_by_its_fields() -> None:
    said = about('''"""Mine: a rule.

    Paper: Somebody, 2020,
    arXiv:2001.00001.
    Claim: Twice as fast: on everything.
    Against: adamw
    """

class Mine(Submission):
    space = {}
''')
    assert said.summary == "Mine: a rule."
    assert said.paper == "Somebody, 2020, arXiv:2001.00001."
    assert said.claim == "Twice as fast: on everything."
    assert (said.against, said.expects, said.variant, said.searched) == ("adamw", "faster", None, True)
