"""The options and groups of options that several commands take; a command has those alone that it acts on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from cyclopts import Group, Parameter

from harness.algoperf.facts import of_suite
from harness.commands.shared import places
from harness.commands.shared.kinds import AtLeastOne, Factor, Folder, Names, Patience, Positive, Text, one_of
from harness.protocol.defaults import DEFAULT_MIRROR_S, DEFAULT_SUITE, DEFAULT_WORKLOADS
from harness.system.sandbox import Limits
from pacer.errors import UsageError
from scoring.names import Axis, Score, needs_targets
from scoring.records.layout import SINGLE, Layout
from scoring.records.protocol import REFERENCE

if TYPE_CHECKING:
    from harness.report.show import Boards, Presentation
    from scoring.board import BoardQuery

Ruleset = Literal["self", "external"]

Suite = Annotated[
    Text | None,
    Parameter(name=("--suite", "--scale"), help=f"All workloads of one scale: smoke, {DEFAULT_SUITE} or base."),
]
Workloads = Annotated[Names | None, Parameter(help="Only these of the suite.")]
Results = Annotated[Folder, Parameter(help="Folder of the records, or an address as s3://bucket/folder.")]
Data = Annotated[Folder, Parameter(help="Folder of the dataset cache.")]
RulesetOption = Annotated[
    Ruleset | None,
    Parameter(
        converter=one_of(*get_args(Ruleset)),
        help="self: fixed hyperparameters, one trial a study; external: tuned in a search space. [self]",
    ),
]
ReferenceOption = Annotated[
    Text | None, Parameter(help=f"What speed-ups are relative to. [{REFERENCE}, or baseline of an imported suite]")
]
Json = Annotated[bool, Parameter(help="Print JSON, for programs.")]
Hardware = Annotated[Text | None, Parameter(metavar="FINGERPRINT")]
TrackingUri = Annotated[Text | None, Parameter(help="Of an MLflow server. [env MLFLOW_TRACKING_URI]")]

_LIMITS = Group("What one submission may take", sort_key=1)
_LAYOUT = Group("How a trial is run", sort_key=2)
_BOARD = Group("The board", sort_key=3)


@dataclass(frozen=True, kw_only=True)
class LimitOptions:
    """What one submission may take."""

    memory_gib: Annotated[Positive | None, Parameter(help="Memory. [half of what is free]")] = None
    processes: Annotated[AtLeastOne, Parameter(help="Processes and threads.")] = Limits.processes
    file_mib: Annotated[AtLeastOne, Parameter(help="Size of a file.")] = Limits.file_mib
    stall_s: Annotated[Positive, Parameter(help="Seconds without a finished step.")] = Limits.stall_s

    def limits(self) -> Limits:
        """The same as the harness has it."""
        return Limits(**vars(self))


@dataclass(frozen=True, kw_only=True)
class MachineLayout:
    """How a trial is run on one machine."""

    devices: Annotated[AtLeastOne, Parameter(help="Devices that share each batch of a trial.")] = 1
    compiled: Annotated[bool, Parameter(name="--compile", help="Models by torch.compile, off the clock.")] = False
    horizon: Annotated[
        Factor, Parameter(help="Times the horizon: a board of its own, ranked by the ladder alone.")
    ] = 1.0
    batch: Annotated[
        Factor,
        Parameter(help="Times the batch size, with the step hint divided by it, so as many examples: likewise."),
    ] = 1.0

    def layout(self) -> Layout:
        """The same as records have it. Raises UsageError where the devices cannot be shared out evenly."""
        return Layout(**vars(self))


@dataclass(frozen=True, kw_only=True)
class ClusterLayout(MachineLayout):
    """How a trial is run on the machines of a cluster."""

    machines: Annotated[AtLeastOne, Parameter(help="Machines of a cluster that share a trial's devices.")] = 1


@dataclass(frozen=True, kw_only=True)
class BoardOptions:
    """What a board is, and where it is shown."""

    score: Annotated[
        Score | None,
        Parameter(
            converter=one_of(*get_args(Score)),
            help="How trials become a score. [ladder; anchored without trials of the reference]",
        ),
    ] = None
    reference: ReferenceOption = None
    by: Annotated[Axis, Parameter(help="What is ranked.")] = "time"
    interpolate: Annotated[
        bool, Parameter(help="Scores of times take a target for reached where a line between evaluations meets it.")
    ] = False
    compare: Annotated[bool, Parameter(help="Print the ranks and scores of all scores side by side.")] = False
    json: Json = False
    mlflow: Annotated[bool, Parameter(help="Bring MLflow up to date.")] = True
    mirror_s: Annotated[
        Patience, Parameter(help="Seconds for MLflow at most, inf for as long as it takes; the next call goes on.")
    ] = DEFAULT_MIRROR_S
    tracking_uri: TrackingUri = field(default_factory=places.tracking_uri)

    def query(
        self, suite: str, ruleset: str, workloads: Sequence[str] | None = None, fingerprint: str | None = None
    ) -> BoardQuery:
        """Which board of a suite these options ask for. Raises UsageError for one that cannot be."""
        if self.interpolate and not self.compare and not needs_targets(self.score):
            raise UsageError("the ladder score always interpolates; --interpolate is of use with --score anchored")
        from scoring.board import BoardQuery

        return BoardQuery(
            suite=suite,
            ruleset=ruleset,
            reference=reference_of(self.reference, suite),
            workloads=workloads,
            fingerprint=fingerprint,
            score=self.score,
            by=self.by,
            interpolated=self.interpolate,
        )

    def presentation(self) -> Presentation:
        """Where the board is shown."""
        from harness.report.show import Presentation

        return Presentation(
            compared=self.compare,
            as_json=self.json,
            mirrored=self.mlflow,
            mirror_s=self.mirror_s,
            tracking_uri=self.tracking_uri,
        )


LimitGroup = Annotated[LimitOptions, Parameter(name="*", group=_LIMITS)]
MachineGroup = Annotated[MachineLayout, Parameter(name="*", group=_LAYOUT)]
ClusterGroup = Annotated[ClusterLayout, Parameter(name="*", group=_LAYOUT)]
BoardGroup = Annotated[BoardOptions, Parameter(name="*", group=_BOARD)]


def ruleset_of(ruleset: Ruleset | None, suite: str | None) -> str:
    """The ruleset that was named, else that of an imported suite, else self."""
    published = of_suite(suite or "")
    return ruleset or (published.ruleset if published else "self")


def workloads_of(workloads: tuple[str, ...] | None, suite: str | None) -> tuple[str, ...] | None:
    """The workloads that were named, None for all of a suite that was; else those of a bench that names neither."""
    return DEFAULT_WORKLOADS if suite is None and workloads is None else workloads


def reference_of(reference: str | None, suite: str) -> str:
    """The submission that was named, else the reference of an imported suite, else Pacer's."""
    published = of_suite(suite)
    return reference or (published.reference if published else REFERENCE)


def recorded(
    results: str,
    suite: str | None,
    ruleset: Ruleset | None,
    workloads: tuple[str, ...] | None,
    *,
    reference: str | None,
    by: Axis,
    fingerprint: str | None = None,
    layout: Layout = SINGLE,
) -> Boards:
    """The trials that are recorded, and which board of them is asked for. Raises RecordsError where they cannot be
    read."""
    from harness.report.show import open_boards

    suite = suite or DEFAULT_SUITE
    asked = BoardOptions(by=by, reference=reference)
    query = asked.query(suite, ruleset_of(ruleset, suite), workloads, fingerprint)
    return open_boards(Path(results), query, layout)


def folder(text: str) -> Path:
    """An option's folder, as an absolute path."""
    return Path(text).absolute()


def is_address(results: str) -> bool:
    """Whether results are somewhere else than in a folder of this machine."""
    return "://" in results
