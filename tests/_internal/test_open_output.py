"""Output to paths, descriptors, pipes and devices."""

import os
import threading

import pytest

from ffjax._internal.atomic_write import open_output


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
def test_output_goes_to_pipes_and_devices_as_it_is(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with open_output(pipe) as file:
        file.write(b"new")
    reader.join()
    assert read == [b"new"]
    assert pipe.is_fifo()
    with open_output("/dev/null") as file:
        file.write(b"new")


def test_output_goes_to_descriptors_and_closes_them(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with open_output(descriptor) as file:
        file.write(b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="needs /dev/fd")
def test_output_to_the_name_of_a_descriptor_goes_where_it_stands(tmp_path):
    with open(tmp_path / "file", "wb", buffering=0) as file:
        file.write(b"old, ")
        with open_output(f"/dev/fd/{file.fileno()}") as out:
            out.write(b"new, ")
        file.write(b"end")
    assert (tmp_path / "file").read_bytes() == b"old, new, end"


def test_output_to_a_path_is_atomic(tmp_path):
    old = tmp_path / "file"
    old.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="stop"):
        with open_output(old) as file:
            file.write(b"new")
            raise RuntimeError("stop")
    assert old.read_bytes() == b"old"
    with open_output(old) as file:
        file.write(b"new")
    assert old.read_bytes() == b"new"
