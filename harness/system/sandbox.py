"""What the kernel keeps a player from: files, network, other processes, and more than its share of the machine.

All of it is what an ordinary user may ask for: Landlock, seccomp, namespaces and resource limits, none of which can
be taken back by the process that entered them. Where a kernel lacks a part, the record and the board say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import platform
import resource
import signal
import socket
import struct
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.system import gpus
from pacer import paths
from scoring.records.protocol import Guard

if sys.platform == "linux":
    from py_landlock import AccessFs, Landlock, LandlockError, get_abi_version

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000  # of linux/sched.h
_SIOCSIFFLAGS, _IFF_UP, _IFF_RUNNING = 0x8914, 0x1, 0x40  # of linux/sockios.h and linux/if.h
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _SECCOMP_MODE_FILTER = 22, 38, 2  # of linux/prctl.h and linux/seccomp.h
_CLONE_PARENT, _CLONE_NEWPID, _PR_SET_CHILD_SUBREAPER = 0x8000, 0x20000000, 36  # of the same two files

_SCOPES_SINCE = 6
_NETWORK_SINCE = 4
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/nix/store", "/sys/devices/system")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group")
_FILES += ("/dev/urandom", "/dev/random", "/dev/zero", "/proc/cpuinfo", "/proc/meminfo")
_PREFIX_PARTS = ("bin", "include", "lib", "lib64", "libexec", "share", "ssl", "pyvenv.cfg")
"""What Python needs of its prefix."""

_CARDS = ("/sys/bus/pci/devices",)
"""Where gloo looks for the kinds of the machine's cards, and fails where it may not."""

_DRIVER = (
    "/proc/driver/nvidia",
    "/proc/devices",
    "/sys/module/nvidia",
    "/sys/devices",
    "/proc/sys/vm",
    "/proc/self/maps",
)
_OWN_THREADS = Path("/proc/self/task")
"""Where CUDA gives its threads names, without which it does not start."""


EXPLAINED = {
    Guard.FILES: "reading and writing your files",
    Guard.PROCESSES: "signalling your processes and using their cores",
    Guard.NETWORK: "the network",
}
"""What it is that each guard keeps a player from."""


@dataclass(frozen=True, kw_only=True)
class _Calls:
    """What Linux calls an architecture in audits, and the numbers of some system calls there."""

    architecture: int
    sched_setaffinity: int
    rt_sigaction: int
    clone: int
    prctl: int
    unshare: int
    clone3: int = 435


