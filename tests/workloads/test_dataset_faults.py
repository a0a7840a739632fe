"""What happens to the cache when the network, the disk, a file or a process fails. No test uses the network."""

import errno
import hashlib
import multiprocessing
import os
import pickle
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from workloads.datasets import base
from workloads.datasets.base import (
    SPLITS,
    Dataset,
    DatasetError,
    Package,
    content_hash,
    map_open_file,
    open_split,
)
from workloads.datasets.fetch import fetch
from workloads.datasets.pickles import load_arrays

PACKAGE = Package(
    name="toy", version="1", filename="toy-1.tar.gz", sha256=hashlib.sha256(b"toy").hexdigest(), megabytes=1
)


def convert(files):
    assert files["toy"].read_bytes() == b"toy"
    return {split: {"x": np.arange(n, dtype=np.int16)} for n, split in enumerate(SPLITS, start=3)}


def slow_convert(files):
    time.sleep(0.3)
    with Path(os.environ["PACER_TEST_LOG"]).open("a") as log:
        log.write("converted\n")
    return convert(files)


def stuck_convert(files):
    files["toy"].with_name("begun").touch()
    time.sleep(60)


SHA256 = content_hash({split: {"x": np.arange(n, dtype=np.int16)} for n, split in enumerate(SPLITS, start=3)})
TOY = Dataset(name="toy", version=1, packages=(PACKAGE,), convert=convert, sha256=SHA256, examples={})
SLOW = Dataset(name="toy", version=1, packages=(PACKAGE,), convert=slow_convert, sha256=SHA256, examples={})
STUCK = Dataset(name="toy", version=1, packages=(PACKAGE,), convert=stuck_convert, sha256=SHA256, examples={})


def toy_fetch(package, folder, content=b"toy"):
    folder.mkdir(parents=True)
    path = folder / package.filename
    path.write_bytes(content)
    return path


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    monkeypatch.setattr(base, "fetch", toy_fetch)


def is_clean(cache: Path) -> bool:
    return {path.name for path in cache.iterdir()} <= {".toy-v1.lock", "toy-v1"}


def test_a_dataset_is_made_once_and_read_offline(tmp_path, monkeypatch, capsys):
    folder = TOY.prepare(tmp_path)
    assert folder == tmp_path / "toy-v1"
    assert "toy: fetching toy 1 (1 MB)" in capsys.readouterr().err
    monkeypatch.setattr(base, "fetch", None)
    assert TOY.prepare(tmp_path) == folder
    assert open_split(folder, "test")["x"].tolist() == [0, 1, 2, 3, 4]
    assert open_split(folder, "test", 2)["x"].tolist() == [0, 1]
    assert is_clean(tmp_path)


def test_another_file_than_published_is_never_opened(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "fetch", lambda package, folder: toy_fetch(package, folder, b"evil"))
    with pytest.raises(DatasetError) as caught:
        TOY.prepare(tmp_path)
    assert hashlib.sha256(b"evil").hexdigest() in str(caught.value)
    assert PACKAGE.sha256 in str(caught.value)
    assert not (tmp_path / "toy-v1").exists()
    assert is_clean(tmp_path)


def test_other_content_than_expected_is_not_kept(tmp_path):
    other = Dataset(name="toy", version=1, packages=(PACKAGE,), convert=convert, sha256="0" * 64, examples={})
    with pytest.raises(DatasetError, match=f"(?s){SHA256}.*{'0' * 64}.*NumPy"):
        other.prepare(tmp_path)
    assert not (tmp_path / "toy-v1").exists()
    assert is_clean(tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path, monkeypatch, number):
    def full(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(DatasetError, match=r"full.*df -h"):
        TOY.prepare(tmp_path)
    assert not (tmp_path / "toy-v1").exists()
    assert is_clean(tmp_path)


def test_a_cache_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatasetError, match="cannot write"):
        TOY.prepare(tmp_path / "file" / "cache")


@pytest.mark.parametrize("filename", ["toy-1.tar.gz", "toy-1-py3-none-any.whl"])
def test_no_network_is_told_with_pips_words(tmp_path, monkeypatch, filename):
    package = Package(name="pacer-toy", version="1", filename=filename, sha256="0" * 64, megabytes=1)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    with pytest.raises(DatasetError, match=r"(?s)No matching distribution.*pip index versions pacer-toy"):
        fetch(package, tmp_path / "cache")


