"""The inference service: each server on each vendor's GPUs, its model, and the provider that asks it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lcompose.errors import UsageError
from lcompose.lightspeed.companion_files import Serving, companion, named, servers, vendors_of
from lcompose.lightspeed.companions import asking
from lcompose.lightspeed.derive import applied
from lcompose.lightspeed.inference import Inference, inference
from lcompose.load import plain
from lcompose.merge import Layer
from lcompose.settings import resolve_settings
from lcompose.spec.machine import Gpu, Machine, Partition
from lcompose.spec.project import AcceleratorRequest, Dependency, Limits, Port, Probe, Service, VolumeMount
from lcompose.spec.text import Address, EnvRef
from lcompose.workspace import Options, open_workspace
from tests.unit.given import LIGHTSPEED, RUN, config, resolved

EVERY = [(server, vendor) for server in servers() for vendor in vendors_of(server)]
MODEL = "Qwen/Qwen3-4B"
GIB = 1 << 30


def asked(
    settings: Mapping[str, Any],
    run: str = RUN,
    lightspeed: str = LIGHTSPEED,
    *,
    theirs: frozenset[str] = frozenset(),
    machine: Machine | None = None,
) -> Inference:
    """What becomes of some settings."""
    chosen = resolve_settings([Layer("own", settings)])
    return inference(asking(config(lightspeed, run), theirs, server=True), chosen, machine)


def service(settings: Mapping[str, Any], **more: Any) -> Service:
    """The one service of it."""
    [found] = asked(settings, **more).beside.services
    return found


def told(settings: Mapping[str, Any], **more: Any) -> list[str]:
    """What it warns of."""
    return [one.what for one in asked(settings, **more).beside.findings]


def wired(run: str, settings: Mapping[str, Any]) -> Any:
    """The providers of run.yaml as Llama Stack reads it."""
    tree = plain(config(LIGHTSPEED, run).run)
    return applied(tree, "run.yaml", list(asked(settings, run).beside.run_edits))[0]["providers"]["inference"]


def providers(*items: str) -> str:
    """A run.yaml with inference providers in YAML's flow style."""
    return f"version: 2\ndistro_name: any\nproviders: {{inference: [{', '.join(items)}]}}\n"


def machine(*free: int, vendor: str = "cuda", memory: int = 64) -> Machine:
    """A machine whose GPUs have so many GiB free."""
    gpus = (Gpu(vendor, index=n, memory=one * GIB, free=one * GIB) for n, one in enumerate(free))
    return Machine(tuple(gpus), memory=memory * GIB)


# --- each server on each vendor's GPUs ---

IMAGES = {
    ("vllm", "none"): "docker.io/vllm/vllm-openai-cpu:v0.21.0",
    ("vllm", "cuda"): "docker.io/vllm/vllm-openai:latest",
    ("vllm", "rocm"): "docker.io/vllm/vllm-openai-rocm:latest",
    ("vllm", "xpu"): "docker.io/vllm/vllm-openai-xpu:latest",
    ("ollama", "none"): "docker.io/ollama/ollama:latest",
    ("ollama", "cuda"): "docker.io/ollama/ollama:latest",
    ("ollama", "rocm"): "docker.io/ollama/ollama:rocm",
    ("ollama", "xpu"): "docker.io/ollama/ollama:latest",
    ("llamacpp", "none"): "ghcr.io/ggml-org/llama.cpp:server",
    ("llamacpp", "cuda"): "ghcr.io/ggml-org/llama.cpp:server-cuda",
    ("llamacpp", "rocm"): "ghcr.io/ggml-org/llama.cpp:server-rocm",
    ("llamacpp", "xpu"): "ghcr.io/ggml-org/llama.cpp:server-intel",
    ("rhaiis", "cuda"): "registry.redhat.io/rhaii/vllm-cuda-rhel9:3.4.0",
    ("rhaiis", "rocm"): "registry.redhat.io/rhaii/vllm-rocm-rhel9:3.4.0",
}
TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "hermes")
GGUF = ("--alias", MODEL, "--host", "0.0.0.0", "--port", "8080", "--jinja", "--metrics")
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "vllm": ("vllm", "serve", MODEL, "--port", "8000", *TOOLS),
    "rhaiis": ("--model", MODEL, "--port", "8000", *TOOLS),
    "ollama": ("sh", "/lcompose/ollama.sh", "ollama", "serve"),
    "llamacpp": ("-hf", MODEL, *GGUF),
}
PORTS = {"vllm": 8000, "rhaiis": 8000, "ollama": 11434, "llamacpp": 8080}
TYPES = {
    "vllm": "remote::vllm",
    "rhaiis": "remote::vllm",
    "ollama": "remote::ollama",
    "llamacpp": "remote::llama-cpp-server",
}


def test_there_is_a_row_for_every_image() -> None:
    assert set(EVERY) == set(IMAGES)


