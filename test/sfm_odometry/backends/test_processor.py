"""Description of the processor for benchmarks."""

import torch

from sfm_odometry.backends import processor


def test_the_instructions_that_matter_are_named(monkeypatch):
    values = {"model name": "Some Processor", "flags": "sse2 avx2 avx512f amx_bf16"}
    monkeypatch.setattr(processor, "_cpuinfo", lambda key: values.get(key, ""))
    assert processor.cpu_flags() == {"sse2", "avx2", "avx512f", "amx_bf16"}
    description = processor.describe_device(torch.device("cpu"))
    assert description.startswith("Some Processor (")
    assert description.endswith("cores, AVX2, AVX-512, AMX bf16)")


def test_missing_bfloat16_is_named(monkeypatch):
    monkeypatch.setattr(processor, "_cpuinfo", lambda key: "avx2" if key == "flags" else "")
    assert processor.describe_device(torch.device("cpu")).endswith("cores, AVX2, no bf16)")
