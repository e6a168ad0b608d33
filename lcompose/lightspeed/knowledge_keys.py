"""The keys of lightspeed-stack.yaml for knowledge (RAG and vector stores) and for shields, a part of ``keys``."""

from __future__ import annotations

from lcompose.schema import (
    Key,
    Kind,
    Record,
    by_generation,
    choice,
    either,
    flag,
    listing,
    number,
    optional,
    positive,
    record,
    tagged,
    text,
    url,
    whole,
)

# An id of a vector store's provider, spaces around it left away; "byok_…" are LCORE's own.
STORE_ID = r"^\s*(?!byok_)[a-z0-9_-]+\s*$"
_FILLED: Kind = text(min_length=1)


def _connection(port: Kind) -> Record:
    """What a store in PostgreSQL needs; what is absent comes from variables."""
    return {
        "host": Key(optional(text()), default="${env.POSTGRES_HOST}", doc="PostgreSQL's host, for pgvector."),
        "port": Key(optional(port), default="${env.POSTGRES_PORT}", doc="PostgreSQL's port, for pgvector."),
        "db": Key(optional(text()), default="${env.POSTGRES_DATABASE}", doc="The database, for pgvector."),
        "user": Key(optional(text()), default="${env.POSTGRES_USER}", doc="Who connects, for pgvector."),
        "password": Key(
            optional(text()), role="secret", default="${env.POSTGRES_PASSWORD}", doc="The password, for pgvector."
        ),
    }


_ANY_STORE: Record = {
    "rag_id": Key(_FILLED, required=True, doc="The name by which retrieval means it."),
    "embedding_model": Key(
        _FILLED, default="sentence-transformers/all-mpnet-base-v2", doc="The model that the knowledge was indexed with."
    ),
    "embedding_dimension": Key(positive(), default=768, doc="How long that model's vectors are."),
    "vector_db_id": Key(_FILLED, required=True, doc="The id of the store in Llama Stack."),
    "db_path": Key(optional(text()), role="index", doc="The database file; faiss needs it."),
    "score_multiplier": Key(number(gt=0), default=1.0, doc="How much its results count beside others'."),
}

BYOK_STORE: Record = {
    **_ANY_STORE,
    "backend": Key(choice("faiss", "pgvector"), default="faiss", doc="What kind of database it is."),
    "relevance_cutoff_score": Key(number(gt=0), default=0.3, doc="Results below this are left out."),
    **_connection(either(text(), whole())),
}

OLDER_BYOK_STORE: Record = {
    **_ANY_STORE,
    "rag_type": Key(_FILLED, default="inline::faiss", doc="What kind of database it is: inline::faiss, for one."),
    **_connection(text()),
}

OLDER_OKP: Record = {
    "rhokp_url": Key(optional(url()), default="http://localhost:8081", doc="Where the Offline Knowledge Portal is."),
    "offline": Key(flag(), default=True, doc="Give sources as the portal's own pages, not those on the internet."),
    "chunk_filter_query": Key(optional(text()), doc="Solr's words for which documents count."),
}

OKP: Record = {
    **OLDER_OKP,
    "search_mode": Key(optional(choice("semantic", "hybrid", "keyword")), default="hybrid", doc="How it searches."),
    "max_chunks": Key(positive(), default=5, doc="The most pieces of text that it gives."),
}

RERANKER: Record = {
    "enabled": Key(flag(), default=False, doc="Sort results again by a model; on by itself with BYOK and OKP inline."),
    "model": Key(text(), default="cross-encoder/ms-marco-MiniLM-L6-v2", doc="That model."),
}

_STRATEGY: Record = {
    "sources": Key(listing(text()), default=[], doc="The rag_id of each store to search, and 'okp'."),
    "max_chunks": Key(positive(), default=10, doc="The most pieces of text that it gives."),
    "reranker": Key(optional(record(RERANKER)), doc="Sorting results again; for inline only."),
}

_BYOK: Record = {
    "max_chunks": Key(positive(), default=10, doc="The most pieces of text of all stores together."),
    "stores": Key(listing(record(BYOK_STORE)), default=[], doc="The stores."),
}

_RETRIEVAL: Record = {
    "inline": Key(record(_STRATEGY), default={}, doc="Search before the model is asked."),
    "tool": Key(record(_STRATEGY), default={}, doc="Let the model search when it wants to."),
}

RAG: Record = {
    "byok": Key(record(_BYOK), default={}, doc="Your own knowledge."),
    "okp": Key(record(OKP), default={}, doc="The Offline Knowledge Portal; used when a source is 'okp'."),
    "retrieval": Key(record(_RETRIEVAL), default={}, doc="Which of it is searched, and when."),
    "inline": Key(listing(text()), until="0.6", default=[], doc="What is searched before the model is asked."),
    "tool": Key(listing(text()), until="0.6", default=[], doc="What the model may search when it wants to."),
}

