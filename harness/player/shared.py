"""Memory that two processes share and that neither can shrink while the other uses it."""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import tempfile


def create(size: int) -> int:
    """New memory of that many bytes, zeros; returns its file descriptor, which is the caller's to close."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("shared", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    with contextlib.suppress(AttributeError):  # seals are Linux's
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return descriptor


def attach(descriptor: int) -> mmap.mmap:
    """The bytes of shared memory, for reading and writing; the descriptor may be closed."""
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size)
