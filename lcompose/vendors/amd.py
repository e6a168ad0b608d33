"""AMD GPUs. Device nodes need no toolkit and work on every engine.

No groups are added: the image runs as root, which may open /dev/kfd in a rootful container
without them, and group ids differ between distributions, so a described target cannot know them.
"""

from lcompose.vendors import Vendor

VENDOR = Vendor(
    gpu="rocm",
    title="AMD (ROCm)",
    inference_image="docker.io/vllm/vllm-openai-rocm:latest",
    form="devices",
    devices=("/dev/kfd", "/dev/dri"),
    security_opt=("seccomp=unconfined",),
    cap_add=("SYS_PTRACE",),
)
