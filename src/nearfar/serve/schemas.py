"""Bodies of requests and answers, as the clients of OpenAI, Cohere and Hugging Face TEI write and read them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from nearfar.search.config import Mode

LONGEST_ID = 1024  # characters
LONGEST_TEXT = 1 << 20  # characters of a text that goes through the model
MOST_RESULTS = 1000
LONGEST_FILTER = 10_000  # characters


def _is_whole(value: object) -> bool:
    """Whether it is a whole number that came with a point, which JSON counts among them."""
    return isinstance(value, float) and value.is_integer()


Text = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)]
Texts = Annotated[list[Text], Field(min_length=1)]
Whole = Annotated[int, BeforeValidator(lambda value: int(value) if _is_whole(value) else value)]
TokenIds = Annotated[list[Annotated[Whole, Field(ge=0, lt=2**31)]], Field(min_length=1)]
Role = Literal["query", "document"]
Id = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID)]
Count = Annotated[Whole, Field(ge=1, le=MOST_RESULTS)]
Dimensions = Annotated[Whole, Field(ge=1, le=2**16)]


class Body(BaseModel):
    """A request; fields that it does not know are for other services, and are left aside."""

    model_config = ConfigDict(extra="ignore", strict=True, use_attribute_docstrings=True)


class EmbeddingRequest(Body):
    """`POST /v1/embeddings` of OpenAI."""

    input: Text | Texts | TokenIds | Annotated[list[TokenIds], Field(min_length=1)]
    """A text or more; or token ids of the model's own tokenizer."""
    model: str
    """The name that `/v1/models` gives."""
    encoding_format: Literal["float", "base64"] = "float"
    """Base64 is that of 32-bit floats, the lowest byte first."""
    dimensions: Dimensions | None = None
    """First so many, of length 1 again; for models trained by Matryoshka."""
    user: str | None = None
    input_type: Role | None = None
    """What the texts are, where the model has prompts for queries and documents; left out: documents."""


class Usage(BaseModel):
    """Tokens that the texts had."""

    prompt_tokens: int
    total_tokens: int


class Embedding(BaseModel):
    """One vector: numbers, or their bytes in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingResponse(BaseModel):
    """Vectors in the order of the texts."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


class Model(BaseModel):
    """A model that answers here."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    fingerprint: str
    dimension: int
    max_tokens: int


class Models(BaseModel):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[Model]


class EmbedRequest(Body):
    """`POST /embed` of TEI."""

    inputs: Text | Texts
    normalize: bool | None = None
    """Of length 1; left out: as the model does."""
    truncate: bool | None = None
    """Cut longer texts; without it they are cut too, as the model does."""
    prompt_name: str | None = None
    """Query or document; left out: document."""
    dimensions: Dimensions | None = None


class Document(Body):
    """A text to be ranked."""

    text: Text


class CohereRerankRequest(Body):
    """`POST /v1/rerank` and `/v2/rerank` of Cohere."""

    query: Text
    documents: Annotated[list[Text | Document], Field(min_length=1)]
    model: str | None = None
    top_n: Annotated[Whole, Field(ge=1)] | None = None
    """Results; left out: all."""
    return_documents: bool = False


class RankedText(BaseModel):
    """A text of the request."""

    text: str


class CohereResult(BaseModel):
    """A document's number in the request, and how well it answers, 0 to 1."""

    index: int
    relevance_score: float
    document: RankedText | None = None


class CohereRerankResponse(BaseModel):
    """The best first."""

    id: str
    results: list[CohereResult]
    meta: dict[str, Any]


class TeiRerankRequest(Body):
    """`POST /rerank` of TEI."""

    query: Text
    texts: Texts
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None


class TeiResult(BaseModel):
    """A text's number in the request, and its score."""

    index: int
    score: float
    text: str | None = None


class SearchRequest(Body):
    """`POST /search`."""

    query: Text
    k: Count = 10
    mode: Mode = "dense"
    """By vectors, by words, or by both."""
    filter: Annotated[str, StringConstraints(max_length=LONGEST_FILTER)] = ""
    """Condition on the metadata, such as 'year >= 2020 and lang in ("en", "de")'."""
    explain: bool = False
    """Say what made each score."""
    rerank: bool = False
    """Have the service's reranker order the first hundred."""
    task: str = ""
    """What kind of question it is, where the model has a prompt for that."""
    why_not: Id | None = None
    """Say where the document of this id is lost."""


class Passage(BaseModel):
    """Where a passage lies in its document, in characters."""

    start: int
    end: int
    heading: list[str]


class Why(BaseModel):
    """What made a score."""

    dense: float | None
    lexical: float
    dense_share: float
    matched: dict[str, float]
    marks: list[tuple[int, int]] = []
    """First and last + 1 character (code points) of the words of the text that matched."""


class Hit(BaseModel):
    """One found document."""

    id: str
    score: float
    text: str
    metadata: dict[str, Any]
    passage: Passage | None = None
    explanation: Why | None = None


class Lost(BaseModel):
    """Where a document is lost, and its places on the way there."""

    stage: str
    said: str
    dense_place: int | None
    lexical_place: int | None
    place: int | None


class SearchResponse(BaseModel):
    """The best first."""

    hits: list[Hit]
    why_not: Lost | None = None
    took_ms: float


class NewDocument(Body):
    """A document to add, or to put in the place of the one with its id; other fields are its metadata."""

    model_config = ConfigDict(extra="allow", strict=True, use_attribute_docstrings=True)

    id: Id = Field(validation_alias=AliasChoices("id", "_id"))
    text: str
    title: str = ""


class UpsertRequest(Body):
    """`POST /documents`."""

    documents: Annotated[list[NewDocument], Field(min_length=1)]


class DeleteRequest(Body):
    """`DELETE /documents`."""

    ids: Annotated[list[Id], Field(min_length=1)]


class Changed(BaseModel):
    """What became of the documents, and how many there are now."""

    documents: int
    added: int
    replaced: int
    deleted: int


class OpenAIError(BaseModel):
    """An error as OpenAI nests it."""

    class Inner(BaseModel):
        """What is wrong, and of what kind it is."""

        message: str
        type: str
        param: str | None
        code: str | None

    error: Inner


class CohereError(BaseModel):
    """An error as Cohere writes it."""

    message: str


class TeiError(BaseModel):
    """An error as TEI writes it."""

    error: str
    error_type: str
