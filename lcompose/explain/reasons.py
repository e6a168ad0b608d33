"""What decides each field of a service: settings by their words, keys of the documents, or lcompose, and why."""

from __future__ import annotations

from collections.abc import Mapping

from lcompose.load import Path

# A service's field, and the words of settings that decide it; the first that is set counts.
WORDS: Mapping[str, str] = {
    "image": "image",
    "ports": "ports",
    "pull_policy": "imagePullPolicy",
    "restart": "restart",
    "limits.cpus": "limits.cpus",
    "limits.memory": "limits.memory",
    "limits.pids": "limits.pids",
    "hardening.read_only": "read_only",
    "hardening.no_new_privileges": "no_new_privileges",
    "hardening.drop_capabilities": "drop_capabilities",
    "hardening.tmpfs": "tmpfs",
    "log_rotation": "logging.max_size",
    "log_rotation.max_size": "logging.max_size",
    "log_rotation.max_file": "logging.max_file",
    "environment.LIGHTSPEED_STACK_LOG_LEVEL": "log_level",
    "environment.OGX_LOGGING": "log_level",
    "environment.VLLM_LOGGING_LEVEL": "log_level",
}

# The same for settings that belong to no service.
OVERALL: Mapping[str, str] = {
    "ordered": "boot",
    "accelerator": "gpu",
    "accelerator.vendor": "gpu",
    "afterwards": "bytecode_cache",
    "environment.PYTHONPYCACHEPREFIX": "bytecode_cache",
}

# Values that follow from a key of the documents: the first that is there counts.
KEYS: Mapping[tuple[str, str], tuple[tuple[str, Path], ...]] = {
    ("lightspeed-stack", "ports"): (("lightspeed", ("service", "port")),),
    ("lightspeed-stack", "probe.port"): (("lightspeed", ("service", "port")),),
    ("lightspeed-stack", "probe.scheme"): (("lightspeed", ("service", "tls_config", "tls_certificate_path")),),
    ("lightspeed-stack", "probe.bearer"): (("lightspeed", ("authentication", "module")),),
    ("llama-stack", "ports"): (("run", ("server", "port")), ("lightspeed", ("ogx", "url"))),
    ("llama-stack", "probe.port"): (("run", ("server", "port")), ("lightspeed", ("ogx", "url"))),
    ("llama-stack", "probe.scheme"): (("run", ("server", "tls_certfile")),),
    ("llama-stack", "environment.OGX_PORT"): (("run", ("server", "port")), ("lightspeed", ("ogx", "url"))),
}

# What lcompose decided by itself, and why: of one service's field, else of a field, else of its section.
REASONS: Mapping[str, str] = {
    "lightspeed-stack.image": "Lightspeed Core's own image, of the version that lcompose is made for",
    "llama-stack.image": "the distribution of the Llama Stack that this Lightspeed Core goes with",
    "inference.image": "vLLM for this GPU",
    "image": "the usual image of this service",
    "lightspeed-stack.command": "it reads the document that is mounted there",
    "llama-stack.command": "how this version is started; without certificates it must be told to do without",
    "inference.command": "it serves the model of the settings, and calls tools",
    "command": "how it is started",
    "entrypoint": "the program of this version, so that the image's own wrapper changes nothing",
    "own_entrypoint": "what the image starts by itself",
    "environment.LIGHTSPEED_STACK_DISABLE_RICH_HANDLER": "plain lines: logs are collected",
    "environment.OTEL_SDK_DISABLED": "without it, or a secret for OTEL, every query ends in an error",
    "environment.OGX_PORT": "some versions ignore the port in run.yaml",
    "environment.LLAMA_STACK_PORT": "some versions ignore the port in run.yaml",
    "environment.OGX_CONFIG_DIR": "its own files lie on the volume",
    "environment.LLAMA_STACK_CONFIG_DIR": "its own files lie on the volume",
    "environment.HF_TOKEN": "passed on, for models that are not open to all",
    "environment": "the service needs it",
    "volumes": "what it writes is kept, whatever happens to the container",
    "ports": "the service's usual port, on this machine only",
    "healthcheck": "asked inside the container, with the Python that is in the image",
    "probe": "asked from outside: this is what 'up' and 'status' call ready",
    "after": "what it talks to; it is stopped before that",
    "needs": "it is started when these have come so far",
    "ordered": "all start side by side, unless 'boot' says ordered",
    "afterwards": "run once all is ready: bytecode makes the next start faster",
    "hardening.keep_capabilities": "the image's entrypoint cannot do without these",
    "accelerator": "the GPU that was asked for",
    "shm_size": "its processes share memory",
    "stop_grace": "seconds between being asked to end and being ended",
    "gauge": "the metric that tells how many requests it works on",
}
