"""Writing whole files or none."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap

import pytest

from ffjax._internal.atomic_write import atomic_write, open_output

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.fixture
def old(tmp_path):
    """A file that is there before."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


def test_a_new_file_appears_whole(tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_an_old_file_is_replaced_whole(old):
    with open(old, "rb") as reader:
        with atomic_write(old) as file:
            file.write(b"new, and longer")
            assert old.read_bytes() == b"old"
        assert reader.read() == b"old"  # who has it open, or mapped, keeps it
    assert old.read_bytes() == b"new, and longer"
    assert names(old.parent) == ["file"]


def test_what_is_written_can_be_read_back_and_changed(tmp_path):
    with atomic_write(tmp_path / "file") as file:
        file.write(b"abcdef")
        file.seek(2)
        assert file.read(2) == b"cd"
        file.seek(0)
        file.write(b"A")
    assert (tmp_path / "file").read_bytes() == b"Abcdef"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_leaves_the_old_file_and_no_litter(old, error):
    with pytest.raises(error, match="stop"):
        with atomic_write(old) as file:
            file.write(b"n" * 3_000_000)
            raise error("stop")
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_an_exception_leaves_no_new_file(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        with atomic_write(tmp_path / "file") as file:
            file.write(b"new")
            raise RuntimeError("stop")
    assert names(tmp_path) == []


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt("stop")]
)
def test_a_failure_of_any_last_step_leaves_the_old_file(old, monkeypatch, step, error):
    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(type(error), match="No space|stop"):
            with atomic_write(old) as file:
                file.write(b"new")
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


def test_a_full_disk_is_an_error_about_the_file(old):
    with pytest.raises(OSError, match="No space left on device") as caught:
        with atomic_write(old):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(old)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs `/dev/full`, which Linux has")
def test_a_full_device_is_an_error_about_the_device():
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        with open_output("/dev/full") as file:
            file.write(b"new")


def test_a_folder_that_cannot_be_synced_does_no_harm(old, monkeypatch):
    sync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    with atomic_write(old) as file:
        file.write(b"new")
    assert old.read_bytes() == b"new"


def test_the_file_is_synced_before_it_gets_its_name(old, monkeypatch):
    events = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (events.append(("sync", old.read_bytes())), sync(fd))
    )
    monkeypatch.setattr(
        os, "replace", lambda a, b: (events.append(("name", old.read_bytes())), replace(a, b))
    )
    with atomic_write(old) as file:
        file.write(b"new")
    kinds = [kind for kind, _ in events]
    assert kinds[0] == "sync" and kinds[-2:] == ["name", "sync"] and kinds.count("name") == 1
    assert [content for _, content in events] == [b"old"] * (len(events) - 1) + [b"new"]


@posix
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o007])
def test_a_new_file_gets_the_permissions_that_open_gives(tmp_path, mask):
    before = os.umask(mask)
    try:
        with atomic_write(tmp_path / "ours") as file:
            file.write(b"new")
        with open(tmp_path / "plain", "wb") as file:
            file.write(b"new")
    finally:
        os.umask(before)
    ours, plain = (stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("ours", "plain"))
    assert ours == plain == 0o666 & ~mask


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o666])
def test_a_replaced_file_keeps_its_permissions(old, mode):
    os.chmod(old, mode)
    with atomic_write(old) as file:
        file.write(b"new")
    assert old.read_bytes() == b"new"
    assert stat.S_IMODE(os.stat(old).st_mode) == mode


@posix
def test_a_read_only_file_is_not_replaced(old, monkeypatch):
    os.chmod(old, 0o444)
    monkeypatch.setattr(
        os, "access", lambda path, mode: False
    )  # whoever runs the tests may write everything
    with pytest.raises(
        PermissionError, match="expected a file that may be written, got a read-only one: '.*file'"
    ):
        with atomic_write(old):
            pass
    assert old.read_bytes() == b"old"


