"""What decides each field of a service: settings by their words, keys of the documents, or lcompose, and why."""

from __future__ import annotations

from collections.abc import Mapping

from lcompose.lightspeed.derive import LIGHTSPEED_FILE, RUN_FILE
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
    "environment.OLLAMA_DEBUG": "log_level",
    "environment.LLAMA_LOG_VERBOSITY": "log_level",
}

SERVER_PORT: tuple[tuple[str, Path], ...] = (
    (RUN_FILE, ("server", "port")),
    (LIGHTSPEED_FILE, ("ogx", "url")),
)

# The same for settings that belong to no service, by the field or its section.
OVERALL: Mapping[str, str] = {
    "ordered": "boot",
    "accelerator": "gpu",
    "accelerator.ids": "gpu_ids",
    "afterwards": "bytecode_cache",
    "environment.PYTHONPYCACHEPREFIX": "bytecode_cache",
}

# Services that such a setting also speaks of where the field is empty.
FOR_SERVICES: Mapping[str, tuple[str, ...]] = {
    "lightspeed-stack": ("ordered", "afterwards"),
    "llama-stack": ("afterwards",),
    "inference": ("accelerator",),
}

# Values that follow from a key of the documents: the first that is there counts.
KEYS: Mapping[tuple[str, str], tuple[tuple[str, Path], ...]] = {
    ("lightspeed-stack", "ports"): ((LIGHTSPEED_FILE, ("service", "port")),),
    ("lightspeed-stack", "probe.port"): ((LIGHTSPEED_FILE, ("service", "port")),),
    ("lightspeed-stack", "probe.scheme"): ((LIGHTSPEED_FILE, ("service", "tls_config", "tls_certificate_path")),),
    ("lightspeed-stack", "probe.bearer"): ((LIGHTSPEED_FILE, ("authentication", "module")),),
    ("llama-stack", "ports"): SERVER_PORT,
    ("llama-stack", "probe.port"): SERVER_PORT,
    ("llama-stack", "probe.scheme"): ((RUN_FILE, ("server", "tls_certfile")),),
    ("llama-stack", "environment.OGX_PORT"): SERVER_PORT,
    ("llama-stack", "environment.LLAMA_STACK_PORT"): SERVER_PORT,
}

# What lcompose decided by itself, and why: of one service's field, else of a field, else of its section.
REASONS: Mapping[str, str] = {
    "lightspeed-stack.image": "Lightspeed Core's own image, of the version that lcompose is made for",
    "llama-stack.image": "the distribution of the Llama Stack that this Lightspeed Core goes with",
    "inference.image": "the image that this inference server has for this GPU",
    "lightspeed-stack.command": "it reads the document that is mounted there",
    "llama-stack.command": "how this version is started; without certificates it must be told to do without",
    "inference.command": "it serves the model of the settings, and calls tools",
    "entrypoint": "the program of this version, so that the image's own wrapper changes nothing",
    "entrypoint.bytecode": "its own program, told to use the bytecode on the volume once this has been made",
    "own_entrypoint": "what the image starts by itself",
    "environment.LIGHTSPEED_STACK_DISABLE_RICH_HANDLER": "plain lines: logs are collected",
    "environment.OTEL_SDK_DISABLED": "without it, or a secret for OTEL, every query ends in an error",
    "environment.OGX_PORT": "some versions ignore the port in run.yaml",
    "environment.LLAMA_STACK_PORT": "some versions ignore the port in run.yaml",
    "environment.OGX_CONFIG_DIR": "its own files lie on the volume",
    "environment.LLAMA_STACK_CONFIG_DIR": "its own files lie on the volume",
    "environment.HF_TOKEN": "passed on, for models that are not open to all",
    "environment.PYTHONPYCACHEPREFIX": "bytecode is kept on the volume: the next start is faster",
    "environment.NVIDIA_VISIBLE_DEVICES": "which GPUs this image may see: those that it is given, and no others",
    "inference.environment": "this GPU's image wants it",
    "volumes": "what it writes is kept, whatever happens to the container",
    "ports": "the service's usual port, on this machine only",
    "healthcheck.interval": "seconds between two checks",
    "healthcheck.timeout": "seconds that a check may take",
    "healthcheck.retries": "so many checks in a row must fail",
    "healthcheck.start_period": "seconds in which a check that fails does not count: it is starting",
    "healthcheck.start_interval": "seconds between two checks while it starts, on engines that have this",
    "healthcheck": "asked inside the container, with the Python that is in the image",
    "probe.scheme": "no certificate is named for it",
    "probe.field": "the field of its answer that says how it is",
    "probe.expected": "what must stand there; degraded is not ready",
    "probe": "asked from outside: this is what 'up' and 'status' call ready",
    "after": "what it talks to; it is stopped before that",
    "needs": "it is started when these have come so far",
    "ordered": "all start side by side, unless 'boot' says ordered",
    "afterwards": "run once all is ready: bytecode makes the next start faster",
    "hardening.keep_capabilities": "the image's entrypoint cannot do without these",
    "accelerator": "the GPU that was asked for",
    "hardening.tmpfs": "it writes there, and the root may be read-only",
    "pull_policy": "images are fetched when they are not here",
    "restart": "a failure is told and not hidden by another start",
    "user": "the number of the image's user, who must own what it writes; a rootless engine needs to know",
    "shm_size": "its processes share memory",
    "stop_grace": "seconds between being asked to end and being ended",
    "gauge": "the metric that tells how many requests it works on",
    "extra_hosts": "by this name it finds the services that are processes of this machine",
    "port": "where it listens, published or not",
    "log_rotation": "so much of its log is kept",
}

