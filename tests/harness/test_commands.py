"""The command line as a stranger meets it: help, suggestions, settings files, make; and no option is idle."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from harness import cli
from harness.commands.shared import again
from harness.commands.shared.from_make import read_make
from harness.commands.shared.given import Given
from harness.commands.shared.kinds import split_names
from harness.commands.shared.line import all_commands, arguments_of, names, read
from harness.commands.shared.options import BoardOptions, ClusterLayout, LimitOptions, MachineLayout
from harness.protocol.defaults import Stop
from harness.protocol.racing import POLICIES
from pacer.errors import UsageError
from scoring.board import BoardQuery, build_board
from scoring.names import Axis, Score
from scoring.records import RecordStore
from scoring.records.layout import SINGLE
from scoring.rules import RULES
from scoring.times import AXES
from tests.scoring.build import record

ROOT = Path(__file__).parents[2]
VERBS = sorted(all_commands())
GROUPS = (LimitOptions, MachineLayout, ClusterLayout, BoardOptions)


def asked(line: str) -> Any:
    """The options that a command line gives."""
    request = read(shlex.split(line))
    assert request is not None
    return request.options


def asked_by_make(*words: str) -> Any:
    """The options that a call of make gives."""
    typed, given = read_make(words)
    request = read(typed, given)
    assert request is not None
    return request.options


def refusal(*words: str, given: Given | None = None) -> str:
    """What is said of a command line that is refused."""
    with pytest.raises(UsageError) as caught:
        read(words, given)
    return str(caught.value)


def test_names_are_split_outside_parentheses() -> None:
    text = "nadamw, torch.optim:SGD(lr=0.1,momentum=0.9) ,x.py"
    assert split_names(text) == ("nadamw", "torch.optim:SGD(lr=0.1,momentum=0.9)", "x.py")


@pytest.mark.parametrize("text", ["", " ", "a,,b", "a,", ",a", "sgd(lr=1", "sgd lr=1)", ")a("])
def test_names_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        split_names(text)


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all_commands()[verb].EXAMPLES
    for line in all_commands()[verb].EXAMPLES:
        assert line in re.sub(r"\s+", " ", shown), "the example is shown"
        words = shlex.split(line)
        assert words[:2] == ["pacer", verb]
        if not any(word.endswith(".toml") for word in words):
            assert read(words[1:]) is not None, "and can be read"
    for argument in arguments_of(verb):
        if argument.parse and argument.name != "*":
            assert argument.parameter.help, f"{argument.name} of {verb} says nothing"
            assert argument.name in shown, "the name of an option is never cut"


@pytest.mark.parametrize("verb", VERBS)
def test_no_option_is_idle(verb: str) -> None:
    """Every option of a command is read by its module, and every one of a group by the group."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(all_commands()[verb].run)))  # type: ignore[arg-type]
    read_here = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    idle = {each.name for each in fields(all_commands()[verb].Options)} - read_here - {"settings"}
    assert not idle, f"{verb} takes options that it does not read: {idle}"


def test_help_is_there_at_once() -> None:
    heavy = {"torch", "ray", "mlflow", "numpy", "scipy", "matplotlib"}
    code = "import sys; from harness.cli import main; "
    for words in ([], ["--help"], ["bench", "--help"], ["leaderboard", "--help"], ["bench", "--studies=0"]):
        code += f"main({words}); print({words}, sorted({heavy} & set(sys.modules)), file=sys.stderr); "
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if line.startswith("[") and line.endswith("]")]
    assert len(told) == 5, done.stderr
    assert all(line.endswith(" []") for line in told), told


def test_choices_are_what_there_is() -> None:
    assert set(POLICIES) == set(Stop)
    assert get_args(Score) == tuple(RULES)
    assert get_args(Axis) == tuple(AXES)


def test_every_file_is_a_command() -> None:
    modules = [path.stem for path in (ROOT / "harness" / "commands").glob("*.py") if path.stem != "__init__"]
    assert sorted(name.replace("_", "-") for name in modules) == VERBS
    assert {"calibrate", "tune", "bench"} <= set(names())


