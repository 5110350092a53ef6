"""Clients that people use already, unmodified."""

import asyncio
import json
import os
import sys

import numpy as np
import pytest

from serve.conftest import TEXTS

QUERY = "stone river light"


def test_openai(url, client):
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as caller:
        found = caller.embeddings.create(model="small", input=TEXTS[:3])  # asks for base64
        plain = client.post("/v1/embeddings", json={"model": "small", "input": TEXTS[:3]}).json()
        np.testing.assert_allclose([row.embedding for row in found.data], [row["embedding"] for row in plain["data"]])
        assert found.usage.prompt_tokens == plain["usage"]["prompt_tokens"]
        assert [model.id for model in caller.models.list()] == ["small"]
        with pytest.raises(openai.NotFoundError, match="expected the model 'small', found 'text-embedding-3-small'"):
            caller.embeddings.create(model="text-embedding-3-small", input="a")
        with pytest.raises(openai.UnprocessableEntityError, match="at least 1 character"):
            caller.embeddings.create(model="small", input="")


@pytest.mark.parametrize("version", [1, 2])
def test_cohere(url, version):
    cohere = pytest.importorskip("cohere")
    caller = (cohere.Client if version == 1 else cohere.ClientV2)("none", base_url=url)
    found = caller.rerank(model="small", query=QUERY, documents=TEXTS[:9], top_n=3)
    scores = [row.relevance_score for row in found.results]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    with pytest.raises(cohere.errors.UnprocessableEntityError) as refused:
        caller.rerank(model="small", query="", documents=TEXTS[:1])
    assert "at least 1 character" in refused.value.body["message"]


def test_a_language_model_searches_and_reads(place):
    mcp = pytest.importorskip("mcp")
    from mcp.client.stdio import StdioServerParameters, stdio_client

    command = StdioServerParameters(
        command=sys.executable, args=["-m", "nearfar", "mcp", str(place)], env={**os.environ}
    )

    async def talk():
        async with stdio_client(command) as streams, mcp.ClientSession(*streams) as session:
            await session.initialize()
            tools = {tool.name for tool in (await session.list_tools()).tools}
            found = await session.call_tool("search", {"query": QUERY})
            results = json.loads(found.content[0].text)["results"]
            whole = await session.call_tool("fetch", {"id": results[0]["id"]})
            none = await session.call_tool("fetch", {"id": "nowhere"})
            return tools, results, json.loads(whole.content[0].text), none

    tools, results, whole, none = asyncio.run(talk())
    assert tools == {"search", "fetch"}
    assert len(results) == 10
    assert {"id", "title", "text", "url", "score"} == set(results[0])
    assert whole["text"] == TEXTS[int(whole["id"][1:])]
    assert whole["metadata"]["year"].startswith("20")
    assert none.is_error
    assert "expected a document of the index, found 'nowhere'" in none.content[0].text