def test_fetching_a_source_archive_runs_none_of_its_code(tmp_path, monkeypatch):
    source = tmp_path / "pacer-toy-1"
    source.mkdir()
    ran = tmp_path / "ran"
    (source / "setup.py").write_text(
        f"open({str(ran)!r}, 'w')\nimport setuptools\nsetuptools.setup(name='pacer-toy')\n"
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: pacer-toy\nVersion: 1\n")
    index = tmp_path / "index"
    index.mkdir()
    archive = index / "pacer-toy-1.tar.gz"
    subprocess.run(["tar", "czf", str(archive), "-C", str(tmp_path), source.name], check=True)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    package = Package(name="pacer-toy", version="1", filename=archive.name, sha256=right, megabytes=1)
    monkeypatch.chdir(tmp_path)
    for cache in (tmp_path / "cache", Path("relative")):
        assert fetch(package, cache).read_bytes() == archive.read_bytes()
    assert not ran.exists()
    wrong = Package(name="pacer-toy", version="1", filename=archive.name, sha256="0" * 64, megabytes=1)
    with pytest.raises(DatasetError, match=f"(?s){'0' * 64}.*{right}"):
        fetch(wrong, tmp_path / "other")


def child(dataset: Dataset, cache: Path) -> multiprocessing.Process:
    # Forked, so that the replaced fetch holds there too; the children run nothing of torch.
    process = multiprocessing.get_context("fork").Process(target=dataset.prepare, args=(cache,))
    process.start()
    return process


def test_two_processes_at_once_make_it_once(tmp_path, monkeypatch):
    log = tmp_path / "log"
    monkeypatch.setenv("PACER_TEST_LOG", str(log))
    cache = tmp_path / "cache"
    processes = [child(SLOW, cache) for _ in range(2)]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert log.read_text() == "converted\n"
    assert open_split(cache / "toy-v1", "train")["x"].tolist() == [0, 1, 2]
    assert is_clean(cache)


def test_a_killed_run_leaves_nothing_that_the_next_one_trusts(tmp_path):
    process = child(STUCK, tmp_path)
    while not (tmp_path / ".toy-v1.partial" / "packages" / "begun").exists():
        assert process.is_alive()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    assert (tmp_path / ".toy-v1.partial").is_dir()
    assert not (tmp_path / "toy-v1").exists()
    assert open_split(TOY.prepare(tmp_path), "train")["x"].tolist() == [0, 1, 2]
    assert is_clean(tmp_path)


def test_a_folder_without_arrays_is_told(tmp_path):
    with pytest.raises(DatasetError, match="rm -r"):
        open_split(tmp_path, "train")


def test_the_content_hash_sees_names_types_shapes_and_bytes():
    x = np.arange(4, dtype=np.int16)
    variants = [
        {"train": {"x": x}},
        {"test": {"x": x}},
        {"train": {"y": x}},
        {"train": {"x": x.astype(np.uint16)}},
        {"train": {"x": x.reshape(2, 2)}},
        {"train": {"x": x[::-1]}},
    ]
    assert len({content_hash(splits) for splits in variants}) == len(variants)


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


def test_pickles_may_hold_arrays_only():
    # As Python 2 wrote them: an array's storage is a byte string.
    old = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x02\x07\xfftb\x85."
    )
    (array,) = load_arrays(old)
    assert array.tolist() == [7, 255]
    modern = np.arange(6.0).reshape(2, 3)
    assert np.array_equal(load_arrays(pickle.dumps([modern], protocol=4))[0], modern)
    for protocol in range(2, 6):
        with pytest.raises(DatasetError, match="system"):
            load_arrays(pickle.dumps((1, Evil()), protocol=protocol))
    with pytest.raises(DatasetError, match="eval"):
        load_arrays(b"c__builtin__\neval\n(V1+1\ntR.")


@pytest.mark.parametrize("damage", ["torn", "changed", "missing", "no array"])
def test_a_damaged_cache_is_made_anew(tmp_path, damage):
    folder = TOY.prepare(tmp_path)
    assert not TOY.repair(tmp_path)
    path = folder / "train" / "x.npy"
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        broken = {"torn": data[:-3], "changed": data[:-1] + b"\7", "no array": b"no array"}
        path.write_bytes(broken[damage])
    assert TOY.repair(tmp_path)
    assert path.read_bytes() == data
    assert not TOY.repair(tmp_path)
    assert is_clean(tmp_path)


def test_a_map_of_an_open_file_names_no_file(tmp_path):
    for array in (np.arange(12, dtype=np.int16).reshape(3, 4), np.asfortranarray(np.ones((2, 5)))):
        np.save(tmp_path / "x.npy", array)
        descriptor = os.open(tmp_path / "x.npy", os.O_RDONLY)
        mapped = map_open_file(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
        np.testing.assert_array_equal(mapped, array)
        mapped[0] = 7  # stays in this process
        np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), array)
        links = [os.readlink(path) for path in map(str, Path("/proc/self/fd").iterdir()) if os.path.lexists(path)]
        assert not any("x.npy" in link for link in links)