# Volumes by name, where a place that a document names is not the reason.
VOLUMES: Mapping[str, str] = {
    "models": "models that Llama Stack fetches are kept, and fetched once",
    "lightspeed-stack-models": "the model that ranks answers is kept, and fetched once",
    "inference-models": "models are kept, and fetched once",
    "inference-compiled": "what vLLM compiles for this model is kept: the next start is faster",
}

# Why a field is empty, where that is not just that nothing sets it.
NOT_THERE: Mapping[str, str] = {
    "ports": "other services reach it without a port on this machine",
    "hardening.keep_capabilities": "its image does without all of them, or keeps what an engine gives by itself",
    "own_entrypoint": "its entrypoint is told, so that of the image does not matter",
    "entrypoint": "what the image starts by itself",
    "probe": "its health check says whether it is ready",
    "after": "it talks to no other service when it ends",
    "needs": "it waits for no other service",
    "ordered": "only Lightspeed Core waits for another one, if 'boot' says ordered",
    "afterwards": "there is no bytecode to keep",
    "accelerator": "only an inference service is given a GPU",
    "log_rotation": "the engine's own rule holds",
    "user": "whoever runs it may write its volume",
    "gauge": "it has no metric that tells whether it is at work",
    "port": "its probe and what is published say where it listens",
    "extra_hosts": "it calls no service that is a process, or its engine has a name for this machine by itself",
    "probe.status": "any answer that is no error",
    "probe.field": "the answer alone counts",
    "probe.expected": "the answer alone counts",
    "probe.bearer": "it answers without a token",
    "probe.scheme": "no certificate is named for it",
}

# A field of a companion, and the key of its data file that it is.
COMPANION_KEYS: Mapping[str, Path] = {
    "image": ("image",),
    "entrypoint": ("entrypoint",),
    "command": ("command",),
    "port": ("port",),
    "probe.port": ("port",),
    "probe.path": ("probe",),
    "probe.scheme": ("probe",),
    "gauge": ("gauge",),
    "user": ("user",),
    "shm_size": ("shm_size",),
    "stop_grace": ("stop_grace",),
    "hardening.tmpfs": ("tmpfs",),
    "hardening.keep_capabilities": ("keep_capabilities",),
    **{f"limits.{name}": ("limits", name) for name in ("cpus", "memory", "pids")},
    "healthcheck.command": ("healthcheck", "test"),
    **{
        f"healthcheck.{name}": ("healthcheck", name)
        for name in ("interval", "timeout", "retries", "start_period", "start_interval")
    },
}

