"""Small files that together have most keys: what the fuzzer has where upstream's files are not here."""

from __future__ import annotations

_LIGHTSPEED = [
    """\
name: demo
service: {host: localhost, port: 8080, workers: 1, root_path: "/x", cors: {allow_origins: ["*"]}}
ogx:
  url: http://localhost:8321
  api_key: ${env.OPENAI_API_KEY:=abcd-efgh}
user_data_collection: {feedback_enabled: true, feedback_storage: /data/feedback}
""",
    """\
name: all
service:
  port: ${env.PORT:=8080}
  tls_config: {tls_certificate_path: cert.pem, tls_key_path: /certs/key.pem}
llama_stack: {url: "https://llama-stack:8321", timeout: 5, max_retries: 3}
user_data_collection: {transcripts_enabled: true, transcripts_storage: "${env.A:+/data}"}
database: {postgres: {host: localhost, db: a, user: b, password: "${env.A}", ca_cert_path: ca.pem}}
conversation_cache: {type: sqlite, sqlite: {db_path: ~/cache.db}}
a2a_state: {sqlite: {db_path: /data/a2a.db}}
quota_handlers:
  sqlite: {db_path: quota.db}
  limiters: [{type: user_limiter, name: x, initial_quota: 1, quota_increase: 1, period: "1 day"}]
mcp_servers:
- {name: one, url: "http://mcp:3000", authorization_headers: {Authorization: /tokens/one}}
- {name: two, url: "http://localhost:3001", headers: [X-A], require_approval: {always: [a]}}
authentication: {module: noop-with-token, skip_for_health_probes: true}
authorization: {access_rules: [{role: "*", actions: [info]}]}
inference: {default_provider: openai, default_model: gpt-4o-mini}
customization: {system_prompt_path: prompts/system.txt, profile_path: profile.py}
rag:
  byok: {stores: [{rag_id: a, vector_db_id: vs_1, db_path: kb/faiss.db}]}
  okp: {offline: true}
  retrieval: {inline: {sources: [a, okp], reranker: {enabled: true}}}
splunk: {enabled: true, url: "https://splunk:8088", token_path: token, index: main}
azure_entra_id: {tenant_id: "${env.A}", client_id: x, client_secret: a-very-secret-one}
skills: {paths: [skills]}
shields: [{name: pii, provider_id: redaction, config: {rules: [{pattern: "[0-9]+", replacement: x}]}}]
observability: {otel: {OTEL_SERVICE_NAME: x}}
container: {image: "example.com/llama-stack:1.2.5", limits: {memory: 4g, cpus: 2}, ports: ["8321:8321"]}
""",
    """\
name: library
service: {}
llama_stack:
  use_as_library_client: true
  config:
    baseline: empty
    profile: run.yaml
    native_override: {version: 2, providers: {inference: [{provider_id: x, provider_type: "remote::openai"}]}}
inference: {providers: [{type: ollama, id: o, extra: {base_url: "http://ollama:11434/v1"}}]}
vector_store: {default_provider: f, providers: [{type: faiss, id: f, embedding_model: m, embedding_dimension: 1}]}
user_data_collection: {}
""",
]
_RUN = [
    """\
version: 2
distro_name: demo
apis: [inference, tool_runtime]
providers:
  inference:
  - provider_id: ${env.OPENAI_API_KEY:+openai}
    provider_type: remote::openai
    config: {api_key: "${env.OPENAI_API_KEY:=}", base_url: "${env.OPENAI_BASE_URL:=http://model:9000/v1}"}
""",
    """\
version: '2'
image_name: all
server: {port: 8321, tls_certfile: c.pem, tls_keyfile: k.pem, auth: {provider_config: {type: "${env.A:+x}"}}}
external_providers_dir: ~/providers.d
providers:
  inference:
  - {provider_id: "${env.X:=__disabled__}", provider_type: "remote::vllm", config: {base_url: "${env.URL}"}}
  - {provider_id: st, provider_type: "inline::sentence-transformers", config: {}}
  files:
  - provider_id: f
    provider_type: inline::localfs
    config: {storage_dir: "${env.A:=~/files}", metadata_store: {backend: sql_default, table_name: files}}
  vector_io:
  - {provider_id: faiss, provider_type: "inline::faiss", config: {persistence: {backend: kv_default, namespace: x}}}
  - {provider_id: pg, provider_type: "remote::pgvector", config: {host: pg, port: 5432, password: abcd-efgh}}
storage:
  backends:
    kv_default: {type: kv_sqlite, db_path: "${env.KV:=~/.llama/kv.db}"}
    sql_default: {type: sql_postgres, host: localhost, port: 5432, db: x, user: y, password: "${env.A}"}
  stores:
    metadata: {backend: kv_default, namespace: registry}
    prompts: {backend: sql_default, table_name: prompts}
registered_resources:
  models: [{model_id: "${env.MODEL:=m}", provider_id: st, model_type: embedding, metadata: {embedding_dimension: 1}}]
  vector_stores: [{vector_store_id: "${env.VS:+v}", embedding_model: m, embedding_dimension: 1}]
vector_stores: {default_provider_id: faiss}
""",
    """\
version: '2'
image_name: older
metadata_store: {type: sqlite, db_path: .llama/registry.db}
inference_store: {type: sqlite, db_path: .llama/inference.db}
providers:
  agents:
  - provider_id: meta-reference
    provider_type: inline::meta-reference
    config: {persistence_store: {type: sqlite, namespace: null, db_path: .llama/agents.db}}
models: [{model_id: m, provider_id: p}]
shields: []
""",
]
SAMPLES = {"lightspeed-stack": _LIGHTSPEED, "run": _RUN}