@pytest.mark.parametrize(("server", "vendor"), EVERY)
def test_a_server_is_started_on_a_vendors_gpus(server: str, vendor: str) -> None:
    found = service({"inference": server, "gpu": vendor, "model": MODEL})
    on_gpu = ("--n-gpu-layers", "99") if server == "llamacpp" and vendor != "none" else ()
    assert found.name == "inference" and found.image == IMAGES[server, vendor]
    assert (*found.entrypoint, *found.command) == (*COMMANDS[server], *on_gpu)
    assert found.ports == (Port("127.0.0.1", PORTS[server], PORTS[server]),)
    assert found.accelerator == (None if vendor == "none" else AcceleratorRequest(vendor))
    assert (found.limits == Limits()) is (vendor != "none")
    if server in ("vllm", "rhaiis"):
        assert found.shm_size == ("4g" if vendor == "none" else "8gb")


@pytest.mark.parametrize(("server", "vendor"), EVERY)
def test_llama_stack_is_told_of_a_server(server: str, vendor: str) -> None:
    [provider] = wired(RUN, {"inference": server, "gpu": vendor})
    token = {"api_token": "not-needed"} if TYPES[server] == "remote::vllm" else {}
    assert provider == {
        "provider_id": "vllm" if server == "rhaiis" else server,
        "provider_type": TYPES[server],
        "config": {"base_url": Address("inference", PORTS[server], "/v1"), **token},
    }


@pytest.mark.parametrize(("server", "vendor"), EVERY)
def test_a_health_check_needs_no_curl_and_has_patience(server: str, vendor: str) -> None:
    check = service({"inference": server, "gpu": vendor}).healthcheck
    assert check and "curl" not in " ".join(check.command) and check.start_period == 1800


@pytest.mark.parametrize(
    ("server", "volumes"),
    [
        (
            "vllm",
            {
                VolumeMount("inference-models", "/root/.cache/huggingface"),
                VolumeMount("inference-compiled", "/root/.cache/vllm"),
            },
        ),
        ("rhaiis", {VolumeMount("inference-models", "/opt/app-root/src/.cache")}),
        ("ollama", {VolumeMount("inference-models", "/root/.ollama")}),
        ("llamacpp", {VolumeMount("inference-models", "/root/.cache")}),
    ],
)
def test_what_is_fetched_and_compiled_is_kept(server: str, volumes: set[VolumeMount]) -> None:
    found = service({"inference": server, "gpu": "cuda"})
    assert {mount for mount in found.mounts if isinstance(mount, VolumeMount)} == volumes


@pytest.mark.parametrize(
    ("server", "vendor", "environment"),
    [
        ("vllm", "cuda", {"HF_TOKEN": EnvRef("HF_TOKEN")}),
        ("vllm", "none", {"VLLM_CPU_KVCACHE_SPACE": "4", "HF_TOKEN": EnvRef("HF_TOKEN")}),
        ("rhaiis", "cuda", {"HF_HUB_OFFLINE": "0", "HF_TOKEN": EnvRef("HF_TOKEN")}),
        ("ollama", "cuda", {"OLLAMA_HOST": "0.0.0.0:11434", "LCOMPOSE_MODELS": MODEL}),
        (
            "ollama",
            "xpu",
            {
                "OLLAMA_HOST": "0.0.0.0:11434",
                "LCOMPOSE_MODELS": MODEL,
                "OLLAMA_VULKAN": "1",
                "NVIDIA_VISIBLE_DEVICES": "void",
            },
        ),
        (
            "ollama",
            "none",
            {"OLLAMA_HOST": "0.0.0.0:11434", "LCOMPOSE_MODELS": MODEL, "NVIDIA_VISIBLE_DEVICES": "void"},
        ),
        ("llamacpp", "cuda", {"HF_TOKEN": EnvRef("HF_TOKEN")}),
        ("llamacpp", "none", {"NVIDIA_VISIBLE_DEVICES": "void", "HF_TOKEN": EnvRef("HF_TOKEN")}),
    ],
)
def test_a_server_has_the_variables_of_its_vendor(server: str, vendor: str, environment: dict[str, Any]) -> None:
    assert dict(service({"inference": server, "gpu": vendor, "model": MODEL}).environment) == environment


@pytest.mark.parametrize(
    ("server", "probe", "gauge"),
    [
        ("vllm", Probe(8000, "/health"), "vllm:num_requests_running"),
        ("llamacpp", Probe(8080, "/health"), "llamacpp:requests_processing"),
        ("ollama", None, ""),
    ],
)
def test_a_server_is_asked_from_outside_where_that_says_more(server: str, probe: Probe | None, gauge: str) -> None:
    found = service({"inference": server})
    assert (found.probe, found.gauge) == (probe, gauge)


