"""What the service says of itself is true: requests are made of its OpenAPI schema, right ones and wrong ones.

`benchmarks/serving/contract.py` sends ten thousand of them; these are a few hundred, the same each time.
"""

import shutil
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving_texts import opened

from serving import serving

CASES = 4  # of each operation and kind
KINDS = {"right": GenerationMode.POSITIVE, "wrong": GenerationMode.NEGATIVE}
UNTOLD = [positive_data_acceptance, not_a_server_error]  # a filter has a grammar; 503 is told, and checked here
STATUSES = {200, 304, 307, 400, 401, 403, 404, 405, 413, 422, 429, 503}


@pytest.fixture(scope="module")
def described(texts_run, tmp_path_factory):
    run = shutil.copytree(texts_run.parent, tmp_path_factory.mktemp("asked") / "runs") / texts_run.name
    with serving(opened(run)) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_as_described(described, kind):
    asked = settings(max_examples=CASES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
                     suppress_health_check=list(HealthCheck))  # fmt: skip
    seen = set()
    for operation in (found.ok() for found in described.get_all_operations()):

        @asked
        @given(operation.as_strategy(generation_mode=KINDS[kind]))
        def tried(case):
            answer = case.call_and_validate(excluded_checks=UNTOLD)
            assert answer.status_code in STATUSES, case.as_curl_command()
            assert answer.status_code not in {429, 503} or "retry-after" in answer.headers
            seen.add((case.operation.label, answer.status_code))

        with suppress(Unsatisfiable):  # nothing of it can be wrong
            tried()
    assert len({label for label, _ in seen}) > 12
    assert (("POST /search", 200) in seen) == (kind == "right")
