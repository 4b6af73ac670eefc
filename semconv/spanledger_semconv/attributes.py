"""Attribute names, generated from `registry/`; do not edit.

Regenerate with `python -m spanledger_semconv.generate`.
"""
# ruff: noqa: S105 - `token` in a name is a token of a model, not a secret

from typing import Final

# What kind of call this is, and which conversation it belongs to.
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
"""The kind of operation that the span covers."""
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
"""The provider that serves the call, as far as the client library can tell."""
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
"""The conversation, session or thread at the provider or in the application."""
GEN_AI_CONVERSATION_COMPACTED: Final = "gen_ai.conversation.compacted"
"""True when the provider shortened the conversation before answering."""
GEN_AI_OUTPUT_TYPE: Final = "gen_ai.output.type"
"""The form of output that the caller asked for."""
GEN_AI_DATA_SOURCE_ID: Final = "gen_ai.data_source.id"
"""The data source that a retrieval or a grounded call reads."""

# What the caller sent. A parameter that the caller did not send is absent.
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
"""The model name or alias that was asked for."""
GEN_AI_REQUEST_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
"""The most tokens that the model may generate."""
GEN_AI_REQUEST_CHOICE_COUNT: Final = "gen_ai.request.choice.count"
"""How many candidate answers were asked for."""
GEN_AI_REQUEST_TEMPERATURE: Final = "gen_ai.request.temperature"
"""Sampling temperature."""
GEN_AI_REQUEST_TOP_P: Final = "gen_ai.request.top_p"
"""Nucleus sampling threshold."""
GEN_AI_REQUEST_TOP_K: Final = "gen_ai.request.top_k"
"""How many of the likeliest tokens sampling may choose from."""
GEN_AI_REQUEST_STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
"""Texts at which generation stops."""
GEN_AI_REQUEST_FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
"""Penalty for tokens by how often they occurred."""
GEN_AI_REQUEST_PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
"""Penalty for tokens that occurred at all."""
GEN_AI_REQUEST_SEED: Final = "gen_ai.request.seed"
"""Seed for repeatable sampling."""
GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
"""True when the answer was asked for as a stream."""
GEN_AI_REQUEST_ENCODING_FORMATS: Final = "gen_ai.request.encoding_formats"
"""Encodings asked for in an embeddings call."""
GEN_AI_REQUEST_REASONING_LEVEL: Final = "gen_ai.request.reasoning.level"
"""How much reasoning was asked for."""
GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID: Final = "gen_ai.request.previous_response.id"
"""The earlier response that this request continues."""
GEN_AI_REQUEST_STREAM_CURSOR: Final = "gen_ai.request.stream_cursor"
"""The position from which an interrupted stream is read on."""

# What the provider answered.
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
"""The provider's id of the answer."""
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
"""The model that answered."""
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
"""Why generation stopped, one per choice."""
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
"""Seconds from the request to the first chunk of a stream."""
GEN_AI_RESPONSE_STATUS: Final = "gen_ai.response.status"
"""State of a response that the provider works on in the background."""

# Token counts as reported. A count that nobody reported is absent.
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
"""All input tokens, cached and cache-write tokens included."""
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
"""All output tokens, reasoning included."""
GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
"""Input tokens served from the provider's cache; a part of input_tokens."""
GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: Final = "gen_ai.usage.cache_write.input_tokens"
"""Input tokens written to the provider's cache; a part of input_tokens."""
GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
"""Older name of the cache-write count. Deprecated: gen_ai.usage.cache_write.input_tokens."""
GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
"""Output tokens spent on reasoning; a part of output_tokens."""
GEN_AI_USAGE_TEXT_INPUT_TOKENS: Final = "gen_ai.usage.text.input_tokens"
"""Text share of input_tokens, where the provider reports one."""
GEN_AI_USAGE_TEXT_OUTPUT_TOKENS: Final = "gen_ai.usage.text.output_tokens"
"""Text share of output_tokens, where the provider reports one."""
GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.text.cache_read.input_tokens"
"""Text share of cached input_tokens, where the provider reports one."""
GEN_AI_USAGE_IMAGE_INPUT_TOKENS: Final = "gen_ai.usage.image.input_tokens"
"""Image share of input_tokens, where the provider reports one."""
GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.image.output_tokens"
"""Image share of output_tokens, where the provider reports one."""
GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.image.cache_read.input_tokens"
"""Image share of cached input_tokens, where the provider reports one."""
GEN_AI_USAGE_AUDIO_INPUT_TOKENS: Final = "gen_ai.usage.audio.input_tokens"
"""Audio share of input_tokens, where the provider reports one."""
GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: Final = "gen_ai.usage.audio.output_tokens"
"""Audio share of output_tokens, where the provider reports one."""
GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS: Final = "gen_ai.usage.audio.cache_read.input_tokens"
"""Audio share of cached input_tokens, where the provider reports one."""
GEN_AI_USAGE_COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
"""Cost of the call (proposed, not adopted: semantic-conventions-genai pull request 443)."""
GEN_AI_USAGE_COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
"""ISO 4217 currency of the cost (proposed)."""
GEN_AI_USAGE_COST_SOURCE: Final = "gen_ai.usage.cost.source"
"""Who computed the cost (proposed)."""