@pytest.mark.parametrize(("vendor", "title"), [("none", "the processor"), ("xpu", "Intel (XPU)")])
def test_a_vendor_without_an_image_is_refused_with_what_there_is(vendor: str, title: str) -> None:
    with pytest.raises(UsageError) as caught:
        asked({"inference": "rhaiis", "gpu": vendor})
    assert caught.value.what == f"rhaiis has no image for {title}"
    assert caught.value.fix == (
        "It has one for --gpu cuda and rocm. Or take another server: --inference llamacpp or ollama or vllm."
    )


def test_red_hats_image_must_own_what_it_writes() -> None:
    assert service({"inference": "rhaiis", "gpu": "cuda"}).user == 1001
    assert service({"inference": "vllm", "gpu": "cuda"}).user == 0


def test_a_file_in_the_container_is_a_model_for_llama_cpp() -> None:
    command = service({"inference": "llamacpp", "gpu": "cuda", "model": "/models/a.gguf"}).command
    assert command[:4] == ("--model", "/models/a.gguf", "--alias", "/models/a.gguf")
    assert command[-2:] == ("--n-gpu-layers", "99")


# --- which server ---


def provider(kind: str, url: str = "", name: str = "mine", **more: str) -> str:
    """A provider in YAML's flow style."""
    settings = ", ".join([*([f"base_url: '{url}'"] if url else []), *(f"{key}: {one}" for key, one in more.items())])
    return f"{{provider_id: {name}, provider_type: 'remote::{kind}', config: {{{settings}}}}}"


LOCAL_VLLM = provider("vllm", "http://localhost:8000/v1")
LOCAL_OLLAMA = provider("ollama", "http://localhost:11434/v1", "own", allowed_models="['llama3.2:3b']")
LOCAL_LLAMACPP = provider("llama-cpp-server", "http://127.0.0.1:8080/v1")


@pytest.mark.parametrize(
    ("settings", "run", "image"),
    [
        ({}, RUN, ""),
        ({"inference": "none", "gpu": "cuda"}, RUN, ""),
        ({"gpu": "cuda"}, RUN, "vllm/vllm-openai:latest"),
        ({"gpu": "cuda"}, providers(LOCAL_OLLAMA), "ollama/ollama:latest"),
        ({"gpu": "rocm"}, providers(LOCAL_OLLAMA), "ollama/ollama:rocm"),
        ({"gpu": "cuda"}, providers(LOCAL_LLAMACPP), "llama.cpp:server-cuda"),
        ({"gpu": "cuda"}, providers(LOCAL_OLLAMA, LOCAL_VLLM), "vllm/vllm-openai:latest"),
        ({"gpu": "cuda"}, providers(LOCAL_OLLAMA, LOCAL_LLAMACPP), "vllm/vllm-openai:latest"),
        ({"gpu": "cuda", "companions": {"ollama": "external"}}, providers(LOCAL_OLLAMA), "vllm/vllm-openai:latest"),
        ({"gpu": "cuda"}, providers(provider("ollama", "http://far.example.com/v1")), "vllm/vllm-openai:latest"),
        ({"inference": "vllm"}, providers(LOCAL_OLLAMA), "vllm/vllm-openai-cpu:v0.21.0"),
        ({"inference": "ollama"}, RUN, "ollama/ollama:latest"),
    ],
)
def test_the_server_is_chosen_by_the_settings_and_what_the_configuration_asks(
    settings: dict[str, Any], run: str, image: str
) -> None:
    assert [one.image.partition("/")[2] for one in asked(settings, run).beside.services] == (
        [f"ggml-org/{image}" if "llama.cpp" in image else image] if image else []
    )


def test_nothing_waits_where_nothing_is_asked_for() -> None:
    assert asked({}) == Inference()


def test_a_gpu_that_nobody_uses_is_told() -> None:
    assert told({"gpu": "cuda", "inference": "none"}) == [
        "a GPU is asked for (gpu: cuda), and there is no inference service that would use it"
    ]
    assert not told({"inference": "none"})


def test_an_unknown_server_is_refused() -> None:
    with pytest.raises(UsageError, match="no inference server is called 'vlm'") as caught:
        asked({"inference": "vlm"})
    assert "vllm" in caught.value.fix


def test_whoever_runs_llama_stack_waits_until_the_model_is_there() -> None:
    found = asked({"gpu": "cuda"}).beside
    assert found.needs == {"llama-stack": (Dependency("inference", "healthy"),)}
    assert found.kinds == {"inference": "inference"}


# --- the providers that ask it ---