_CALLS = {
    "x86_64": _Calls(
        architecture=0xC000003E, sched_setaffinity=203, rt_sigaction=13, clone=56, prctl=157, unshare=272
    ),
    "aarch64": _Calls(
        architecture=0xC00000B7, sched_setaffinity=122, rt_sigaction=134, clone=220, prctl=167, unshare=97
    ),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one player may take. `memory_gib` holds for each of its processes, None for half of what is free when it
    starts; `file_mib` is the size of one file; `stall_s` the seconds without a finished step.
    """

    memory_gib: float | None = None
    processes: int = 64
    file_mib: int = 256
    stall_s: float = 900.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise ValueError(f"the limit {name} is {value}, expected more than 0")


DEFAULT_LIMITS = Limits()
"""The limits that hold where none are asked for."""


@dataclass(frozen=True, kw_only=True)
class SandboxSpec:
    """What a player may use: it may write in `scratch` alone, and read, beside the system's programs and libraries,
    what Python imports and `packages`. Of a folder on the import path into which nothing was installed, such as a
    clone of Pacer or where the user works, and of one that leads to one of `hidden`, it may read packages alone.

    `players_here` counts the players of the trial on this machine, itself included: they may connect to each other,
    and write in `rendezvous_folder`. In a `multi_host` trial some are on other machines, and the network is open. A
    player with a `gpu`, by its unique id, may open the driver's files, and sees no other GPU.
    """

    scratch: Path
    packages: Path | None = None
    hidden: tuple[Path, ...] = ()
    limits: Limits = DEFAULT_LIMITS
    players_here: int = 1
    rendezvous_folder: Path | None = None
    multi_host: bool = False
    gpu: str | None = None

    @property
    def has_peers(self) -> bool:
        """Whether the trial has other players."""
        return self.multi_host or self.players_here > 1


def enter(sandbox_spec: SandboxSpec, namespaces: Sequence[int] = ()) -> tuple[Guard, ...]:
    """Puts this process, and all that it starts, in the sandbox for good; returns what the kernel keeps it from.

    It must have one thread. Environment and working directory are emptied of what names the trial. `namespaces` are
    the descriptors of `namespaces_of` a player that entered before, which this one joins; they are closed.
    """
    _forget_environment(sandbox_spec.scratch)
    if sandbox_spec.gpu is not None:
        gpus.show_only([sandbox_spec.gpu])
        os.environ["NCCL_SHM_DISABLE"] = "1"  # which would need files in /dev/shm
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")  # out of memory, it goes before anybody else
    limits = sandbox_spec.limits
    memory = (
        limits.memory_gib * 2**30
        if limits.memory_gib
        else psutil.virtual_memory().available / 2 / sandbox_spec.players_here
    )
    counted_alone = not sandbox_spec.multi_host and (
        _join_namespaces(namespaces) if namespaces else _leave_network(shared=sandbox_spec.has_peers)
    )
    # The kernel counts the threads of all players in a namespace together; the referee each player's processes.
    threads = limits.processes * sandbox_spec.players_here + (0 if counted_alone else _own_threads())
    guards = [Guard.NETWORK] if counted_alone else []
    stays = _stay_on_core_and_counted()
    guards += [guard for guard in _confine(sandbox_spec) if stays or guard is not Guard.PROCESSES]
    if sandbox_spec.gpu is not None:
        memory = resource.RLIM_INFINITY  # CUDA reserves far more than it ever takes
    for kind, most in (
        (resource.RLIMIT_DATA, int(memory)),
        (resource.RLIMIT_FSIZE, limits.file_mib * 2**20),
        (resource.RLIMIT_NPROC, threads),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(ValueError, OSError):  # below it already
            resource.setrlimit(kind, (most, most))
    return tuple(sorted(guards))


def available() -> tuple[Guard, ...]:
    """What players on this machine are kept from: a process of this one's tries it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), tempfile.TemporaryDirectory() as scratch:
            os.write(writer, " ".join(enter(SandboxSpec(scratch=Path(scratch)))).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        words = answer.read().split()
    os.waitpid(child, 0)
    return tuple(Guard(word) for word in words)


def _forget_environment(scratch: Path) -> None:
    os.chdir(scratch)
    os.environ.clear()
    home = str(scratch)
    os.environ.update(
        HOME=home, TMPDIR=home, XDG_CACHE_HOME=home, TORCHINDUCTOR_CACHE_DIR=home, USER="player", LANG="C.UTF-8",
        PATH="/usr/local/bin:/usr/bin:/bin", OMP_NUM_THREADS="1",
    )  # fmt: skip
    tempfile.tempdir = None


def _leave_network(*, shared: bool) -> bool:
    """Whether this process is in a network of its own now, in which there is nothing, or, `shared`, loopback."""
    if sys.platform != "linux":
        return False
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        return False
    if shared:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sh22x", b"lo", _IFF_UP | _IFF_RUNNING)
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
    return True


def _join_namespaces(namespaces: Sequence[int]) -> bool:
    """Joins the namespaces of another player. Raises OSError."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    for namespace in namespaces:
        if setns(namespace, 0) != 0:
            raise OSError(ctypes.get_errno(), "a player could not join the namespaces of the first rank")
        os.close(namespace)
    return True


def namespaces_of(pid: int) -> list[int]:
    """Descriptors of pid's user and network namespaces; the caller closes them. Empty where it shares ours."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:
            return []
        return [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "net")]
    except OSError:
        return []


def _confine(sandbox_spec: SandboxSpec) -> Iterator[Guard]:
    """Enters a Landlock domain, yields what it keeps this process from."""
    if sys.platform != "linux":
        return
    try:
        version = get_abi_version()
        domain = Landlock(strict=False)
        readable = [*_existing(_SYSTEM), *_existing(_FILES), *_python(sandbox_spec.hidden)]
        if sandbox_spec.has_peers:
            readable += [*_existing(_CARDS), *Path(_CARDS[0]).glob("*/class")]
        for place in (
            *readable,
            sandbox_spec.scratch,
            *filter(None, (sandbox_spec.packages, sandbox_spec.rendezvous_folder)),
        ):
            directory = AccessFs.READ_DIR if place.is_dir() else AccessFs(0)
            domain.add_path_rule(place, access=AccessFs.READ_FILE | AccessFs.EXECUTE | directory)
        domain.allow_write(sandbox_spec.scratch)
        if sandbox_spec.rendezvous_folder is not None:
            domain.allow_write(sandbox_spec.rendezvous_folder)
        if sandbox_spec.has_peers:
            domain.allow_all_network()  # its own, where there are namespaces
        domain.add_path_rule(os.devnull, access=AccessFs.READ_FILE | AccessFs.WRITE_FILE)
        for file in _gpu_files() if sandbox_spec.gpu is not None else ():
            access = AccessFs.READ_FILE | (AccessFs.READ_DIR if file.is_dir() else AccessFs(0))
            if file.is_relative_to("/dev"):
                access |= AccessFs.WRITE_FILE | AccessFs.IOCTL_DEV
            domain.add_path_rule(file, access=access)
        if sandbox_spec.gpu is not None and _OWN_THREADS.exists():
            domain.add_path_rule(_OWN_THREADS, access=AccessFs.WRITE_FILE | AccessFs.TRUNCATE)
        domain.apply()
    except (LandlockError, OSError):
        return
    yield Guard.FILES
    if version >= _SCOPES_SINCE:
        yield Guard.PROCESSES


def _gpu_files() -> list[Path]:
    """What CUDA opens: the driver's devices, and where it looks for what kind of machine and process it is in."""
    return [*Path("/dev").glob("nvidia*"), *_existing(_DRIVER), *_existing(_CARDS)]


def _stay_on_core_and_counted() -> bool:
    """Has the kernel refuse to move this process, and what it starts, to other cores; returns whether it does.

    The kernel refuses as well what would let a process leave those that descend from this one, or end without its
    processor time being added to its parent's: else what it works would count as work for others, and come off the
    clock. That is another parent than who starts it; one that adopts no orphans, or that has its children vanish
    when they end, as who sets what SIGCHLD does may; and a space of process numbers, whose first takes all along.
    """
    if sys.platform != "linux" or platform.machine() not in _CALLS:
        return False
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    steps = _steps(_CALLS[platform.machine()])
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(filters)))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return (
        prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        and prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0) == 0
    )