# What was said.
GEN_AI_SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
"""Instructions that the API takes apart from the messages."""
GEN_AI_INPUT_MESSAGES: Final = "gen_ai.input.messages"
"""Messages sent to the model, in order."""
GEN_AI_OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
"""Messages that the model answered, one per choice."""
GEN_AI_TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"
"""Tools that the model may call."""

# Which prompt was used.
GEN_AI_PROMPT_NAME: Final = "gen_ai.prompt.name"
"""Name of the prompt or prompt template."""
GEN_AI_PROMPT_VERSION: Final = "gen_ai.prompt.version"
"""Version of the prompt."""
GEN_AI_PROMPT_VARIABLE: Final = "gen_ai.prompt.variable"
"""Values filled into the template, by variable name."""

# Agents and workflows.
GEN_AI_AGENT_ID: Final = "gen_ai.agent.id"
"""Id of the agent."""
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
"""Name that the application gives the agent."""
GEN_AI_AGENT_DESCRIPTION: Final = "gen_ai.agent.description"
"""What the agent is for."""
GEN_AI_AGENT_VERSION: Final = "gen_ai.agent.version"
"""Version of the agent."""
GEN_AI_WORKFLOW_NAME: Final = "gen_ai.workflow.name"
"""Name of the workflow; few distinct values, no type names."""

# Tools and skills.
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
"""Name of the tool."""
GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"
"""Who runs the tool: function, extension or datastore."""
GEN_AI_TOOL_DESCRIPTION: Final = "gen_ai.tool.description"
"""What the tool is for."""
GEN_AI_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
"""Id of this call."""
GEN_AI_TOOL_CALL_ARGUMENTS: Final = "gen_ai.tool.call.arguments"
"""What the tool was called with."""
GEN_AI_TOOL_CALL_RESULT: Final = "gen_ai.tool.call.result"
"""What the tool gave back."""
GEN_AI_SKILL_NAME: Final = "gen_ai.skill.name"
"""Name of the skill."""
GEN_AI_SKILL_DESCRIPTION: Final = "gen_ai.skill.description"
"""What the skill is for."""
GEN_AI_SKILL_SOURCE_URI: Final = "gen_ai.skill.source.uri"
"""Where the skill comes from."""
GEN_AI_SKILL_RESOURCE_NAME: Final = "gen_ai.skill.resource.name"
"""The skill's resource that was read."""

# Retrieval and memory.
GEN_AI_RETRIEVAL_QUERY_TEXT: Final = "gen_ai.retrieval.query.text"
"""What was searched for."""
GEN_AI_RETRIEVAL_TOP_K: Final = "gen_ai.retrieval.top_k"
"""How many documents were asked for."""
GEN_AI_RETRIEVAL_DOCUMENTS: Final = "gen_ai.retrieval.documents"
"""What was found."""
GEN_AI_MEMORY_STORE_ID: Final = "gen_ai.memory.store.id"
"""The memory store."""
GEN_AI_MEMORY_RECORD_ID: Final = "gen_ai.memory.record.id"
"""The memory record."""
GEN_AI_MEMORY_RECORD_COUNT: Final = "gen_ai.memory.record.count"
"""How many records were touched or found."""
GEN_AI_MEMORY_QUERY_TEXT: Final = "gen_ai.memory.query.text"
"""What was looked up in memory."""
GEN_AI_MEMORY_RECORDS: Final = "gen_ai.memory.records"
"""The records themselves."""

# Evaluations.
GEN_AI_EVALUATION_NAME: Final = "gen_ai.evaluation.name"
"""Which evaluation was made."""
GEN_AI_EVALUATION_SCORE_VALUE: Final = "gen_ai.evaluation.score.value"
"""Its score."""
GEN_AI_EVALUATION_SCORE_LABEL: Final = "gen_ai.evaluation.score.label"
"""Its label."""
GEN_AI_EVALUATION_EXPLANATION: Final = "gen_ai.evaluation.explanation"
"""Why."""
GEN_AI_EMBEDDINGS_DIMENSION_COUNT: Final = "gen_ai.embeddings.dimension.count"
"""Length of the vectors asked for."""