ADDED = {
    "provider_id": "vllm",
    "provider_type": "remote::vllm",
    "config": {"base_url": Address("inference", 8000, "/v1"), "api_token": "not-needed"},
}
HERE = {"base_url": Address("inference", 8000, "/v1")}


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ("{}", [ADDED]),
        ("{inference: null}", [ADDED]),
        ("{inference: []}", [ADDED]),
        (
            "{inference: [{provider_type: 'remote::openai', config: {api_key: '${env.KEY}'}}]}",
            [{"provider_type": "remote::openai", "config": {"api_key": "${env.KEY}"}}, ADDED],
        ),
        (
            "{inference: [{provider_type: a}, {provider_type: 'remote::vllm', config: {base_url: x, api_token: y}}]}",
            [{"provider_type": "a"}, {"provider_type": "remote::vllm", "config": {**HERE, "api_token": "y"}}],
        ),
        ("{inference: [{provider_type: 'remote::vllm'}]}", [{"provider_type": "remote::vllm", "config": HERE}]),
        (
            "{inference: [{provider_id: '${env.VLLM_URL:+vllm}', provider_type: 'remote::vllm'}]}",
            [{"provider_id": "vllm", "provider_type": "remote::vllm", "config": HERE}],
        ),
        (
            "{inference: [{provider_id: a, provider_type: 'remote::vllm', config: {base_url: 'http://localhost:1'}}]}",
            [{"provider_id": "a", "provider_type": "remote::vllm", "config": HERE}],
        ),
        (
            "{inference: [{provider_id: a, provider_type: 'remote::vllm', config: {url: 'http://vllm:8000/v1'}}]}",
            [{"provider_id": "a", "provider_type": "remote::vllm", "config": {"url": HERE["base_url"]}}],
        ),
        (
            "{inference: [{provider_id: a, provider_type: 'remote::vllm', config: {base_url: 'http://inference:8000'}}]}",
            [{"provider_id": "a", "provider_type": "remote::vllm", "config": HERE}],
        ),
    ],
)
def test_the_provider_that_is_there_asks_the_service_or_one_is_added(run: str, expected: Any) -> None:
    assert wired(f"version: 2\nproviders: {run}\n", {"gpu": "cuda", "inference": "vllm"}) == expected


def test_a_provider_that_llama_stack_drops_is_none() -> None:
    dropped = "{provider_id: __disabled__, provider_type: 'remote::vllm'}"
    assert wired(providers(dropped), {"gpu": "cuda"})[1:] == [ADDED]


def test_a_provider_that_asks_another_machine_goes_on_with_it() -> None:
    far = provider("vllm", "https://far.example.com/v1", "vllm")
    first, second = wired(providers(far), {"gpu": "cuda"})
    assert first["config"]["base_url"] == "https://far.example.com/v1"
    assert second == {**ADDED, "provider_id": "inference"}


def test_the_provider_of_this_machine_is_taken_before_one_that_says_nothing() -> None:
    first, second = wired(providers(provider("vllm", name="first"), LOCAL_VLLM), {"gpu": "cuda"})
    assert first["config"] == {} and second["config"] == HERE


def test_a_secret_of_another_provider_stays_out_where_one_is_added() -> None:
    run = providers("{provider_id: o, provider_type: 'remote::openai', config: {api_key: sk-abcdefghijklmnop}}")
    found = resolved(LIGHTSPEED, run, {"gpu": "cuda"})
    assert "sk-abcdefghijklmnop" not in str([one.tree for one in found.project.documents])
    assert found.project.service("inference")


def test_no_server_is_started_twice() -> None:
    for run, settings in (
        (providers(LOCAL_VLLM), {"gpu": "cuda"}),
        (providers(LOCAL_OLLAMA), {"gpu": "cuda"}),
        (providers(LOCAL_VLLM), {"inference": "rhaiis", "gpu": "rocm"}),
    ):
        names = [one.name for one in resolved(LIGHTSPEED, run, settings).project.services]
        assert names == ["inference", "llama-stack", "lightspeed-stack"]


def test_a_second_vllm_stays_a_companion() -> None:
    other = provider("vllm", "http://localhost:8001/v1", "other", allowed_models="[org/other-qwen]")
    found = resolved(LIGHTSPEED, providers(LOCAL_VLLM, other), {"gpu": "cuda"}).project
    assert [one.name for one in found.services] == ["inference", "vllm", "llama-stack", "lightspeed-stack"]
    run: Any = found.documents[1].tree
    assert [one["config"]["base_url"] for one in run["providers"]["inference"]] == [
        Address("inference", 8000, "/v1"),
        Address("vllm", 8000, "/v1"),
    ]


def test_what_the_configuration_asks_for_beside_it_is_as_before() -> None:
    found = resolved(LIGHTSPEED, providers(LOCAL_OLLAMA), {"inference": "vllm", "gpu": "cuda"}).project
    assert [one.name for one in found.services] == ["inference", "ollama", "llama-stack", "lightspeed-stack"]


def test_a_service_of_the_persons_own_is_not_taken_over() -> None:
    run = providers(provider("vllm", "http://vllm:8000/v1"))
    assert asked({"gpu": "cuda"}, run, theirs=frozenset({"vllm"})).served == frozenset()


