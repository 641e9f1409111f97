"""Event files, byte by byte: the framing and checksums of TFRecord and the fields TensorBoard reads."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from CMBNetTrainingLib.tensorboard_events import EventFile, masked_crc


def records(data: bytes) -> Iterator[bytes]:
    """The events of a file; both checksums of each are checked."""
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (masked_crc(data[:8]),)
        event, data = data[12 : 12 + size], data[12 + size :]
        assert struct.unpack("<I", data[:4]) == (masked_crc(event),)
        data = data[4:]
        yield event


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Number and value of each field of a protobuf message."""
    while message:
        key, message = message[0], message[1:]
        number, kind = key >> 3, key & 7
        if kind == 0:
            value = shift = 0
            while True:
                byte, message = message[0], message[1:]
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    break
            yield number, value
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield number, struct.unpack("<d" if kind == 1 else "<f", message[:size])[0]
            message = message[size:]
        else:
            size, message = message[0], message[1:]
            assert size < 0x80
            yield number, message[:size]
            message = message[size:]


def test_the_checksum_is_crc_32c_masked() -> None:
    # RFC 3720, B.4: the CRC-32C of 32 zero bytes is 8a9136aa, that of "123456789" e3069283.
    for data, crc in ((bytes(32), 0x8A9136AA), (b"123456789", 0xE3069283)):
        assert masked_crc(data) == (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def test_scalars_are_events_with_step_and_summary(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "events")
    file.scalars(300, {"train/loss": 0.5, "train/rate": 2.0})
    first, second = records(file.path.read_bytes())
    assert dict(fields(first))[3] == b"brain.Event:2"
    event = dict(fields(second))
    assert event[2] == 300
    values = [dict(fields(value)) for number, value in fields(event[5]) if number == 1]  # type: ignore[arg-type]
    assert [(value[1], value[2]) for value in values] == [
        (b"train/loss", pytest.approx(0.5)),
        (b"train/rate", pytest.approx(2.0)),
    ]
