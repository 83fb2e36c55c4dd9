"""Backend names, without importing torch.

Settings are checked against them before torch is loaded, which takes seconds.
"""

BACKEND_NAMES = (
    "auto",
    "eager",
    "packed",
    "bfloat16",
    "cudagraph",
    "compiled",
    "onnxruntime",
    "openvino",
)