# --- the model ---

NAMED = providers(provider("vllm", "http://localhost:8000/v1", allowed_models="[org/qwen-one]"))
DEFAULT = LIGHTSPEED + "inference: {default_provider: vllm, default_model: org/qwen-default}\n"


@pytest.mark.parametrize(
    ("settings", "run", "lightspeed", "model"),
    [
        ({"gpu": "cuda"}, RUN, LIGHTSPEED, "Qwen/Qwen3-8B"),
        ({"inference": "vllm"}, RUN, LIGHTSPEED, "Qwen/Qwen3-0.6B"),
        ({"gpu": "cuda"}, NAMED, LIGHTSPEED, "org/qwen-one"),
        ({"gpu": "cuda"}, RUN, DEFAULT, "org/qwen-default"),
        ({"gpu": "cuda", "model": "org/qwen-two"}, NAMED, DEFAULT, "org/qwen-two"),
        (
            {"gpu": "cuda"},
            RUN,
            LIGHTSPEED + "inference: {default_provider: other, default_model: x}\n",
            "Qwen/Qwen3-8B",
        ),
    ],
)
def test_the_model_is_the_one_asked_for_else_the_configurations_else_the_servers(
    settings: dict[str, Any], run: str, lightspeed: str, model: str
) -> None:
    assert service(settings, run=run, lightspeed=lightspeed).command[0] == model


def test_ollama_has_every_model_that_is_named_and_the_one_that_is_asked_for_first() -> None:
    found = service({"gpu": "cuda", "model": "qwen3:8b"}, run=providers(LOCAL_OLLAMA))
    assert dict(found.environment)["LCOMPOSE_MODELS"] == "qwen3:8b llama3.2:3b"


def test_another_model_than_the_configuration_names_is_told() -> None:
    assert told({"gpu": "cuda", "model": "org/qwen-two"}, run=NAMED) == [
        "the inference service serves org/qwen-two, and the configuration names org/qwen-one"
    ]
    more = providers(provider("vllm", "http://localhost:8000/v1", allowed_models="[org/qwen-one, org/qwen-two]"))
    assert told({"gpu": "cuda"}, run=more) == [
        "the inference service serves org/qwen-one alone, and the configuration names org/qwen-two too"
    ]
    assert told({"gpu": "cuda", "model": "org/qwen-one"}, run=NAMED) == []


@pytest.mark.parametrize("model", ["--trust-remote-code", "a b", "$(id)", "a;b", "", "/"])
def test_what_is_no_models_name_is_refused(model: str) -> None:
    run = providers(provider("vllm", "http://localhost:8000/v1", allowed_models=f"['{model}']"))
    if not model:
        assert service({"gpu": "cuda"}, run=run).command[0] == "Qwen/Qwen3-8B"
        return
    with pytest.raises(UsageError, match="is no model's name"):
        asked({"gpu": "cuda"}, run)


# --- how it calls tools ---


@pytest.mark.parametrize(
    ("model", "parser", "template"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "hermes", ""),
        ("Qwen/Qwen3-8B", "hermes", ""),
        ("Qwen/QwQ-32B", "hermes", ""),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_xml", ""),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes", ""),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3_json", ""),
        ("meta-llama/Meta-Llama-3.1-70B-Instruct", "llama3_json", ""),
        ("meta-llama/Llama-3.2-3B-Instruct", "llama3_json", ""),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "llama3_json", ""),
        (
            "meta-llama/Llama-4-Scout-17B-16E-Instruct",
            "llama4_pythonic",
            "tool_chat_template_llama4_pythonic.jinja",
        ),
        ("ibm-granite/granite-3.3-8b-instruct", "granite", ""),
        ("ibm-granite/granite-3.0-8b-instruct", "granite", "tool_chat_template_granite.jinja"),
        ("ibm-granite/granite-4.0-h-small", "hermes", ""),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral", ""),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mistral", ""),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3", "tool_chat_template_deepseekv3.jinja"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31", "tool_chat_template_deepseekv31.jinja"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3", "tool_chat_template_deepseekr1.jinja"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "hermes", ""),
        ("Salesforce/Llama-xLAM-2-8B-fc-r", "xlam", "tool_chat_template_xlam_llama.jinja"),
        ("openai/gpt-oss-20b", "openai", ""),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2", ""),
        ("zai-org/GLM-4.5-Air", "glm45", ""),
        ("microsoft/Phi-4-mini-instruct", "phi4_mini_json", "tool_chat_template_phi4_mini.jinja"),
    ],
)
def test_a_model_is_told_how_it_calls_tools_by_its_family(model: str, parser: str, template: str) -> None:
    command = service({"gpu": "cuda", "model": model}).command
    words = ("--chat-template", f"/vllm-workspace/examples/{template}") if template else ()
    assert command[3:] == ("--enable-auto-tool-choice", "--tool-call-parser", parser, *words)
    assert not told({"gpu": "cuda", "model": model})