# Why a companion's data file, or what is made of it, says so.
COMPANION_REASONS: Mapping[str, str] = {
    "image": "the image that this companion is tried with",
    "entrypoint": "the program of this image",
    "command": "how this image is started for what the configuration names",
    "environment": "this image wants it",
    "probe": "asked from outside: this is what 'up' and 'status' call ready",
    "gauge": "the metric that tells how many requests it works on",
    "port": "where it listens, published or not",
    "user": "the number of the image's user, who must own what it writes; a rootless engine needs to know",
    "shm_size": "its processes share memory",
    "stop_grace": "seconds that it has to end without losing anything",
    "hardening": "it writes there, or its entrypoint cannot do without",
    "limits": "enough for usual work, and this machine stays usable",
    "healthcheck": "what must answer before anybody who needs it is started",
    "healthcheck.start_period": "seconds in which a check that fails does not count: it is starting",
    "script": "it starts the image's own program, and makes what the configuration names, at each start",
    "unsaid": "what lcompose gives every health check that says nothing else",
    "LCOMPOSE_DATABASES": "an entry for each database: the variables that hold its name, user and password",
    "LCOMPOSE_MODELS": "the models that the configuration names for this provider",
}

# The variable in which a document travels where the root is read-only.
DOCUMENT_VARIABLE = "LCOMPOSE_DOCUMENT"

# Words of the compose file that are written for what is decided elsewhere.
IN_FILE: Mapping[str, str] = {
    "document": "its root is read-only, where no document can be put: it travels in this variable",
    "entrypoint": "its root is read-only: what it reads is first written to /tmp, which is in memory",
    "command": "its root is read-only: it is started as usual, and reads what was written to /tmp",
    "tmpfs": "its root is read-only, and it needs a place for what is only for now",
    "cap_drop": "rights that it can do without",
    "cap_add": "rights that its image, or its GPU, cannot do without",
    "security_opt": "no program in it may gain rights; or what its GPU needs",
    "logging.driver": "the log is kept in files that this driver rotates",
    "accelerator": "how this GPU is given to a container",
    "parallel": "all start side by side, since it waits by itself; it is stopped before that one",
    "ordered": "'boot: ordered': it is started when that one is ready",
    "labels.lcompose.config-digest": "a digest of all that it reads: when this changes, it is made anew",
    "labels.lcompose.variables-digest": "a digest of its variables: when this changes, it is made anew",
    "labels.lcompose.after": "for 'down': it is stopped before these",
    "labels.lcompose.probe": "for 'up' and 'status': how it is asked whether it is ready",
    "extra_hosts": "by this name it finds the services that are processes of this machine",
    "port": "where it listens, published or not",
    "ports": "opened on this machine alone: a service that is a process calls it there",
    "followed": "for what you say in compose: lcompose keeps this order when it stops them",
    "volumes": "kept for",
    "configs": "your file with the changes that 'lcompose explain' shows, for",
    "x-podman": "a pod of its own would be left behind",
    "beside": "lcompose needs it",
}

# Words of the process file that are written for what is decided elsewhere.
IN_PROCESSES: Mapping[str, str] = {
    "llama-stack.command": "uv starts this version, with the packages that its providers need",
    "checkout": "uv starts what is in the checkout, in the environment that this describes",
    "program": "the program of this machine that does what the image does; it must be installed",
    "directory": "your folder: what you say of paths starts there",
    "environment": "what its image sets, or the GPUs that it is to see",
    "inherit": "passed on by name, so that no file holds the value: your documents name it, or the program reads it",
    "defaults": "holds where the variable is not set",
    "ports": "it must listen somewhere: on this machine only, at its own port",
    "after": "it is started when these are, and stopped before them",
    "beside": "the engine that has the other services as containers",
    "called": "containers call it: it can be reached where they find this machine",
    "labels": "for 'status': how it is run",
    "digest": "a digest of all that it is and reads: when this changes, it is made anew",
}

# What is true of containers, said of a process.
OF_PROCESSES: Mapping[str, str] = {
    "healthcheck.command": "run on this machine, with the Python that runs lcompose",
    "log_rotation": "four files of 50 MB are kept",
    "publish": "a process listens on this machine in any case: on 127.0.0.1 alone",
}

# Words of which more is known when the engine's compose has read the file.
READ_LATER: Mapping[str, str] = {
    "env_file": "what is in this file is known when the engine's compose has read it",
    "label_file": "what is in this file is known when the engine's compose has read it",
    "build": "the image is built by the engine's compose",
    "external": "what it is, the engine knows",
}
