"""Where the strings of a list stand, found without a loop over them.

A loop in Python over every word would take most of the time of opening a file. The length of an ordinary string is a
byte that is not zero before three zero bytes, so all places that look like this are collected at once. A place counts
only if the string before it ends there, counted from the start of the list, which makes the result exact. Where the
chain does not go on at such a place (a string is empty or longer than 255 bytes, or contains zero bytes) single strings
are stepped over until it does.
"""

import struct
from typing import Any

import numpy as np
from jaxtyping import Integer, UInt8

from ffjax.formats.io.binary import Cursor

_BLOCK = 1 << 18
_U32 = struct.Struct("<I")


def find_starts(
    cursor: Cursor, body: UInt8[np.ndarray, " size"], count: int, tail: int, what: str
) -> Integer[np.ndarray, " n_plus_1"]:
    """Where each string's length field stands in `body`, and where the list ends.

    Args:
        cursor: where the list begins in the file, for errors.
        body: the bytes from there to the end of the chunk.
        count: how many strings there are; the caller has checked that as many lengths fit.
        tail: bytes of the row behind each string, 0 or 8.
        what: what errors call a string.

    Raises:
        FinalfusionFormatError: a string reaches beyond the end, or there are two empty ones.
    """
    index = np.int32 if body.size < 2**31 - 1024 else np.int64  # room for the end of the last string
    places = _candidates(body, tail, index)
    follows = places + (4 + tail)
    follows += body[places]
    breaks = np.flatnonzero(follows[:-1] != places[1:])
    starts = np.empty(count + 1, index)
    done = position = 0
    patience = 1
    empty_seen = False
    while done < count:
        at = int(np.searchsorted(places, position))
        if at < places.size and places[at] == position:
            to = int(np.searchsorted(breaks, at))
            last = int(breaks[to]) if to < breaks.size else places.size - 1
            run = min(last - at + 1, count - done)
            starts[done : done + run] = places[at : at + run]
            done += run
            position = int(follows[at + run - 1])
            if position > body.size:
                _refuse_cut(cursor, body, done - 1, int(places[at + run - 1]), tail, what)
            patience = 1 if run > 32 else patience
        # Where many strings are out of the ordinary, looking for the chain costs more than stepping on.
        for _ in range(min(patience, count - done)):
            if body.size - position < 4:
                at_file = cursor.position + position
                raise cursor.error(f"length of {what} {done}", "4 bytes", f"{body.size - position}", offset=at_file)
            (length,) = _U32.unpack_from(body, position)
            if length > body.size - position - 4 - tail:
                _refuse_cut(cursor, body, done, position, tail, what)
            if length == 0:
                if empty_seen:
                    # Found here, since a file of zeros is a list of nothing but empty strings.
                    at_file = cursor.position + position + 4
                    raise cursor.error(f"{what} {done}", f"each {what} once", "a second empty one", offset=at_file)
                empty_seen = True
            starts[done] = position
            position += 4 + length + tail
            done += 1
        patience = min(2 * patience, 1 << 12)
    starts[count] = position
    return starts


def _candidates(body: np.ndarray, tail: int, index: Any) -> np.ndarray:
    """All places where a byte that is not zero stands before three zeros, and behind the zeros that end a row."""
    before = 4 if tail else 0  # a row has its four high bytes zero
    found = []
    for first in range(before, max(body.size - 3, before), _BLOCK):
        stop = min(first + _BLOCK, body.size - 3)
        zero = body[first - before : stop + 3] == 0
        size = stop - first
        fits = ~zero[before : before + size]
        for step in (-4, -3, -2, -1, 1, 2, 3) if tail else (1, 2, 3):
            fits &= zero[before + step : before + step + size]
        found.append(np.flatnonzero(fits).astype(index) + index(first))
    return np.concatenate(found) if found else np.zeros(0, index)


def _refuse_cut(cursor: Cursor, body: np.ndarray, number: int, position: int, tail: int, what: str) -> None:
    (length,) = _U32.unpack_from(body, position)
    most = body.size - position - 4 - tail
    raise cursor.error(
        f"length of {what} {number}",
        f"at most {most} bytes, as many as remain in the chunk" if most >= 0 else f"a row of {tail} bytes behind it",
        f"{length} bytes",
        offset=cursor.position + position,
    )