@pytest.mark.parametrize(("vendor", "folder"), [("rocm", "/app/vllm/examples"), ("xpu", "/workspace/vllm/examples")])
def test_a_template_is_where_the_vendors_image_has_it(vendor: str, folder: str) -> None:
    command = service({"gpu": vendor, "inference": "vllm", "model": "meta-llama/Llama-4-Scout-17B-16E"}).command
    assert command[-1] == f"{folder}/tool_chat_template_llama4_pythonic.jinja"


def test_a_template_that_the_image_has_not_is_told_and_not_named() -> None:
    settings = {"inference": "vllm", "model": "microsoft/Phi-4-mini-instruct"}
    assert "--chat-template" not in service(settings).command
    assert told(settings) == [
        "microsoft/Phi-4-mini-instruct calls tools with tool_chat_template_phi4_mini.jinja only, "
        "which is not in this image"
    ]


def test_red_hats_server_knows_the_same_families_and_has_no_templates() -> None:
    settings = {"gpu": "cuda", "inference": "rhaiis", "model": "microsoft/Phi-4-mini-instruct"}
    assert service(settings).command[-1] == "phi4_mini_json"
    assert told(settings)[0].endswith("only, which is not in this image")
    assert service({**settings, "model": "meta-llama/Llama-3.1-8B"}).command[-1] == "llama3_json"
    assert not told({**settings, "model": "meta-llama/Llama-3.1-8B"})


def test_a_model_of_no_known_family_is_told_with_the_way_out() -> None:
    settings = {"gpu": "cuda", "model": "org/unheard-of"}
    [finding] = asked(settings).beside.findings
    assert finding.what == "nobody here knows how org/unheard-of calls tools; hermes is tried"
    assert "tool_call_parser" in finding.fix and finding.severity == "warning"
    chosen = {**settings, "tool_call_parser": "pythonic"}
    assert service(chosen).command[-1] == "pythonic" and not told(chosen)
    without = {**settings, "tool_call_parser": "none"}
    assert service(without).command == ("org/unheard-of", "--port", "8000") and not told(without)


def test_a_parser_of_the_persons_own_goes_without_the_familys_template() -> None:
    command = service({"gpu": "cuda", "model": "deepseek-ai/DeepSeek-V3-0324", "tool_call_parser": "mine"}).command
    assert command[-2:] == ("--tool-call-parser", "mine")


def test_more_arguments_come_last() -> None:
    arguments = ["--max-model-len", "8192", "--tensor-parallel-size=1"]
    command = service({"gpu": "cuda", "gpu_ids": ["0", "1"], "inference_args": arguments}).command
    assert command[-3:] == tuple(arguments)


# --- its GPUs ---


@pytest.mark.parametrize(
    ("ids", "there", "words"),
    [
        ([], None, ()),
        ([], machine(24), ()),
        ([], machine(24, 24), ("--tensor-parallel-size", "2")),
        ([], machine(24, 24, 24), ("--tensor-parallel-size", "2")),
        (["0"], machine(24, 24), ()),
        (["0", "1"], None, ("--tensor-parallel-size", "2")),
        (["0", "1", "2", "3"], None, ("--tensor-parallel-size", "4")),
        (["MIG-1", "MIG-2"], None, ()),
        (["0:0", "0:1"], None, ()),
        ([], Machine(tuple(Gpu("cuda", index=n, partitions=(Partition("MIG-1"),)) for n in range(2))), ()),
        ([], machine(24, 24, vendor="rocm"), ()),
    ],
)
def test_the_model_is_spread_over_the_gpus(ids: list[str], there: Machine | None, words: tuple[str, ...]) -> None:
    for server in ("vllm", "rhaiis"):
        found = service({"gpu": "cuda", "gpu_ids": ids, "inference": server, "model": MODEL}, machine=there)
        spread = found.command[found.command.index("8000") + 1 : found.command.index("--enable-auto-tool-choice")]
        assert spread == words
        assert found.accelerator and found.accelerator.ids == tuple(ids)


def test_an_integrated_gpu_beside_another_one_does_not_count() -> None:
    inside = Machine((Gpu("cuda", index=0, memory=8 * GIB, integrated=True), Gpu("cuda", index=1, memory=80 * GIB)))
    assert "--tensor-parallel-size" not in service({"gpu": "cuda"}, machine=inside).command


def test_gpus_that_the_model_cannot_be_spread_over_are_told() -> None:
    assert told({"gpu": "cuda", "model": MODEL, "gpu_ids": ["0", "1", "2"]}) == [
        "of 3 GPUs the model is spread over 2: most can be cut in 2, 4 or 8 parts only"
    ]
    assert not told({"gpu": "cuda", "inference": "ollama", "gpu_ids": ["0", "1", "2"]})


