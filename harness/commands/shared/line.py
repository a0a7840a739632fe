"""The command line: finds the commands in their folder and reads what was typed into the options of one."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, Protocol, cast

from cyclopts import App, ArgumentCollection, CycloptsError, Group, Parameter

from harness import commands
from harness.commands.shared import mistakes
from harness.commands.shared.given import Given, from_settings_file
from harness.system.machine import code_version
from pacer._version import VERSION
from pacer.errors import UsageError

PROGRAM = "pacer"


class Command(Protocol):
    """A module of the folder. `Options` is a frozen dataclass, `ALIASES` and `EXAMPLES` tuples of text; one that is
    SUPERVISED is started again when its cluster is lost."""

    Options: type[Any]
    EXAMPLES: tuple[str, ...]
    run: Callable[[Any], int]


@dataclass(frozen=True)
class Request:
    """A command and the options that were asked for."""

    verb: str
    command: Command
    options: Any

    def run(self) -> int:
        """Does it; returns the exit status."""
        return self.command.run(self.options)


@cache
def all_commands() -> Mapping[str, Command]:
    """The modules of the folder by the name of their command, in the order of their names."""
    found = [module.name for module in pkgutil.iter_modules(commands.__path__) if not module.ispkg]
    return {
        name.replace("_", "-"): cast(Command, importlib.import_module(f"{commands.__name__}.{name}"))
        for name in found
    }


def aliases(command: Command) -> tuple[str, ...]:
    """Other names of a command."""
    return getattr(command, "ALIASES", ())


def names() -> list[str]:
    """What one may type as a command."""
    return [name for verb, command in all_commands().items() for name in (verb, *aliases(command))]


def canonical(name: str) -> str | None:
    """The command that goes by a name, None where there is none."""
    known = all_commands().items()
    return next((verb for verb, command in known if name in (verb, *aliases(command))), None)


def arguments_of(verb: str) -> ArgumentCollection:
    """The options of a command, those of its groups included."""
    return command_line()[verb].assemble_argument_collection()


def command_line(given: Given | None = None) -> App:
    """The command line as a Cyclopts app whose commands return a Request; `given` adds settings to those typed."""
    app = App(
        name=PROGRAM,
        help="Pacer: training algorithms by time to result.",
        help_epilogue=f"What a command takes: {PROGRAM} COMMAND --help",
        help_format="plaintext",
        version=_version,
        config=[each for each in (given, from_settings_file) if each is not None],
        default_parameter=Parameter(negative_iterable=(), show_env_var=False, allow_repeating=True),
        group_parameters=Group("Options", sort_key=0),
        result_action="return_value",
        print_error=False,
        exit_on_error=False,
        suppress_keyboard_interrupt=False,
    )
    for verb, command in all_commands().items():
        examples = "\n".join(["Examples:", *(f"  {line}" for line in command.EXAMPLES)])
        for name in (verb, *aliases(command)):
            ask, text = _asks_for(verb, command), command.Options.__doc__
            app.command(ask, name=name, help=text, help_epilogue=examples, show=name == verb)
    app.register_install_completion_command()
    return app


def read(words: Sequence[str], given: Given | None = None) -> Request | None:
    """The request that was typed; None where help, the version or completion was asked for, and is done.

    Raises UsageError, which says what was not understood and what to type.
    """
    app = command_line(given)
    try:
        return app(list(words) or ["--help"])
    except CycloptsError as error:
        verb = canonical(words[0]) or "" if words else ""
        of_verb = [each.name for each in fields(all_commands()[verb].Options)] if verb else []
        by_make = given is not None and given.source == "make"
        raise UsageError(mistakes.sentence(error, verb, names(), of_verb, by_make=by_make)) from None


def _asks_for(verb: str, command: Command) -> Callable[..., Request]:
    """A function that Cyclopts calls with the options of a command."""

    def ask(options: Any) -> Request:
        return Request(verb, command, options)

    ask.__annotations__ = {"options": Annotated[command.Options, Parameter(name="*")]}
    if all(each.default is not MISSING or each.default_factory is not MISSING for each in fields(command.Options)):
        ask.__defaults__ = (command.Options(),)
    return ask


def _version() -> str:
    code, release = code_version(), f"{PROGRAM} {VERSION}"
    return release if code == release else f"{release} ({code})"
