"""The child process: one llama.cpp server behind a unix socket. Run as ``python -m kodo.server.engines.llama.process.child``.

Knows nothing of kodo: it imports xllamacpp and the standard library, reads one line of JSON from stdin, says on stdout
in one line of JSON whether the model is loaded, and lives until its stdin ends, that is, until its parent lets go of it
or dies. Bad input can bring the C++ inside down; that is why it is a process, and why nothing else lives in it.

The line on stdin: ``model`` (path), ``socket`` (path in a private folder), ``key``, ``threads``, ``decode_threads``, ``parallel``,
``batch``, ``context`` (tokens a slot), ``kv_cache_dir`` (folder for saved slots, ends in ``/``; or null), ``embedding`` (bool),
``projector`` (path of the GGUF that turns images into tokens, or null).
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

GGUF_MAGIC = b"GGUF"
STACK_BYTES = 512 * 2**20
"""Stack of the engine's threads: address space, of which only what is used becomes memory. For many tokenizers it splits
text with std::regex, which takes a stack frame of some 400 bytes for each character of a run: 30,000 digits overflow the
usual 8 MiB, and that ends the process with every answer in it."""


def _redirect_output() -> int:
    """Send stdout and stderr of this process, C++ included, to the null device; returns a descriptor of the real stdout."""
    real_stdout = os.dup(1)
    null_device = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_device, 1)
    os.dup2(null_device, 2)
    return real_stdout


def _raise_stack_size() -> None:
    """Give threads that are started from here on STACK_BYTES each; nothing where the C library has no such call."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_setattr_default_np"):  # glibc's own; elsewhere the usual stacks stay
        return
    attributes = ctypes.create_string_buffer(
        128
    )  # at least sizeof(pthread_attr_t), 56 on x86-64, 64 on AArch64
    libc.pthread_attr_init(attributes)
    libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK_BYTES))
    libc.pthread_setattr_default_np(attributes)


def _load(config: dict[str, Any]) -> Any:
    """Load the model and listen. The engine's own message of a failed load says nothing, so look first.

    Raises:
        RuntimeError, OSError: with a reason that holds no path.
    """
    model = Path(config["model"])
    with model.open("rb") as file:
        if file.read(4) != GGUF_MAGIC:
            raise RuntimeError(f"{model.name} is not a GGUF file")
    import xllamacpp  # type: ignore[import-untyped]  # no stubs; late: the checks above need no engine

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.hostnames = [config["socket"]]
    params.api_keys = [config["key"]]
    params.cpuparams.n_threads = config["decode_threads"]
    params.cpuparams_batch.n_threads = config["threads"]
    params.n_parallel = config["parallel"]
    params.n_ctx = config["context"] * config["parallel"]
    params.kv_unified = False
    params.n_batch = config["batch"]
    params.n_ubatch = config["batch"]
    params.fit_params = False  # kodo has measured the machine; to measure it again takes 0.1 s
    params.warmup = False
    params.verbosity = 0
    params.ctx_shift = False
    params.cache_ram_mib = 0
    params.slot_prompt_similarity = 0.0
    if config.get("kv_cache_dir"):
        params.slot_save_path = config["kv_cache_dir"]
    if config.get("projector"):
        params.mmproj.path = config["projector"]
    if config.get("embedding"):
        params.embedding = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:  # its own words are always "Failed to init server"
        raise RuntimeError(
            f"{model.name} is damaged, too large for this machine, or of an unknown kind"
        ) from error


def main() -> None:
    """Load, report, and wait for the end of stdin."""
    os.umask(0o077)  # saved state is its owner's alone
    real_stdout = _redirect_output()
    _raise_stack_size()
    config = json.loads(sys.stdin.buffer.readline())
    try:
        server = _load(config)
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        report: dict[str, Any] = {"error": f"the model could not be loaded: {reason}"}
    else:
        report = {"ready": True}
    os.write(real_stdout, json.dumps(report).encode() + b"\n")
    if "error" in report:
        raise SystemExit(1)
    while sys.stdin.buffer.read(4096):
        pass
    del server
    os._exit(0)  # the C++ threads may be in the middle of a batch; nothing here needs to be finished


if __name__ == "__main__":
    main()