def test_the_device_nodes_of_the_chosen_gpus_are_asked_for() -> None:
    gpus = (
        Gpu("rocm", index=0, nodes=("/dev/dri/card0", "/dev/dri/renderD128")),
        Gpu("rocm", index=1, uuid="GPU-b", nodes=("/dev/dri/card1", "/dev/dri/renderD129")),
    )
    wanted = {"gpu": "rocm", "gpu_ids": ["GPU-b"]}
    assert service(wanted, machine=Machine(gpus)).accelerator == AcceleratorRequest(
        "rocm", ids=("GPU-b",), nodes=("/dev/dri/card1", "/dev/dri/renderD129")
    )


# --- its memory ---


def test_a_model_that_does_not_fit_is_told_before_it_is_fetched() -> None:
    settings = {"gpu": "cuda", "model": "Qwen/Qwen3-8B"}
    assert told(settings, machine=machine(12)) == [
        "Qwen/Qwen3-8B needs about 18.0 GiB, and 12.0 GiB are free on the GPUs that it gets"
    ]
    for enough in (machine(24), machine(12, 12), None):
        assert not told(settings, machine=enough)


def test_on_the_processor_it_is_the_machines_memory_that_counts() -> None:
    settings = {"inference": "vllm", "model": "Qwen/Qwen3-8B"}
    assert told(settings, machine=machine(memory=8)) == [
        "Qwen/Qwen3-8B needs about 18.0 GiB, and 8.0 GiB of memory are there"
    ]
    assert not told(settings, machine=machine(memory=32))


def test_on_the_processor_the_bound_is_as_large_as_the_model() -> None:
    assert service({"inference": "vllm"}).limits.memory == "16g"
    assert service({"inference": "vllm", "model": "Qwen/Qwen3-14B"}).limits.memory == "30g"


# --- as a whole ---


def test_with_the_gpu_profile_the_same_server_runs_on_the_processor_too() -> None:
    found = resolved(settings={"gpu": "none"}, profiles=("gpu",)).project.service("inference")
    assert found.image == IMAGES["vllm", "none"] and found.accelerator is None


def test_every_script_of_a_server_is_a_document_of_the_project() -> None:
    found = resolved(settings={"inference": "ollama", "gpu": "cuda"}).project
    assert [one.name for one in found.documents] == ["lightspeed-stack.yaml", "run.yaml", "ollama.sh"]


def test_a_service_is_as_its_settings_want_it() -> None:
    own = {"image": "example.com/mine:1", "publish": False, "limits": {"memory": "99g"}}
    found = resolved(settings={"gpu": "cuda", "services": {"inference": own}}).project.service("inference")
    assert (found.image, found.ports, found.limits.memory) == ("example.com/mine:1", (), "99g")


def test_in_library_mode_lightspeed_core_waits() -> None:
    inside = "{use_as_library_client: true, library_client_config_path: run.yaml}"
    library = LIGHTSPEED.replace('{url: "http://localhost:8321"}', inside)
    found = resolved(library, settings={"gpu": "cuda", "inference": "ollama"}).project
    assert found.service("lightspeed-stack").needs == (Dependency("inference", "healthy"),)


def test_without_a_model_a_server_is_still_named() -> None:
    kind = companion("ollama", "cuda")
    assert dict(named(kind, "x", serving=Serving()).environment)["LCOMPOSE_MODELS"] == ""


def test_whoever_has_no_run_yaml_needs_no_account_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    options = Options(directory=str(tmp_path), profiles=("gpu",), gpu="none")
    found = open_workspace(options, {}, variables=True).resolved
    [run] = (one.tree for one in found.project.documents if one.filename.endswith("run.yaml"))
    assert [one["provider_id"] for one in run["providers"]["inference"]] == ["vllm"]
    assert "OPENAI_API_KEY" not in found.project.variables
    # Nobody else's run.yaml loses a provider.
    own = "{inference: [{provider_id: a, provider_type: 'remote::openai', config: {}}]}"
    (tmp_path / "run.yaml").write_text(f"version: 2\ndistro_name: mine\nproviders: {own}\n")
    found = open_workspace(options, {}).resolved
    [run] = (one.tree for one in found.project.documents if one.filename.endswith("run.yaml"))
    assert [one["provider_id"] for one in run["providers"]["inference"]] == ["a", "vllm"]