def _steps(calls: _Calls) -> list[tuple[int, int, int, int]]:
    """The program that the kernel asks about each system call: of each step the code, how many steps to skip where
    it holds and where it does not, and its number. All architectures here have the low half of a word first."""
    load, if_equal, if_above, if_any_bit, answer = 0x20, 0x15, 0x35, 0x45, 0x06  # of linux/bpf_common.h
    errno_of, allow = 0x00050000, (answer, 0, 0, 0x7FFF0000)  # of linux/seccomp.h
    refuse, unknown = (answer, 0, 0, errno_of | errno.EPERM), (answer, 0, 0, errno_of | errno.ENOSYS)
    number, architecture, first, second_low, second_high = 0, 4, 16, 24, 28  # where it finds them
    new_process = _CLONE_PARENT | _CLONE_NEWPID
    return [
        (load, 0, 0, architecture),
        (if_equal, 1, 0, calls.architecture),
        refuse,  # calls of another one have other numbers
        (load, 0, 0, number),
        (if_above, 0, 1, 0x40000000),
        refuse,  # so have those of x32
        (if_equal, 0, 1, calls.sched_setaffinity),
        refuse,
        (if_equal, 0, 1, calls.clone3),
        unknown,  # what it is to do cannot be seen; the C library then calls clone
        *((if_equal, 0, 4, calls.clone), (load, 0, 0, first), (if_any_bit, 0, 1, new_process), refuse, allow),
        *((if_equal, 0, 4, calls.unshare), (load, 0, 0, first), (if_any_bit, 0, 1, _CLONE_NEWPID), refuse, allow),
        *((if_equal, 0, 4, calls.prctl), (load, 0, 0, first), (if_equal, 0, 1, _PR_SET_CHILD_SUBREAPER)),
        *(refuse, allow),
        (if_equal, 0, 7, calls.rt_sigaction),
        (load, 0, 0, first),
        (if_equal, 0, 5, signal.SIGCHLD),
        (load, 0, 0, second_low),  # where the new action lies; nowhere, if only the old one is asked for
        (if_equal, 0, 2, 0),
        (load, 0, 0, second_high),
        (if_equal, 1, 0, 0),
        refuse,
        allow,
    ]


def _existing(paths: Sequence[str]) -> list[Path]:
    return [Path(path) for path in paths if Path(path).exists()]


def _python(hidden: Sequence[Path]) -> list[Path]:
    """Where Python and all that can be imported lie, so far as it may be read; see SandboxSpec."""
    hidden = [folder.resolve() for folder in hidden]

    def leads_to_hidden(place: Path) -> bool:
        return any(folder.is_relative_to(place) for folder in hidden)

    places = {Path(sysconfig.get_path("stdlib")).resolve(), *paths.package_folders()}
    for prefix in {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}:
        if leads_to_hidden(prefix):  # the user works in the folder of the environment
            places |= set(filter(Path.exists, (prefix / part for part in _PREFIX_PARTS)))
        else:
            places.add(prefix)
    for entry in filter(None, sys.path):
        place = Path(entry).resolve()
        if place.is_file() or (any(place.glob("*.dist-info")) and not leads_to_hidden(place)):
            places.add(place)
        else:
            places |= {file.parent for file in place.glob("*/__init__.py")} | set(place.glob("*.py"))
    return sorted(places)


def _own_threads() -> int:
    """Threads of this process's user, among which the system counts a player's where it has no namespace."""
    count = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        if process.info["uids"] and process.info["uids"].real == os.getuid():
            count += process.info["num_threads"] or 0
    return count