@posix
def test_links_are_written_through(old, tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "link").symlink_to("../second")
    (tmp_path / "second").symlink_to(old)
    (folder / "dangling").symlink_to(tmp_path / "new")
    for link in ("link", "dangling"):
        with atomic_write(folder / link) as file:
            file.write(b"new")
        assert (folder / link).is_symlink()
        assert (folder / link).read_bytes() == b"new"
    assert old.read_bytes() == (tmp_path / "new").read_bytes() == b"new"
    assert names(folder) == ["dangling", "link"]
    assert names(tmp_path) == ["file", "links", "new", "second"]


def test_folders_are_refused(tmp_path):
    with pytest.raises(
        IsADirectoryError, match="expected the path of a file to write, got a folder: '"
    ):
        with atomic_write(tmp_path):
            pass
    with pytest.raises(
        FileNotFoundError, match="in an existing folder .create it first., got: '.*nowhere.*file'"
    ):
        with atomic_write(tmp_path / "nowhere" / "file"):
            pass
    assert names(tmp_path) == []


@posix
def test_errors_of_the_system_about_a_path_keep_their_kind(old):
    with pytest.raises(NotADirectoryError, match="Not a directory"):
        with atomic_write(old / "file"):
            pass
    loop = old.parent / "loop"
    loop.symlink_to(loop)
    with pytest.raises(OSError, match="symbolic links"):
        with atomic_write(loop):
            pass
    assert loop.is_symlink()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs permissions")
def test_a_folder_that_may_not_be_entered_is_a_permission_error(old):
    old.parent.chmod(0)
    try:
        with pytest.raises(PermissionError, match="Permission denied"):
            with atomic_write(old):
                pass
    finally:
        old.parent.chmod(0o700)


@posix
def test_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(
            ValueError,
            match="`path`: expected a regular file or a new name, got the special file '/",
        ):
            with atomic_write(path):
                pass


def test_paths_of_every_kind_and_length(tmp_path):
    name = "ü" * 127  # 254 bytes, one less than file systems allow
    for path in (tmp_path / name, str(tmp_path / name), os.fsencode(tmp_path / name)):
        with atomic_write(path) as file:
            file.write(b"new")
        assert names(tmp_path) == [name]


def test_a_relative_path_is_one_of_the_folder_where_writing_began(tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    with atomic_write("file") as file:
        file.write(b"new")
        os.chdir("other")
    assert names(tmp_path) == ["file", "other"]


def test_a_file_that_appears_meanwhile_is_replaced(tmp_path):
    with atomic_write(tmp_path / "file") as file:
        file.write(b"new")
        (tmp_path / "file").write_bytes(b"meanwhile")
    assert (tmp_path / "file").read_bytes() == b"new"
    assert names(tmp_path) == ["file"]


def test_the_last_of_two_writers_wins(old):
    with atomic_write(old) as first:
        with atomic_write(old) as second:
            first.write(b"first")
            second.write(b"second")
        assert old.read_bytes() == b"second"
    assert old.read_bytes() == b"first"
    assert names(old.parent) == ["file"]


# Other processes

WRITE = """
    import os, sys
    sys.path[:0] = {path!r}
    from ffjax._internal.atomic_write import atomic_write
    {setup}
    with atomic_write({file!r}) as file:
        for i in range(100):
            file.write(b"n" * 100_000)
        file.flush()
        {before_end}
"""


def write_elsewhere(path, *, setup: str = "", before_end: str = "") -> subprocess.Popen:
    code = textwrap.dedent(WRITE).format(
        path=[str(p) for p in sys.path], setup=setup, before_end=before_end, file=str(path)
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@posix
def test_a_full_disk_leaves_the_old_file(old):
    # A limit on the size of files stands for a disk that fills up in the middle.
    setup = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))"
    process = write_elsewhere(old, setup=setup)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "OSError: [Errno 27] File too large" in errors
    assert old.read_bytes() == b"old"
    assert names(old.parent) == ["file"]


@posix
def test_a_killed_process_leaves_the_old_file(old):
    process = write_elsewhere(old, before_end="print('written', flush=True); input()")
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=120)
    assert old.read_bytes() == b"old"
    litter = [name for name in names(old.parent) if name != "file"]
    assert len(litter) <= 1 and all(name.endswith(".ffjax-tmp") for name in litter)
