"""NVIDIA GPUs. The reservation by driver is the form that Docker and podman-compose both honour."""

from lcompose.vendors import Vendor

VENDOR = Vendor(
    gpu="cuda",
    title="NVIDIA (CUDA)",
    inference_image="docker.io/vllm/vllm-openai:latest",
    form="reservation",
    driver="nvidia",
)