# Dimensions of metrics.
GEN_AI_TOKEN_TYPE: Final = "gen_ai.token.type"
"""Kind of the tokens counted."""
GEN_AI_TOKEN_MODALITY: Final = "gen_ai.token.modality"
"""Modality of the tokens counted; unknown when the provider does not say."""

# Older names that other instrumentations still emit; read, never written.
GEN_AI_SYSTEM: Final = "gen_ai.system"
"""Provider. Deprecated: gen_ai.provider.name."""
GEN_AI_USAGE_PROMPT_TOKENS: Final = "gen_ai.usage.prompt_tokens"
"""Input tokens. Deprecated: gen_ai.usage.input_tokens."""
GEN_AI_USAGE_COMPLETION_TOKENS: Final = "gen_ai.usage.completion_tokens"
"""Output tokens. Deprecated: gen_ai.usage.output_tokens."""
GEN_AI_PROMPT: Final = "gen_ai.prompt"
"""Prompt text, or the prefix of indexed prompts. Deprecated: gen_ai.input.messages."""
GEN_AI_COMPLETION: Final = "gen_ai.completion"
"""Completion text, or the prefix of indexed completions. Deprecated: gen_ai.output.messages."""

# Model Context Protocol.
MCP_METHOD_NAME: Final = "mcp.method.name"
"""The JSON-RPC method."""
MCP_PROTOCOL_VERSION: Final = "mcp.protocol.version"
"""Protocol revision in use."""
MCP_SESSION_ID: Final = "mcp.session.id"
"""Session of revisions before 2026-07-28; later ones have none."""
MCP_RESOURCE_URI: Final = "mcp.resource.uri"
"""The resource that was read."""
JSONRPC_REQUEST_ID: Final = "jsonrpc.request.id"
"""Id of the JSON-RPC request."""
JSONRPC_PROTOCOL_VERSION: Final = "jsonrpc.protocol.version"
"""JSON-RPC version when it is not 2.0."""
RPC_RESPONSE_STATUS_CODE: Final = "rpc.response.status_code"
"""Error code of the JSON-RPC answer."""
NETWORK_TRANSPORT: Final = "network.transport"
"""What the bytes travel on."""

# What a row is.
SPANLEDGER_EVENT_TYPE: Final = "spanledger.event.type"
"""Event type of the row, where the operation name does not say it."""
SPANLEDGER_EVENT_OUTCOME: Final = "spanledger.event.outcome"
"""How it ended, where the span's status does not say it."""
SPANLEDGER_PARENT_EVENT_ID: Final = "spanledger.parent_event.id"
"""Event that this one is about: a review's subject, an outcome's intent."""
SPANLEDGER_ATTEMPT: Final = "spanledger.attempt"
"""Number of this attempt, from 1."""
SPANLEDGER_IDEMPOTENCY_KEY: Final = "spanledger.idempotency_key"
"""Key under which repeating the same act has no further effect."""
SPANLEDGER_CONFIDENCE: Final = "spanledger.confidence"
"""How sure the system was, from 0 to 1."""

# Who acts.
SPANLEDGER_ACTOR_TYPE: Final = "spanledger.actor.type"
"""Kind of actor."""
SPANLEDGER_ACTOR_ID: Final = "spanledger.actor.id"
"""Who."""
SPANLEDGER_ACTOR_ROLE: Final = "spanledger.actor.role"
"""In which role."""
SPANLEDGER_ACTOR_RUN_ID: Final = "spanledger.actor.run_id"
"""Which run of the actor."""

# Business context; reaches every span's row inside the block that set it.
SPANLEDGER_TENANT: Final = "spanledger.tenant"
"""Tenant that the row belongs to."""
SPANLEDGER_ENVIRONMENT: Final = "spanledger.environment"
"""Deployment environment."""
SPANLEDGER_CASE_ID: Final = "spanledger.case.id"
"""Case, ticket, file or claim."""
SPANLEDGER_SESSION_ID: Final = "spanledger.session.id"
"""Session of the person or process served."""
SPANLEDGER_USER_ID: Final = "spanledger.user.id"
"""Person served; tokenised before it reaches an envelope."""
SPANLEDGER_TRIGGER: Final = "spanledger.trigger"
"""What set this off."""
SPANLEDGER_CONTEXT: Final = "spanledger.context"
"""Further business identifiers, by a key of the application's choice."""

# Which prompt.
SPANLEDGER_PROMPT_HASH: Final = "spanledger.prompt.hash"
"""Lower-case hex SHA-256 over the system instructions and the template-stable parts of the request."""
SPANLEDGER_PROMPT_TEMPLATE: Final = "spanledger.prompt.template"
"""The template itself."""
SPANLEDGER_PROMPT_MATCH: Final = "spanledger.prompt.match"
"""How name and version are known: said by the application, found by content, or not found."""

