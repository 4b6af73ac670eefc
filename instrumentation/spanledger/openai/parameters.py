"""What a call was made with: parameters that were really sent, and the server it goes to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spanledger_semconv import attributes as names

_UNSET = frozenset({"Omit", "NotGiven"})  # the SDK's markers, by name: it is not ours to import
_SENT = frozenset({str, int, float, bool, list, dict, tuple})  # a value of these was sent
_SCALARS = (str, int, float)
_HTTPS_PORT = 443

# Host suffixes of services that speak OpenAI's protocol; anything else keeps the SDK's own name.
_PROVIDERS = (
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    (".models.ai.azure.com", "azure.ai.inference"),
    ("api.deepseek.com", "deepseek"),
    ("api.groq.com", "groq"),
    ("api.x.ai", "x_ai"),
    ("api.perplexity.ai", "perplexity"),
    ("api.mistral.ai", "mistral_ai"),
    ("api.moonshot.ai", "moonshot_ai"),
    ("api.moonshot.cn", "moonshot_ai"),
    ("api.cohere.ai", "cohere"),
    ("api.cohere.com", "cohere"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    (".amazonaws.com", "aws.bedrock"),
    (".ml.cloud.ibm.com", "ibm.watsonx.ai"),
)

# The URL object of a client is the same for all its calls; looking into it costs microseconds.
_servers: dict[int, tuple[object, tuple[str, str | None, int | None]]] = {}
_MOST_SERVERS = 256


def given(arguments: Mapping[str, Any], name: str) -> Any:
    """Give the argument `name` if it was sent, else None."""
    value = arguments.get(name)
    return None if value is None or type(value).__name__ in _UNSET else value


def given_only(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the arguments that were sent: all of them at once, where several are looked for."""
    if _SENT.issuperset(map(type, arguments.values())):
        return arguments
    return {
        name: value for name, value in arguments.items() if value is not None and type(value).__name__ not in _UNSET
    }


def add_given(arguments: Mapping[str, Any], keys: tuple[tuple[str, str], ...], attributes: dict[str, Any]) -> None:
    """Copy scalar arguments that were sent under their attribute names."""
    for name, attribute in keys:
        if name in arguments:
            value = arguments[name]
            if isinstance(value, _SCALARS):
                attributes[attribute] = value


def field(value: Any, name: str) -> Any:
    """Give a field of a mapping or of one of the SDK's models; None if there is none."""
    if type(value) is dict:  # the usual message; asking an abstract class is five times slower
        return value.get(name)
    found = getattr(value, name, None)
    return value.get(name) if found is None and isinstance(value, Mapping) else found


def fields_of(model: Any, fields: frozenset[str]) -> Mapping[str, Any]:
    """Give at least `fields` of one of the SDK's models, or of whatever the caller had the answer parsed into.

    A model keeps them in its dictionary, from where they are read at once: pydantic answers each attribute slowly.
    """
    own = getattr(model, "__dict__", None)
    if own is not None and fields <= own.keys():
        known: Mapping[str, Any] = own
        return known
    return {name: field(model, name) for name in fields}


def server_of(resource: Any) -> tuple[str, str | None, int | None]:
    """Give provider, host and port (None for 443) of the client that `resource` belongs to."""
    client = getattr(resource, "_client", None)
    url = getattr(client, "_base_url", None)  # where `base_url` keeps it, which runs an import on every call
    if url is None:
        url = getattr(client, "base_url", None)
    known = _servers.get(id(url))
    if known is not None and known[0] is url:
        return known[1]
    host = getattr(url, "host", None) or None
    port = getattr(url, "port", None)
    server = (_provider(client, host), host, None if port == _HTTPS_PORT else port)
    if len(_servers) >= _MOST_SERVERS:
        _servers.clear()
    _servers[id(url)] = (url, server)
    return server


def add_server(attributes: dict[str, Any], host: str | None, port: int | None) -> None:
    """Set `server.address` and, where it is not the usual one, `server.port`."""
    if host is not None:
        attributes[names.SERVER_ADDRESS] = host
        if port is not None:
            attributes[names.SERVER_PORT] = port


def _provider(client: Any, host: str | None) -> str:
    if "Azure" in type(client).__name__:
        return "azure.ai.openai"
    for suffix, provider in _PROVIDERS:
        if host is not None and host.endswith(suffix):
            return provider
    return "openai"
