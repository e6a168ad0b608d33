"""``lcompose validate --deep``: the real Llama Stack and the stand-in for LCORE say what they think."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import QUICKSTART, Lcompose, image_options

ENGINES = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("docker", "podman")]
UNKNOWN_TYPE = "{inference: [{provider_id: x, provider_type: 'remote::nobody'}]}"


@pytest.mark.parametrize("engine", ENGINES)
def test_images_are_asked_and_what_they_refuse_is_told(
    engine: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    built: Callable[[str], dict[str, str]],
    lcompose: Lcompose,
) -> None:
    request.getfixturevalue(engine)
    arguments = ["validate", "--deep", "-C", str(QUICKSTART), "--engine", engine, *image_options(built(engine))]
    env = {"OPENAI_API_KEY": "given"}
    right = lcompose(*arguments, cwd=tmp_path, env=env)
    assert right.code == 0, right.err
    assert "was not asked" not in right.err
    wrong = tmp_path / "run.yaml"
    wrong.write_text(f"version: 2\ndistro_name: x\nproviders: {UNKNOWN_TYPE}\n")
    refused = lcompose(*arguments, "--run-config", str(wrong), cwd=tmp_path, env=env)
    assert refused.code == 2, refused.err
    assert "the image itself refuses its document" in refused.err
    assert "`remote::nobody` is not available" in refused.err