# Versions in force.
SPANLEDGER_TOOL_VERSION: Final = "spanledger.tool.version"
"""Version that the application gives a tool."""
SPANLEDGER_TOOL_DIGEST: Final = "spanledger.tool.digest"
"""Lower-case hex SHA-256 of the tool's definition."""
SPANLEDGER_TOOL_DIGESTS: Final = "spanledger.tool.digests"
"""One `name=digest` per tool offered to the model."""
SPANLEDGER_RETRIEVAL_INDEX_NAME: Final = "spanledger.retrieval.index.name"
"""Index or corpus that retrieval reads."""
SPANLEDGER_RETRIEVAL_INDEX_VERSION: Final = "spanledger.retrieval.index.version"
"""Its version."""
SPANLEDGER_RETRIEVAL_INDEX_DIGEST: Final = "spanledger.retrieval.index.digest"
"""Digest of its manifest, where there is one."""
SPANLEDGER_POLICY_NAME: Final = "spanledger.policy.name"
"""Policy or rule set in force."""
SPANLEDGER_POLICY_VERSION: Final = "spanledger.policy.version"
"""Its version."""
SPANLEDGER_DATASET_NAME: Final = "spanledger.dataset.name"
"""Data set in use."""
SPANLEDGER_DATASET_VERSION: Final = "spanledger.dataset.version"
"""Its version."""
SPANLEDGER_WORKFLOW_ID: Final = "spanledger.workflow.id"
"""Workflow."""
SPANLEDGER_WORKFLOW_VERSION: Final = "spanledger.workflow.version"
"""Its version."""
SPANLEDGER_CODE_VERSION: Final = "spanledger.code.version"
"""Version or commit of the code that ran."""
SPANLEDGER_CALL_SITE_MODULE: Final = "spanledger.call_site.module"
"""Module that made the call."""
SPANLEDGER_CALL_SITE_FUNCTION: Final = "spanledger.call_site.function"
"""Qualified function that made the call."""
SPANLEDGER_CALL_SITE_LINE: Final = "spanledger.call_site.line"
"""Line of the call."""

# Body of a decision.
SPANLEDGER_DECISION_NAME: Final = "spanledger.decision.name"
"""Which decision."""
SPANLEDGER_DECISION_CONDITION: Final = "spanledger.decision.condition"
"""Rule or condition that was evaluated."""
SPANLEDGER_DECISION_RESULT: Final = "spanledger.decision.result"
"""What came out."""
SPANLEDGER_DECISION_BRANCHES_SKIPPED: Final = "spanledger.decision.branches_skipped"
"""What was not taken."""
SPANLEDGER_DECISION_IS_DEFAULT: Final = "spanledger.decision.is_default"
"""True when no rule applied and the default was taken."""
SPANLEDGER_DECISION_CONFIDENCE: Final = "spanledger.decision.confidence"
"""How sure, from 0 to 1."""
SPANLEDGER_DECISION_RATIONALE: Final = "spanledger.decision.rationale"
"""Why."""
SPANLEDGER_DECISION_POLICY_NAME: Final = "spanledger.decision.policy.name"
"""Policy that was applied."""
SPANLEDGER_DECISION_POLICY_VERSION: Final = "spanledger.decision.policy.version"
"""Its version."""

# Body of a human review.
SPANLEDGER_REVIEW_REVIEWER_ID: Final = "spanledger.review.reviewer.id"
"""Who reviewed."""
SPANLEDGER_REVIEW_REVIEWER_ROLE: Final = "spanledger.review.reviewer.role"
"""In which role."""
SPANLEDGER_REVIEW_ACTION: Final = "spanledger.review.action"
"""What the reviewer did."""
SPANLEDGER_REVIEW_SECONDS_SPENT: Final = "spanledger.review.seconds_spent"
"""Time spent, in seconds."""
SPANLEDGER_REVIEW_AUTHOR_ID: Final = "spanledger.review.author.id"
"""Who wrote the draft."""
SPANLEDGER_REVIEW_IS_SELF_REVIEW: Final = "spanledger.review.is_self_review"
"""True when the reviewer wrote the draft: four eyes were not at work."""
SPANLEDGER_REVIEW_SEEN_EVENT_IDS: Final = "spanledger.review.seen.event_ids"
"""Events that the reviewer saw."""
SPANLEDGER_REVIEW_SEEN_HASHES: Final = "spanledger.review.seen.hashes"
"""Lower-case hex SHA-256 of what the reviewer saw, in order."""
SPANLEDGER_REVIEW_DRAFT_HASH: Final = "spanledger.review.draft.hash"
"""Lower-case hex SHA-256 of the draft."""
SPANLEDGER_REVIEW_FINAL_HASH: Final = "spanledger.review.final.hash"
"""Lower-case hex SHA-256 of the final version."""
SPANLEDGER_REVIEW_CHANGES_INSERTED: Final = "spanledger.review.changes.inserted"
"""Characters put in between draft and final."""
SPANLEDGER_REVIEW_CHANGES_DELETED: Final = "spanledger.review.changes.deleted"
"""Characters taken out between draft and final."""

