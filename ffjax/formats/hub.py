"""Files on Hugging Face's hub, out of its local cache: `hf://ORG/NAME[@REVISION][/FILE]`.

    models--ORG--NAME/
      refs/REVISION           the commit of a branch or tag
      snapshots/COMMIT/...    the files

The cache is `$HF_HUB_CACHE`, or `$HF_HOME/hub`, or `~/.cache/huggingface/hub`. A `FILE` that it has
is read without asking the network. Without `FILE` the hub is asked, since the cache may lack some
files. The rest is downloaded by `huggingface_hub`, unless `HF_HUB_OFFLINE` is set.
See https://huggingface.co/docs/huggingface_hub/guides/manage-cache.
"""

import errno
import os
import re
from importlib.util import find_spec
from typing import Any

from ffjax._internal.extras import needs_extra
from ffjax.errors import FormatError
from ffjax.formats.io.archives import default_member, listed
from ffjax.formats.io.folders import names_in
from ffjax.formats.io.streams import IsFolder
from ffjax.formats.registry import is_folder

_ADDRESS = re.compile(
    r"hf:/{1,2}(?P<name>[\w.-]+/[\w.-]+)(@(?P<revision>refs/\w+/[^/]+|[^/]+))?(/(?P<file>.+))?"
)
# The same models for other programs, which nothing here reads.
_IGNORED = ["onnx/*", "openvino/*", "*.onnx", "*.h5", "*.ot", "flax_model.msgpack"]


def local_path(file: Any, is_folder: IsFolder = is_folder) -> Any:
    """The path of a file or folder on the hub in its local cache; any other file as it is.

    Args:
        file: `hf://ORG/NAME[@REVISION][/FILE]`, where `REVISION` may be `refs/pr/NUMBER`. Without
            `FILE`, the member that would be read from an archive of these files, or the folder
            itself if its files belong together.
        is_folder: whether files of these names belong together.

    Raises:
        FileNotFoundError: if the hub does not have it, or the cache where `HF_HUB_OFFLINE` is set.
        FormatError: if there are several files, and none is named.
        ImportError: if the cache does not have it, and the extra `hub` is not installed.
        OSError: if it cannot be downloaded.
        ValueError: if the address has another form.
    """
    if not isinstance(file, str | os.PathLike) or not re.match("hf:/", os.fsdecode(file)):
        return file
    address = os.fsdecode(file)
    match = _ADDRESS.fullmatch(address)
    if match is None or ".." in address.split("/"):
        raise ValueError(f"`path`: expected hf://ORG/NAME[@REVISION][/FILE], got {address!r}.")
    name, revision, member = match["name"], match["revision"] or "main", match["file"]
    snapshot = _cached(name, revision)
    path = os.path.normpath(os.path.join(snapshot, member or ".")) if snapshot else ""
    # Whether a folder has all files only the hub knows, which is asked if its library is installed.
    is_complete = os.path.exists(path) and bool(member or not find_spec("huggingface_hub"))
    if not _is_offline() and not is_complete:
        snapshot = _download(name, revision, member)
        path = os.path.normpath(os.path.join(snapshot, member or "."))
    if not os.path.exists(path):
        expected = "a file on the hub"
        if _is_offline():
            expected = "a file in the local cache of the hub, since HF_HUB_OFFLINE is set"
        if snapshot is not None:
            expected += f" (it has {listed(names_in(snapshot)) or 'none'})"
        raise FileNotFoundError(errno.ENOENT, f"expected {expected}, got", address)
    if not os.path.isdir(path) or is_folder(names := names_in(path)):
        return path
    chosen = default_member(names)
    if chosen is None:
        hint = f"Name one, as in `{address.rstrip('/')}/FILE`; `member=` names files in archives."
        if _is_offline():
            hint += " HF_HUB_OFFLINE is set: the local cache may not have all files."
        got = listed(names) or "none"
        raise FormatError(address, expected="one file of vectors", got=got, hint=hint)
    return os.path.join(path, chosen)


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def _cached(name: str, revision: str) -> str | None:
    """The folder of a revision, if the cache has it."""
    home = os.environ.get("HF_HOME", os.path.join("~", ".cache", "huggingface"))
    cache = os.path.expanduser(os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub"))
    folder = os.path.join(cache, "models--" + name.replace("/", "--"))
    try:
        with open(os.path.join(folder, "refs", revision), encoding="ascii") as file:
            revision = file.read().strip()
    except FileNotFoundError:
        pass  # it may be a commit
    snapshot = os.path.join(folder, "snapshots", revision)
    return snapshot if os.path.isdir(snapshot) else None


def _download(name: str, revision: str, file: str | None) -> str:
    """Downloads the files of a revision, or one with those that belong to it; the folder."""
    with needs_extra("hub", f"{name} is not in the local cache of the hub; downloading it"):
        from huggingface_hub import snapshot_download
    # gensim saves the arrays of `x.kv` as `x.kv.vectors.npy`.
    patterns: dict[str, Any] = {"ignore_patterns": _IGNORED}
    if file is not None:
        patterns = {"allow_patterns": [file, f"{file}.*", f"{file}/*"]}
    try:
        return snapshot_download(name, revision=revision, **patterns)
    except MemoryError:
        raise
    except Exception as error:  # those of the network are of many kinds
        reason = (str(error).splitlines() or [""])[0].removeprefix("Got: ").rstrip(".")
        raise OSError(
            f"hf://{name}: expected to download files, got {type(error).__name__} ({reason}). "
            "Check the name and the connection."
        ) from error
