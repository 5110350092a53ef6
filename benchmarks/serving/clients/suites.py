"""Frameworks against a running service: LangChain's standard suite, and embedders of LlamaIndex and Haystack."""

import os

import httpx
import numpy as np
import pytest
from haystack.components.embedders import OpenAIDocumentEmbedder, OpenAITextEmbedder
from haystack.dataclasses import Document
from haystack.utils import Secret
from langchain_cohere import CohereRerank
from langchain_openai import OpenAIEmbeddings
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from llama_index.embeddings.openai_like import OpenAILikeEmbedding

URL = os.environ.get("NEARFAR_URL", "http://127.0.0.1:8080")
TEXTS = ["split a string", "join a list", "read a file line by line"]


@pytest.fixture(scope="session")
def model() -> str:
    """The name of the service's model."""
    return str(httpx.get(f"{URL}/v1/models").json()["data"][0]["id"])


@pytest.fixture(scope="session")
def expected(model: str) -> np.ndarray:
    """Vectors as the service gives them to a plain request."""
    done = httpx.post(f"{URL}/v1/embeddings", json={"model": model, "input": TEXTS}).json()
    return np.array([row["embedding"] for row in done["data"]])


class TestLangChain(EmbeddingsIntegrationTests):
    """LangChain's own suite for embeddings."""

    @property
    def embeddings_class(self) -> type[OpenAIEmbeddings]:
        """Its client of OpenAI."""
        return OpenAIEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, object]:
        """Texts are sent as texts: its tokens would be those of OpenAI's models."""
        name = httpx.get(f"{URL}/v1/models").json()["data"][0]["id"]
        return {"model": name, "base_url": f"{URL}/v1", "api_key": "none", "check_embedding_ctx_length": False}


def test_langchain_reranks_by_cohere(model: str) -> None:
    """Its reranker of Cohere, with the texts in another order than they came."""
    reranker = CohereRerank(model=model, base_url=URL, cohere_api_key="none", top_n=2)
    found = reranker.rerank(TEXTS, "lists that are joined")
    assert len(found) == 2
    assert found[0]["relevance_score"] >= found[1]["relevance_score"]


def test_llama_index(model: str, expected: np.ndarray) -> None:
    """Its client of services like OpenAI's."""
    embedder = OpenAILikeEmbedding(model_name=model, api_base=f"{URL}/v1", api_key="none")
    np.testing.assert_allclose(embedder.get_text_embedding_batch(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(embedder.get_query_embedding(TEXTS[0]), expected[0], atol=1e-5)


def test_haystack(model: str, expected: np.ndarray) -> None:
    """Its embedders of queries and of documents."""
    options = {"api_key": Secret.from_token("none"), "model": model, "api_base_url": f"{URL}/v1"}
    np.testing.assert_allclose(OpenAITextEmbedder(**options).run(TEXTS[0])["embedding"], expected[0], atol=1e-5)
    documents = OpenAIDocumentEmbedder(**options).run([Document(content=text) for text in TEXTS])["documents"]
    np.testing.assert_allclose([one.embedding for one in documents], expected, atol=1e-5)