# Body of an external action.
SPANLEDGER_ACTION_NAME: Final = "spanledger.action.name"
"""What is done in the world."""
SPANLEDGER_ACTION_TARGET: Final = "spanledger.action.target"
"""Where or to whom."""
SPANLEDGER_ACTION_IDEMPOTENCY_KEY: Final = "spanledger.action.idempotency_key"
"""Key under which repeating it has no further effect."""
SPANLEDGER_ACTION_STATUS: Final = "spanledger.action.status"
"""What the other side said."""
SPANLEDGER_ACTION_REFERENCE: Final = "spanledger.action.reference"
"""The other side's id of the act."""
SPANLEDGER_ACTION_IS_REVERSIBLE: Final = "spanledger.action.is_reversible"
"""Whether it can be undone."""

# Body of an escalation.
SPANLEDGER_ESCALATION_TO: Final = "spanledger.escalation.to"
"""To whom."""
SPANLEDGER_ESCALATION_REASON: Final = "spanledger.escalation.reason"
"""Why, in a word."""
SPANLEDGER_ESCALATION_SEVERITY: Final = "spanledger.escalation.severity"
"""How urgent."""
SPANLEDGER_ESCALATION_DUE: Final = "spanledger.escalation.due"
"""Until when, ISO 8601."""

# Cost and where the figure comes from.
SPANLEDGER_COST_USD: Final = "spanledger.cost.usd"
"""Cost in US dollars, decimal."""
SPANLEDGER_COST_INPUT_USD: Final = "spanledger.cost.input_usd"
"""Share of the input."""
SPANLEDGER_COST_OUTPUT_USD: Final = "spanledger.cost.output_usd"
"""Share of the output."""
SPANLEDGER_COST_PRICE_SOURCE: Final = "spanledger.cost.price_source"
"""Where the price comes from."""
SPANLEDGER_COST_PRICE_VERSION: Final = "spanledger.cost.price_version"
"""Version of the price list and hash of the price row."""

# How we know.
SPANLEDGER_CAPTURE_TIER: Final = "spanledger.capture.tier"
"""Captured in the process itself, or received over the wire."""
SPANLEDGER_CAPTURE_DIALECT: Final = "spanledger.capture.dialect"
"""Which vocabulary the span spoke."""
SPANLEDGER_CAPTURE_SAMPLED: Final = "spanledger.capture.sampled"
"""Whether tracing backends got the span too."""
SPANLEDGER_USAGE_SOURCE: Final = "spanledger.usage.source"
"""Where the token counts come from."""

# A prompt, tool, index, model, policy or data set that was registered or first seen.
SPANLEDGER_ARTIFACT_KIND: Final = "spanledger.artifact.kind"
"""What it is."""
SPANLEDGER_ARTIFACT_NAME: Final = "spanledger.artifact.name"
"""Its name."""
SPANLEDGER_ARTIFACT_VERSION: Final = "spanledger.artifact.version"
"""Its version."""
SPANLEDGER_ARTIFACT_DIGEST: Final = "spanledger.artifact.digest"
"""Lower-case hex SHA-256 of its content."""
SPANLEDGER_ARTIFACT_OWNER: Final = "spanledger.artifact.owner"
"""Who answers for it."""

# OpenAI.
OPENAI_API_TYPE: Final = "openai.api.type"
"""Which API was called."""
OPENAI_REQUEST_SERVICE_TIER: Final = "openai.request.service_tier"
"""Service tier that was asked for."""
OPENAI_RESPONSE_SERVICE_TIER: Final = "openai.response.service_tier"
"""Service tier that served the call; decides the price."""
OPENAI_RESPONSE_SYSTEM_FINGERPRINT: Final = "openai.response.system_fingerprint"
"""Fingerprint of the serving configuration."""