_STORE_PROVIDER: Record = {
    "id": Key(
        text(min_length=1, pattern=STORE_ID, regex_engine="python-re"),
        required=True,
        doc="Its name in run.yaml, of small letters, digits, '_' and '-', and not beginning with 'byok_'.",
    ),
    "embedding_model": Key(_FILLED, required=True, doc="The model that new stores are indexed with."),
    "embedding_dimension": Key(positive(), required=True, doc="How long that model's vectors are."),
}

_FAISS: Record = {"path": Key(_FILLED, required=True, role="index", doc="The database file.")}


def _store_provider(name: str, config: Record) -> Kind:
    tag = Key(choice(name), required=True, doc="What kind of database it is.")
    settings = Key(record(config), required=True, doc="Where it keeps its data.")
    return record({"type": tag, **_STORE_PROVIDER, "config": settings})


VECTOR_STORE: Record = {
    "default_provider": Key(optional(text()), doc="The id of the provider that new stores go to."),
    "providers": Key(
        listing(
            tagged(
                "type",
                {
                    "faiss": _store_provider("faiss", _FAISS),
                    "pgvector": _store_provider("pgvector", _connection(either(text(), whole()))),
                },
            )
        ),
        default=[],
        doc="Where stores can be made while the service runs.",
    ),
}

_VALIDITY: Record = {
    "model_id": Key(text(), required=True, doc="The model that judges questions."),
    "model_prompt": Key(text(), doc="What it is told."),
    "invalid_question_response": Key(text(), doc="What people get for a question that is not valid."),
}

_REDACTION_RULE: Record = {
    "pattern": Key(text(), required=True, doc="A regular expression for what is taken out."),
    "replacement": Key(text(), required=True, doc="What comes in its place."),
    "case_sensitive": Key(optional(flag()), doc="For this rule; the shield's own if unset."),
}

_REDACTION: Record = {
    "rules": Key(listing(record(_REDACTION_RULE)), default=[], doc="What is taken out, one after another."),
    "case_sensitive": Key(flag(), default=False, doc="Whether small and capital letters differ."),
}

_RISK: Record = {
    "name": Key(text(), required=True, doc="The risk's name."),
    "description": Key(text(), required=True, doc="What the model is told that the risk is."),
    "threshold": Key(number(ge=0, le=1), default=0.65, doc="The score from which it counts."),
    "enabled": Key(flag(), default=True, doc="Whether it is looked for."),
    "enable_thinking": Key(flag(), default=False, doc="Whether the model explains itself first."),
    "points": Key(
        listing(choice("input", "output", "tool"), min_length=1), required=True, doc="Which texts are looked at."
    ),
    "violation_message": Key(text(), required=True, doc="What people get when it is found."),
}

_GUARDIAN: Record = {
    "url": Key(text(), required=True, doc="Where the model is served, in OpenAI's way; https if it needs a key."),
    "model_id": Key(text(), default="ibm-granite/granite-guardian-4.1-8b", doc="What the server calls the model."),
    "api_key": Key(optional(text()), role="secret", doc="The key for it."),
    "max_retries": Key(positive(le=5), default=2, doc="How often a call is tried again."),
    "timeout": Key(whole(ge=5, le=300), default=30, doc="Seconds that a call may take."),
    "verify_ssl": Key(
        either(flag(), text()), role="file", default=True, doc="Check the certificate, or a file with authorities."
    ),
    "parallel": Key(
        either(flag(strict=True), whole(ge=1, le=10)), default=3, doc="How many risks are looked for at once."
    ),
    "risks": Key(listing(record(_RISK)), required=True, doc="What is looked for."),
    "streaming_output_check_interval_tokens": Key(
        positive(), default=50, doc="After how many tokens of an answer it is looked at again."
    ),
}


def _shield(name: str, config: Record) -> Kind:
    return record(
        {
            "name": Key(text(), required=True, doc="The shield's name, only one of its kind."),
            "provider_id": Key(choice(name), required=True, doc="What kind of shield it is."),
            "config": Key(record(config), required=True, doc="Its settings."),
        }
    )


_OLDER_SHIELDS = {
    "question_validity": _shield("question_validity", _VALIDITY),
    "redaction": _shield("redaction", _REDACTION),
}

SHIELD: Kind = by_generation(
    {
        "": tagged("provider_id", _OLDER_SHIELDS),
        "0.7": tagged("provider_id", _OLDER_SHIELDS | {"granite_guardian": _shield("granite_guardian", _GUARDIAN)}),
    }
)