@pytest.mark.parametrize(
    ("server", "level", "variables"),
    [
        ("vllm", "debug", {"VLLM_LOGGING_LEVEL": "DEBUG"}),
        ("rhaiis", "warning", {"VLLM_LOGGING_LEVEL": "WARNING"}),
        ("ollama", "debug", {"OLLAMA_DEBUG": "1"}),
        ("llamacpp", "error", {"LLAMA_LOG_VERBOSITY": "1"}),
    ],
)
def test_each_server_is_told_how_much_to_log_in_its_own_words(
    server: str, level: str, variables: dict[str, str]
) -> None:
    found = asked({"gpu": "cuda", "inference": server, "services": {"inference": {"log_level": level}}})
    [service] = found.beside.services
    assert variables.items() <= dict(service.environment).items()
    assert not {"VLLM_LOGGING_LEVEL", "OLLAMA_DEBUG", "LLAMA_LOG_VERBOSITY"} & {*dict(service.environment)} - {
        *variables
    }
    assert [one for one in found.beside.findings if "log_level" in one.path] == []


def test_a_level_that_a_server_does_not_have_is_told() -> None:
    found = asked({"gpu": "cuda", "inference": "ollama", "services": {"inference": {"log_level": "error"}}})
    [told] = (one for one in found.beside.findings if "log_level" in one.path)
    assert told.severity == "warning" and "ollama has no level of logs called error" in told.what


def test_beside_another_vendors_card_only_the_own_nodes_are_given() -> None:
    amd = Gpu("rocm", index=0, nodes=("/dev/dri/card1", "/dev/dri/renderD129"))
    intel = Gpu("xpu", index=0, nodes=("/dev/dri/card0", "/dev/dri/renderD128"))
    given = [asked({"gpu": "rocm"}, machine=Machine(gpus=gpus)).beside.services[0] for gpus in ((amd,), (amd, intel))]
    assert [one.accelerator and one.accelerator.nodes for one in given] == [(), amd.nodes]


def test_whoever_asks_for_a_model_has_the_time_to_fetch_it(tmp_path: Path) -> None:
    (tmp_path / "lightspeed-stack.yaml").write_text(LIGHTSPEED)
    (tmp_path / "run.yaml").write_text(RUN)
    waits = {
        options: open_workspace(Options(directory=str(tmp_path), **dict(options)), {}).settings.wait_timeout
        for options in (
            (),
            (("gpu", "cuda"),),
            (("inference", "ollama"),),
            (("gpu", "cuda"), ("sets", ("wait_timeout=300",))),
        )
    }
    assert list(waits.values()) == [300, 1800, 1800, 300]


CARDS = Machine(
    (Gpu("cuda", "0000:01:00.0", index=0, uuid="GPU-a"), Gpu("cuda", "0000:02:00.0", index=1, uuid="GPU-b"))
)


@pytest.mark.parametrize(
    ("ids", "machine", "seen"),
    [
        ("0", None, "0"),
        ("1,GPU-a", CARDS, "1,GPU-a"),
        # The runtime knows no address on the bus.
        ("0000:02:00.0", CARDS, "GPU-b"),
        ("", CARDS, None),
    ],
)
def test_an_image_that_asks_for_every_gpu_is_held_to_those_that_are_chosen(
    ids: str, machine: Machine | None, seen: str | None
) -> None:
    found = service({"gpu": "cuda", "gpu_ids": [one for one in ids.split(",") if one]}, machine=machine)
    assert dict(found.environment).get("NVIDIA_VISIBLE_DEVICES") == seen


@pytest.mark.parametrize("vendor", ["none", "rocm", "xpu"])
def test_ollama_on_another_vendors_gpu_gets_none_of_nvidias(vendor: str) -> None:
    found = service({"gpu": vendor, "inference": "ollama"})
    assert dict(found.environment)["NVIDIA_VISIBLE_DEVICES"] == "void"


@pytest.mark.parametrize(
    ("server", "gpu", "warned"),
    [
        ("vllm", Gpu("cuda", name="Tesla P40", arch="sm_61"), True),
        ("vllm", Gpu("cuda", name="Tesla T4", arch="sm_75"), False),
        ("vllm", Gpu("cuda", name="B200", arch="sm_100"), False),
        ("vllm", Gpu("cuda", name="unknown"), False),
        ("rhaiis", Gpu("cuda", name="Tesla V100", arch="sm_70"), True),
        ("vllm", Gpu("rocm", name="RX 6800", arch="gfx1030"), True),
        ("vllm", Gpu("rocm", name="MI300X", arch="gfx942"), False),
        ("vllm", Gpu("rocm", name="Strix Halo", arch="gfx1151"), False),
        ("ollama", Gpu("rocm", name="RX 6800", arch="gfx1030"), False),
    ],
)
def test_a_gpu_that_the_image_has_no_code_for_is_told_before_it_is_fetched(server: str, gpu: Gpu, warned: bool) -> None:
    found = told({"gpu": gpu.vendor, "inference": server}, machine=Machine((gpu,)))
    assert [one for one in found if "has no code for" in one] == (
        [f"the image of {server} has no code for {gpu.name} ({gpu.arch})"] if warned else []
    )