# Anthropic; names as its own SDK gives them.
ANTHROPIC_REQUEST_SERVICE_TIER: Final = "anthropic.request.service_tier"
"""Service tier that was asked for."""
ANTHROPIC_RESPONSE_SERVICE_TIER: Final = "anthropic.response.service_tier"
"""Service tier that served the call; decides the price."""
ANTHROPIC_REQUEST_SPEED: Final = "anthropic.request.speed"
"""Speed that was asked for."""
ANTHROPIC_RESPONSE_SPEED: Final = "anthropic.response.speed"
"""Speed at which the call was served; `fast` has a price of its own."""
ANTHROPIC_THINKING_TYPE: Final = "anthropic.thinking.type"
"""How thinking was asked for."""
ANTHROPIC_THINKING_BUDGET_TOKENS: Final = "anthropic.thinking.budget_tokens"
"""Most tokens that thinking may take."""
ANTHROPIC_MESSAGE_STOP_REASON: Final = "anthropic.message.stop_reason"
"""Anthropic's own word for why the message ended."""
ANTHROPIC_REQUEST_ID: Final = "anthropic.request.id"
"""Id of the request, for Anthropic's support."""

# AWS Bedrock.
AWS_BEDROCK_GUARDRAIL_ID: Final = "aws.bedrock.guardrail.id"
"""The guardrail in force."""
AWS_BEDROCK_KNOWLEDGE_BASE_ID: Final = "aws.bedrock.knowledge_base.id"
"""The knowledge base that was read."""

# Azure.
AZURE_RESOURCE_PROVIDER_NAMESPACE: Final = "azure.resource_provider.namespace"
"""Azure resource provider."""

# General attributes.
ERROR_TYPE: Final = "error.type"
"""Kind of failure, few distinct values."""
SERVER_ADDRESS: Final = "server.address"
"""Host that was called."""
SERVER_PORT: Final = "server.port"
"""Port that was called."""
EXCEPTION_TYPE: Final = "exception.type"
"""Class of an exception."""
EXCEPTION_MESSAGE: Final = "exception.message"
"""Text of an exception; may be personal, so the ledger stores it as content."""
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
"""Stack trace of an exception; treated like its text."""
SERVICE_NAME: Final = "service.name"
"""The application."""
SERVICE_VERSION: Final = "service.version"
"""Version of the application."""
SERVICE_INSTANCE_ID: Final = "service.instance.id"
"""The running instance."""
SESSION_ID: Final = "session.id"
"""Session of the end user; read as the envelope's session_id."""
USER_ID: Final = "user.id"
"""End user; tokenised before it reaches an envelope."""
ENDUSER_ID: Final = "enduser.id"
"""Older name of the end user."""

