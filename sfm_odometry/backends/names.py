"""What the backends are called: apart from them, so that settings can be checked before torch is
loaded, which takes seconds."""

BACKEND_NAMES = (
    "auto",
    "eager",
    "packed",
    "bfloat16",
    "int8",
    "cudagraph",
    "compiled",
    "onnxruntime",
    "openvino",
)