def test_other_names_mean_the_same() -> None:
    assert asked("bench --scale smoke") == asked("bench --suite smoke")
    assert asked("calibrate --submission lion") == asked("tune --submission lion")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("leaderbord", "there is no command leaderbord; did you mean leaderboard?"),
        ("xyz", "there is no command xyz; for a list, type: pacer --help"),
        ("bench --submisson lion", "bench has no option --submisson; did you mean --submission?"),
        ("bench --submisson=lion", "bench has no option --submisson; did you mean --submission?"),
        ("status --suite mini", "status has no option --suite; it takes --results, --json"),
        ("doctor --tracking-uri x", "doctor has no option --tracking-uri; it takes --json"),
        ("submissions --ruleset self", "submissions has no option --ruleset"),
        ("bench --studies=0", "--studies 0: expected a whole number from 1 up"),
        ("bench --studies 2.5", "--studies 2.5: expected a whole number from 1 up"),
        ("bench --studies three", "--studies three: expected a whole number from 1 up"),
        ("bench --studies 1e3", "--studies 1e3: expected a whole number from 1 up"),
        ("bench --STUDIES 3", "bench has no option --STUDIES; did you mean --studies?"),
        ("bench -s 3", "bench has no option -s; it takes --settings, --suite"),
        ("--studies 3", "--studies comes before a command; name the command first: pacer bench --studies"),
        ("bench --studies", "--studies needs a value: --studies N"),
        ("bench --seed=-1", "--seed -1: expected a whole number from 0 up"),
        (
            "bench --stop mised",
            "--stop mised: expected one of own-study, missed, exact, forecast, ladder; did you mean missed?",
        ),
        ("bench --ruleset none", "--ruleset none: expected one of self, external"),
        ("bench --by time,steps", "expected one of time, steps, examples"),
        ("bench --memory-gib nan", "--memory-gib nan: expected a number above 0"),
        ("bench --memory-gib inf", "--memory-gib inf: expected a number above 0"),
        ("bench --mirror-s=-1", "--mirror-s -1: expected seconds from 0 up, or inf"),
        ("bench --compile=perhaps", "--compile perhaps: expected true or false"),
        ("bench --sure 95", "--sure 95: expected a probability between 0.5 and 1"),
        ("bench --workloads a,,b", "--workloads a,,b: expected a name between two commas"),
        ("bench --workloads=", "expected names, separated by commas, and this is empty"),
        ("bench --suite=", "expected a word, and this is empty"),
        ("bench --submission 'SGD(lr=1'", "--submission SGD(lr=1: expected as many ( as )"),
        ("bench lion", "there is no settings file lion; to name a submission, type: pacer bench --submission lion"),
        ("bench harness/cli.py", "to bench it as a submission, type: pacer bench --submission harness/cli.py"),
        ("bench harness", "harness cannot be read as a settings file"),
        ("check lion", "check needs --submission"),
        ("status now", "status has no use for 'now'; to see its options, type: pacer status --help"),
        ("check", "check needs --submission (names, .py files, classes like torch.optim:RMSprop, or all)"),
        ("archive", "archive needs --to (another folder of records); type: pacer archive --to FOLDER"),
        (r"status --results 'C:\results'", "expected a path of this system"),
        ("status --results README.md", "--results README.md: expected a folder, and this is a file"),
        ("ui --port 70000", "--port 70000: expected a whole number from 0 to 65535"),
        ("import-algoperf", "import-algoperf needs"),
        ("import-algoperf x --version 0.7 --ruleset self", "--version 0.7: expected one of 0.5, 0.6"),
    ],
)
def test_what_is_not_understood_is_said_plainly(line: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    message = refusal(*shlex.split(line))
    assert said in message
    assert "\n" not in message


def test_a_refusal_is_one_line_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """And the user's brackets and words between colons stay as they are."""
    assert cli.main(["bench", "--studies", "[bold]:smile:[/]"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "pacer: --studies [bold]:smile:[/]: expected a whole number from 1 up\n"
    assert captured.out == ""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bench --sure 0.9", "--sure is of use with --until-decided alone"),
        ("bench --budget-h 2", "--budget-h is of use with --until-decided or --spend adaptive alone"),
        ("bench --decided 0.9", "--decided is of use with --spend adaptive alone"),
        ("bench --spend adaptive --until-decided a,b", "leave out --spend"),
        ("bench --spend adaptive --score anchored", "--spend adaptive decides by the ladder score"),
        ("bench --variant-seed 2", "--variant-seed is of use with --variants alone"),
        ("bench --until-decided a,b --submission c", "--until-decided A,B names the submissions"),
        ("bench --devices 3 --machines 2", "cannot be shared out evenly"),
    ],
)
def test_options_that_do_nothing_together_are_refused(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.runs.bench.bench", lambda *_: pytest.fail("it ran"))
    with pytest.raises(UsageError, match=re.escape(said)):
        all_commands()["bench"].run(asked(f"{line} --results {tmp_path}"))


def test_a_home_is_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert asked("status --results=~/mine").results == "/home/somebody/mine"
    assert asked("status --results=s3://bucket/folder").results == "s3://bucket/folder"


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("pacer ")


@pytest.fixture
def toml(tmp_path: Path) -> Any:
    """Writes a settings file, and returns its path."""

    def write(text: str | bytes) -> str:
        path = tmp_path / "board.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    return write


def test_a_file_gives_what_is_not_typed(toml: Any) -> None:
    text = """
        studies = 5
        submissions = ["nadamw", "torch.optim:SGD(lr=0.1,momentum=0.9)"]
        memory-gib = 2
        stall_s = 60.5
        compile = true
        by = "steps"
        stop = "exact"
    """
    path = toml(b"\xef\xbb\xbf" + text.encode())  # as Windows' editors write it
    options = asked(f"bench {path} --studies 7 --no-compile")
    assert (options.studies, options.layout.compiled, options.board.by) == (7, False, "steps")
    assert options.submissions == ("nadamw", "torch.optim:SGD(lr=0.1,momentum=0.9)")
    assert (options.limits.memory_gib, options.limits.stall_s, options.stop) == (2.0, 60.5, Stop.EXACT)
    assert asked(f"bench --settings {path}").studies == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("studeis = 5", "studeis is no option of pacer bench; did you mean studies?"),
        ("pointless = 5", "pointless is no option of pacer bench; it takes suite, workloads"),
        ('studies = "three"', 'studies = "three": expected a whole number'),
        ('studies = "3"', 'studies = "3": expected a whole number'),
        ("studies = 3.5", "studies = 3.5: expected a whole number"),
        ("studies = true", "studies = true: expected a whole number"),
        ("studies = 0", "studies = 0: expected a whole number from 1 up"),
        ("memory-gib = nan", "memory-gib = nan: expected a number above 0"),
        ('compile = "false"', 'compile = "false": expected true or false'),
        ("compile = 1", "compile = 1: expected true or false"),
        ("suite = 3", "suite = 3: expected a text"),
        ("submissions = [1, 2]", "expected a list of names"),
        ('submissions = ["a,b"]', "expected one name, and this is several"),
        ("studies = [3]", "expected a whole number"),
        ('by = "stepz"', 'by = "stepz": expected one of time, steps, examples; did you mean steps?'),
        ("[bench]\nstudies = 3", "bench is no option of pacer bench"),
        ('settings = "other.toml"', "settings is no option of pacer bench"),
        ("studies: 3", "is not TOML"),
        ("studies = 3\nstudies = 4", "is not TOML"),
        (b"\xff\xfe", "cannot be read as a settings file"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_its_key(toml: Any, text: str | bytes, said: str) -> None:
    path = toml(text)
    message = refusal("bench", path)
    assert said in message
    assert path in message


def test_make_gives_the_same_options_as_typing() -> None:
    spec = "pytorch_optimizer:AdamP(lr=3e-3, weight_decay=0.01)"
    made = asked_by_make("bench", f"SUBMISSION={spec}", "STUDIES=5", "COMPILE=1", "JSON=0", "MEMORY_GIB=2")
    assert made == asked(f"bench --submission '{spec}' --studies 5 --compile --memory-gib 2")
    assert asked_by_make("bench", "VARIANTS=0", "COMPILE=0", "JSON=0", "COMPARE=0", "WORKLOADS=") == asked("bench")
    assert asked_by_make("targets", "VARIANTS=1") == asked("targets --variants")
    assert asked_by_make("workloads", "VARIANTS=0") == asked("workloads")
    assert asked_by_make("claims", "--to=docs/claims.md", "RESULTS=x").to == "docs/claims.md"
    assert asked_by_make("bench", "RAY_ADDRESS=x:1", "PYTHON=python3", "MLFLOW_TRACKING_URI=y").results
    assert asked_by_make("ui", "bench", "STUDIES=5", "PORT=1").port == 1, "STUDIES is for bench"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["bench", "SUBMISSON=lion", "STUDEIS=9"],
            "SUBMISSON is no setting of make bench; did you mean SUBMISSION?",
        ),
        (["bench", "VARIANT=3"], "did you mean VARIANTS?"),
        (["status", "SUITE=mini"], "SUITE is no setting of make status, which takes RESULTS, JSON"),
        (["bench", "STUDIES=three"], "STUDIES=three: expected a whole number from 1 up"),
        (["bench", "COMPILE=maybe"], "COMPILE=maybe: expected true or false"),
        *(
            (["bench", f"{name}={factor}"], f"{name}={factor}: expected a number from 1/16 to 16")
            for name in ("HORIZON", "BATCH")
            for factor in ("0", "-1", "nan", "1000", "inf", "half")
        ),
        (["bench", "studies=3"], "settings are in capitals: STUDIES=3"),
        (
            ["bench", "STOP=exat"],
            "STOP=exat: expected one of own-study, missed, exact, forecast, ladder; did you mean exact?",
        ),
        (["check"], "check needs SUBMISSION (names, .py files, classes like torch.optim:RMSprop, or all)"),
        (["check"], "type: make check SUBMISSION=A,B"),
        (["calibrate"], "type: make tune SUBMISSION=A,B"),
        (["verify", "SUBMISSION="], "verify needs SUBMISSION"),
        (["bench", "ui", "COUNT=3"], "COUNT is no setting of make bench"),
    ],
)
def test_make_refuses_what_does_not_act(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        asked_by_make(*words)


def test_options_from_python_are_checked() -> None:
    def refused(**options: object) -> str:
        return refusal("bench", given=Given(options, "python"))

    assert refused(studeis=3) == "studeis is no option of pacer.bench; did you mean studies?"
    assert refused(studies="three") == "studies='three': expected a whole number"
    assert refused(memory_gib=0) == "memory_gib=0: expected a number above 0"
    request = read(["bench"], Given({"studies": None, "results": Path("x"), "submissions": ["a", "b"]}, "python"))
    assert request is not None
    assert (request.options.studies, request.options.results, request.options.submissions) == (
        None,
        "x",
        ("a", "b"),
    )


def test_a_board_leaves_the_settings_that_make_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by a bench, read by the next one: the same settings, whatever stands in them."""
    from harness.commands import bench

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'my "own" é.py').write_text("")
    store = RecordStore(tmp_path / "results", "mini")
    for study in range(4):
        for submission in ("nadamw", "mine", "torch.optim:SGD(lr=0.1)"):
            store.append(record(submission, time=10.0 + study, study=study))
    again.remember(tmp_path / "results", "mini", {"mine": str(tmp_path / 'my "own" é.py')})
    line = "bench --suite mini --workloads digits --submissions nadamw --studies 2 --stop exact --by steps"
    first = asked(f"{line} --results results --memory-gib 1.5 --variants 2 --variant-seed 9 --seed 0 --stall-s 30")
    board = build_board(store.read()[0], BoardQuery(suite="mini", by="steps"))
    repeat = bench.settings_to_repeat(first, board)
    path = again.write_for_bench(board, first.results, SINGLE, repeat, Console(stderr=True))
    assert path == Path("results/mini/board/board.toml")
    kept = tomllib.loads(path.read_text())
    assert kept["submissions"] == [row.submission for row in board.rows if row.submission != "mine"][:0] + [
        str(tmp_path / 'my "own" é.py') if row.submission == "mine" else row.submission for row in board.rows
    ]
    second = asked(f"bench {path}")
    assert second.submissions == tuple(kept["submissions"])
    assert (second.studies, second.trials, second.stop, second.board.by) == (4, 1, Stop.EXACT, "steps")
    assert (second.variants, second.variant_seed, second.workloads) == (2, 9, ("digits",))
    assert second.limits == first.limits
    assert (second.results, second.suite, second.seed) == ("results", "mini", 0)
    shown = again.write_for_leaderboard(board, "results", SINGLE, Console(stderr=True))
    assert shown == path
    assert tomllib.loads(path.read_text())["stop"] == "exact", "a leaderboard keeps what records do not say"


def test_a_leaderboard_says_how_to_make_it_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordStore(tmp_path, "mini").append(record("nadamw", time=10.0))
    assert cli.main(["leaderboard", "--results", str(tmp_path), "--no-mlflow"]) == 0
    path = tmp_path / "mini" / "board" / "board.toml"
    assert f"The same again: pacer bench {path}" in capsys.readouterr().err.replace("\n", "")
    assert asked(f"bench {path}").results == str(tmp_path)


def test_the_last_of_an_option_counts_and_lists_add_up() -> None:
    """So that an alias or a script may have options of its own, which one more on the line replaces."""
    options = asked("bench --studies 1 --studies 4 --submission lion --submission muon")
    assert (options.studies, options.submission) == (4, ("lion", "muon"))