CLEAR: Final = frozenset(
    {
        ANTHROPIC_MESSAGE_STOP_REASON,
        ANTHROPIC_REQUEST_ID,
        ANTHROPIC_REQUEST_SERVICE_TIER,
        ANTHROPIC_REQUEST_SPEED,
        ANTHROPIC_RESPONSE_SERVICE_TIER,
        ANTHROPIC_RESPONSE_SPEED,
        ANTHROPIC_THINKING_BUDGET_TOKENS,
        ANTHROPIC_THINKING_TYPE,
        AWS_BEDROCK_GUARDRAIL_ID,
        AWS_BEDROCK_KNOWLEDGE_BASE_ID,
        AZURE_RESOURCE_PROVIDER_NAMESPACE,
        ERROR_TYPE,
        EXCEPTION_TYPE,
        GEN_AI_AGENT_DESCRIPTION,
        GEN_AI_AGENT_ID,
        GEN_AI_AGENT_NAME,
        GEN_AI_AGENT_VERSION,
        GEN_AI_CONVERSATION_COMPACTED,
        GEN_AI_CONVERSATION_ID,
        GEN_AI_DATA_SOURCE_ID,
        GEN_AI_EMBEDDINGS_DIMENSION_COUNT,
        GEN_AI_EVALUATION_NAME,
        GEN_AI_EVALUATION_SCORE_LABEL,
        GEN_AI_EVALUATION_SCORE_VALUE,
        GEN_AI_MEMORY_RECORD_COUNT,
        GEN_AI_MEMORY_RECORD_ID,
        GEN_AI_MEMORY_STORE_ID,
        GEN_AI_OPERATION_NAME,
        GEN_AI_OUTPUT_TYPE,
        GEN_AI_PROMPT_NAME,
        GEN_AI_PROMPT_VERSION,
        GEN_AI_PROVIDER_NAME,
        GEN_AI_REQUEST_CHOICE_COUNT,
        GEN_AI_REQUEST_ENCODING_FORMATS,
        GEN_AI_REQUEST_FREQUENCY_PENALTY,
        GEN_AI_REQUEST_MAX_TOKENS,
        GEN_AI_REQUEST_MODEL,
        GEN_AI_REQUEST_PRESENCE_PENALTY,
        GEN_AI_REQUEST_PREVIOUS_RESPONSE_ID,
        GEN_AI_REQUEST_REASONING_LEVEL,
        GEN_AI_REQUEST_SEED,
        GEN_AI_REQUEST_STOP_SEQUENCES,
        GEN_AI_REQUEST_STREAM,
        GEN_AI_REQUEST_STREAM_CURSOR,
        GEN_AI_REQUEST_TEMPERATURE,
        GEN_AI_REQUEST_TOP_K,
        GEN_AI_REQUEST_TOP_P,
        GEN_AI_RESPONSE_FINISH_REASONS,
        GEN_AI_RESPONSE_ID,
        GEN_AI_RESPONSE_MODEL,
        GEN_AI_RESPONSE_STATUS,
        GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK,
        GEN_AI_RETRIEVAL_TOP_K,
        GEN_AI_SKILL_DESCRIPTION,
        GEN_AI_SKILL_NAME,
        GEN_AI_SKILL_RESOURCE_NAME,
        GEN_AI_SKILL_SOURCE_URI,
        GEN_AI_SYSTEM,
        GEN_AI_TOKEN_MODALITY,
        GEN_AI_TOKEN_TYPE,
        GEN_AI_TOOL_CALL_ID,
        GEN_AI_TOOL_DESCRIPTION,
        GEN_AI_TOOL_NAME,
        GEN_AI_TOOL_TYPE,
        GEN_AI_USAGE_AUDIO_CACHE_READ_INPUT_TOKENS,
        GEN_AI_USAGE_AUDIO_INPUT_TOKENS,
        GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS,
        GEN_AI_USAGE_CACHE_CREATION_INPUT_TOKENS,
        GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS,
        GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS,
        GEN_AI_USAGE_COMPLETION_TOKENS,
        GEN_AI_USAGE_COST_AMOUNT,
        GEN_AI_USAGE_COST_CURRENCY,
        GEN_AI_USAGE_COST_SOURCE,
        GEN_AI_USAGE_IMAGE_CACHE_READ_INPUT_TOKENS,
        GEN_AI_USAGE_IMAGE_INPUT_TOKENS,
        GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS,
        GEN_AI_USAGE_INPUT_TOKENS,
        GEN_AI_USAGE_OUTPUT_TOKENS,
        GEN_AI_USAGE_PROMPT_TOKENS,
        GEN_AI_USAGE_REASONING_OUTPUT_TOKENS,
        GEN_AI_USAGE_TEXT_CACHE_READ_INPUT_TOKENS,
        GEN_AI_USAGE_TEXT_INPUT_TOKENS,
        GEN_AI_USAGE_TEXT_OUTPUT_TOKENS,
        GEN_AI_WORKFLOW_NAME,
        JSONRPC_PROTOCOL_VERSION,
        JSONRPC_REQUEST_ID,
        MCP_METHOD_NAME,
        MCP_PROTOCOL_VERSION,
        MCP_RESOURCE_URI,
        MCP_SESSION_ID,
        NETWORK_TRANSPORT,
        OPENAI_API_TYPE,
        OPENAI_REQUEST_SERVICE_TIER,
        OPENAI_RESPONSE_SERVICE_TIER,
        OPENAI_RESPONSE_SYSTEM_FINGERPRINT,
        RPC_RESPONSE_STATUS_CODE,
        SERVER_ADDRESS,
        SERVER_PORT,
        SERVICE_INSTANCE_ID,
        SERVICE_NAME,
        SERVICE_VERSION,
        SPANLEDGER_ACTION_IDEMPOTENCY_KEY,
        SPANLEDGER_ACTION_IS_REVERSIBLE,
        SPANLEDGER_ACTION_NAME,
        SPANLEDGER_ACTION_REFERENCE,
        SPANLEDGER_ACTION_STATUS,
        SPANLEDGER_ACTION_TARGET,
        SPANLEDGER_ACTOR_ID,
        SPANLEDGER_ACTOR_ROLE,
        SPANLEDGER_ACTOR_RUN_ID,
        SPANLEDGER_ACTOR_TYPE,
        SPANLEDGER_ARTIFACT_DIGEST,
        SPANLEDGER_ARTIFACT_KIND,
        SPANLEDGER_ARTIFACT_NAME,
        SPANLEDGER_ARTIFACT_OWNER,
        SPANLEDGER_ARTIFACT_VERSION,
        SPANLEDGER_ATTEMPT,
        SPANLEDGER_CALL_SITE_FUNCTION,
        SPANLEDGER_CALL_SITE_LINE,
        SPANLEDGER_CALL_SITE_MODULE,
        SPANLEDGER_CAPTURE_DIALECT,
        SPANLEDGER_CAPTURE_SAMPLED,
        SPANLEDGER_CAPTURE_TIER,
        SPANLEDGER_CASE_ID,
        SPANLEDGER_CODE_VERSION,
        SPANLEDGER_CONFIDENCE,
        SPANLEDGER_COST_INPUT_USD,
        SPANLEDGER_COST_OUTPUT_USD,
        SPANLEDGER_COST_PRICE_SOURCE,
        SPANLEDGER_COST_PRICE_VERSION,
        SPANLEDGER_COST_USD,
        SPANLEDGER_DATASET_NAME,
        SPANLEDGER_DATASET_VERSION,
        SPANLEDGER_DECISION_BRANCHES_SKIPPED,
        SPANLEDGER_DECISION_CONDITION,
        SPANLEDGER_DECISION_CONFIDENCE,
        SPANLEDGER_DECISION_IS_DEFAULT,
        SPANLEDGER_DECISION_NAME,
        SPANLEDGER_DECISION_POLICY_NAME,
        SPANLEDGER_DECISION_POLICY_VERSION,
        SPANLEDGER_DECISION_RESULT,
        SPANLEDGER_ENVIRONMENT,
        SPANLEDGER_ESCALATION_DUE,
        SPANLEDGER_ESCALATION_REASON,
        SPANLEDGER_ESCALATION_SEVERITY,
        SPANLEDGER_ESCALATION_TO,
        SPANLEDGER_EVENT_OUTCOME,
        SPANLEDGER_EVENT_TYPE,
        SPANLEDGER_IDEMPOTENCY_KEY,
        SPANLEDGER_PARENT_EVENT_ID,
        SPANLEDGER_POLICY_NAME,
        SPANLEDGER_POLICY_VERSION,
        SPANLEDGER_PROMPT_HASH,
        SPANLEDGER_PROMPT_MATCH,
        SPANLEDGER_RETRIEVAL_INDEX_DIGEST,
        SPANLEDGER_RETRIEVAL_INDEX_NAME,
        SPANLEDGER_RETRIEVAL_INDEX_VERSION,
        SPANLEDGER_REVIEW_ACTION,
        SPANLEDGER_REVIEW_AUTHOR_ID,
        SPANLEDGER_REVIEW_CHANGES_DELETED,
        SPANLEDGER_REVIEW_CHANGES_INSERTED,
        SPANLEDGER_REVIEW_DRAFT_HASH,
        SPANLEDGER_REVIEW_FINAL_HASH,
        SPANLEDGER_REVIEW_IS_SELF_REVIEW,
        SPANLEDGER_REVIEW_REVIEWER_ID,
        SPANLEDGER_REVIEW_REVIEWER_ROLE,
        SPANLEDGER_REVIEW_SECONDS_SPENT,
        SPANLEDGER_REVIEW_SEEN_EVENT_IDS,
        SPANLEDGER_REVIEW_SEEN_HASHES,
        SPANLEDGER_SESSION_ID,
        SPANLEDGER_TENANT,
        SPANLEDGER_TOOL_DIGEST,
        SPANLEDGER_TOOL_DIGESTS,
        SPANLEDGER_TOOL_VERSION,
        SPANLEDGER_TRIGGER,
        SPANLEDGER_USAGE_SOURCE,
        SPANLEDGER_WORKFLOW_ID,
        SPANLEDGER_WORKFLOW_VERSION,
    }
)
"""Keys whose values hold nothing personal: they may stand in an envelope."""

PERSONAL: Final = frozenset(
    {
        ENDUSER_ID,
        EXCEPTION_MESSAGE,
        EXCEPTION_STACKTRACE,
        GEN_AI_COMPLETION,
        GEN_AI_EVALUATION_EXPLANATION,
        GEN_AI_INPUT_MESSAGES,
        GEN_AI_MEMORY_QUERY_TEXT,
        GEN_AI_MEMORY_RECORDS,
        GEN_AI_OUTPUT_MESSAGES,
        GEN_AI_PROMPT,
        GEN_AI_PROMPT_VARIABLE,
        GEN_AI_RETRIEVAL_DOCUMENTS,
        GEN_AI_RETRIEVAL_QUERY_TEXT,
        GEN_AI_SYSTEM_INSTRUCTIONS,
        GEN_AI_TOOL_CALL_ARGUMENTS,
        GEN_AI_TOOL_CALL_RESULT,
        GEN_AI_TOOL_DEFINITIONS,
        SESSION_ID,
        SPANLEDGER_DECISION_RATIONALE,
        SPANLEDGER_PROMPT_TEMPLATE,
        SPANLEDGER_USER_ID,
        USER_ID,
    }
)
"""Keys whose values may be personal: content, stored by reference."""
