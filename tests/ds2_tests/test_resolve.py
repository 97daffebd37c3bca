"""From a model's name to a backend: who is asked, where, with which key, and what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from dspy import lm15
from loopback_server import ask, odd_server, replying, saying

from ds2.engines import backends
from ds2.engines.address import parse_address
from ds2.engines.explain import explain
from ds2.engines.litellm import LiteLLMBackedEngine
from ds2.engines.native import Shape
from ds2.engines.providers import name_on_server
from ds2.engines.redact import Redactor
from ds2.engines.resolve import parse_sampling, resolve_backend
from ds2.engines.retry import WEATHER
from ds2.engines.thinking import Thinker, thinker
from ds2.engines.wire import check_origin
from signatures.errors import ConfigError, EndpointError

SECRET = "s3cr3t-key-of-mine"
PROVIDERS = "OPENAI ANTHROPIC GEMINI GROQ OPENROUTER DEEPSEEK XAI ZAI MOONSHOTAI"
KEYS = {f"{name}_API_KEY": SECRET for name in PROVIDERS.split()}


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Refuse every connection and look-up that leaves loopback; return the hosts that were tried."""
    tried: list[str] = []
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        host = str(address[0])
        tried.append(host)
        if not host.startswith(("127.", "::1")):
            raise OSError(f"the guard refuses {host}")
        connect(self, address)

    def guarded_look_up(host: Any, *rest: Any, **named: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name not in {"127.0.0.1", "localhost", "::1"}:
            tried.append(name)
            raise OSError(f"the guard refuses {name}")
        return look_up(host, *rest, **named)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return tried


@pytest.mark.parametrize(
    "model",
    [
        "m",
        "openai/m",
        "gpt-4o",
        "openai/gpt-4o",
        "openai/o3-mini",
        "hosted_vllm/m",
        "vllm/m",
        "ollama/llama3:8b",
        "ollama_chat/llama3",
        "lm_studio/m",
        "groq/m",
        "anthropic/claude-x",
        "gemini/gemini-2.5-pro",
        "azure/m",
        "together_ai/m",
        "Qwen/Qwen3-8B",
        "simulated",
    ],
)
def test_with_an_address_every_request_goes_there_and_nowhere_else(
    reached: list[str], monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere.example/v1")
    monkeypatch.setenv("OPENAI_API_BASE", "http://elsewhere.example/v1")
    with odd_server(saying(), models=("m",)) as (url, odd):
        backend = resolve_backend(model, api_base=url, timeout_s=5)
        asyncio.run(ask(backend))
    assert odd.sent[0].path == "/v1/chat/completions"
    assert "authorization" not in odd.sent[0].headers
    assert set(reached) == {"127.0.0.1"}
    assert url in backend.dialect


def test_a_proxy_from_the_environment_is_not_used_for_a_plain_server(
    reached: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.example:3128")
    with odd_server(saying()) as (url, odd):
        asyncio.run(ask(resolve_backend("m", api_base=url, timeout_s=5, environ={})))
    assert len(odd.sent) == 1
    assert set(reached) == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("model", "host"),
    [
        ("openai/gpt-4o-mini", "api.openai.com"),
        ("openai/gpt-5-mini", "api.openai.com"),
        ("anthropic/claude-sonnet-4-5", "api.anthropic.com"),
        ("gemini/gemini-2.5-flash", "generativelanguage.googleapis.com"),
        ("groq/openai/gpt-oss-20b", "api.groq.com"),
        ("openrouter/qwen/qwen3-8b", "openrouter.ai"),
        ("deepseek/deepseek-chat", "api.deepseek.com"),
        ("xai/grok-4", "api.x.ai"),
        ("zai/glm-4.6", "api.z.ai"),
        ("moonshot/kimi-k3", "api.moonshot.ai"),
    ],
)
def test_a_provider_is_reached_at_its_own_host(reached: list[str], model: str, host: str) -> None:
    backend = resolve_backend(model, environ=KEYS, timeout_s=5)
    assert reached == []
    with pytest.raises(lm15.TransportError) as caught:
        asyncio.run(ask(backend))
    assert set(reached) == {host}
    assert backend.model == model.split("/", 1)[1]
    assert SECRET not in str(caught.value) + repr(backend)
    assert not backend.send_seed
    assert backend.remote


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("ollama/llama3:8b", "http://localhost:11434/v1"),
        ("hosted_vllm/Qwen/Qwen3-8B", "http://localhost:8000/v1"),
        ("lm_studio/m", "http://localhost:1234/v1"),
    ],
)
def test_a_local_server_without_an_address_is_at_its_default_one(model: str, url: str) -> None:
    backend = resolve_backend(model, environ=KEYS)
    assert backend.dialect == f"openai-chat {url}"
    assert backend.model == model.split("/", 1)[1]


@pytest.mark.parametrize("model", [None, "simulated"])
def test_no_model_means_the_simulated_teacher(model: str | None) -> None:
    backend = resolve_backend(model, seed=3, environ={})
    assert backend.teacher == "simulated"
    assert not backend.remote
    assert "seed=3" in backend.dialect


@pytest.mark.parametrize(
    ("model", "told"),
    [
        pytest.param("opnai/gpt-4o", "openai/gpt-4o", id="misspelt-provider"),
        pytest.param("gpt-4o", "openai/gpt-4o", id="no-provider"),
        pytest.param("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", id="no-provider-2"),
        pytest.param("simulatd", "simulated", id="misspelt-simulated"),
        pytest.param("", "simulated", id="empty"),
        pytest.param("/m", "PROVIDER/NAME", id="empty-provider"),
        pytest.param("openai/", "PROVIDER/NAME", id="empty-name"),
        pytest.param("wörld/m", "--api-base", id="unicode"),
    ],
)
def test_an_unknown_model_is_an_error_that_names_the_nearest(model: str, told: str) -> None:
    with pytest.raises(EndpointError, match="--model") as caught:
        resolve_backend(model, environ={})
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/gpt-4o", "OPENAI_API_KEY"),
        ("anthropic/claude-x", "ANTHROPIC_API_KEY"),
        ("groq/m", "GROQ_API_KEY"),
        ("together_ai/m", "TOGETHERAI_API_KEY"),
        ("mistral/m", "MISTRAL_API_KEY"),
    ],
)
def test_a_missing_key_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, model: str, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(EndpointError, match=variable):
        resolve_backend(model, environ={"DS2_API_KEY": SECRET})


def test_a_key_named_by_its_variable_must_be_there() -> None:
    with pytest.raises(EndpointError, match="MY_KEY"):
        resolve_backend("m", api_base="http://localhost:1", api_key_env="MY_KEY", environ={})


@pytest.mark.parametrize(
    "key", ["two words-s3cr3t", "s3cr3t\nX-Evil: 1", "s3cr3t–dash", "s3cr3t\x00"]
)
@pytest.mark.parametrize("variable", ["DS2_API_KEY", "OPENAI_API_KEY"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_repeated(
    key: str, variable: str
) -> None:
    base = "http://127.0.0.1:1" if variable == "DS2_API_KEY" else None
    with pytest.raises(EndpointError, match=variable) as caught:
        resolve_backend("openai/gpt-4o", api_base=base, environ={variable: key})
    assert "s3cr3t" not in str(caught.value)


def test_spaces_around_a_key_are_not_part_of_it() -> None:
    with odd_server(saying()) as (url, odd):
        environ = {"DS2_API_KEY": f" {SECRET}\n"}
        asyncio.run(ask(resolve_backend("m", api_base=url, environ=environ, timeout_s=5)))
    assert odd.sent[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://host.example/openai/v1/chat/completions", "https://host.example/openai/v1"),
        (" HTTP://LocalHost:8000/v1 ", "http://localhost:8000/v1"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
    ],
)
def test_an_address_is_normalised(given: str, url: str) -> None:
    assert parse_address(given).url == url


@pytest.mark.parametrize(
    "given",
    [
        f"http://user:{SECRET}@host.example/v1",
        f"http://{SECRET}@host.example/v1",
        f"http://host.example/v1?key={SECRET}",
        f"http://host.example/v1#{SECRET}",
        f"host.example/{SECRET}",
        f"ftp://host.example/{SECRET}",
        "http://host.example:99999/v1",
        "http:///v1",
        "http://host.example/v1 and more",
        "",
    ],
)
def test_an_address_that_is_none_is_refused_and_not_repeated(given: str) -> None:
    with pytest.raises(EndpointError, match="--api-base") as caught:
        resolve_backend("m", api_base=given, environ={})
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("model", "base", "name"),
    [
        ("qwen3", "http://localhost:1", "qwen3"),
        ("openai/qwen3", "http://localhost:1", "qwen3"),
        ("hosted_vllm/Qwen/Qwen3-8B", "http://localhost:1", "Qwen/Qwen3-8B"),
        ("Qwen/Qwen3-8B", "http://localhost:1", "Qwen/Qwen3-8B"),
        ("ollama/llama3:8b", "http://localhost:1", "llama3:8b"),
        ("openai/gpt-oss-20b", "http://localhost:1", "openai/gpt-oss-20b"),
        ("hosted_vllm/openai/gpt-oss-20b", "http://localhost:1", "openai/gpt-oss-20b"),
        ("deepseek/deepseek-chat", "https://api.deepseek.com", "deepseek-chat"),
        ("deepseek/deepseek-chat", "http://gateway.example", "deepseek/deepseek-chat"),
        ("a/b/c", "http://localhost:1", "a/b/c"),
    ],
)
def test_a_name_means_what_the_server_calls_it(model: str, base: str, name: str) -> None:
    assert name_on_server(model, parse_address(base)) == name


def test_a_providers_own_address_gets_its_own_key() -> None:
    backend = resolve_backend(
        "deepseek/deepseek-chat",
        api_base="https://api.deepseek.com",
        environ={"DEEPSEEK_API_KEY": SECRET, "OPENAI_API_KEY": "sk-another-one"},
    )
    lm = backend.open()._route.provider_lm()  # type: ignore[attr-defined]
    assert lm.api_key == SECRET


def test_a_request_to_another_origin_is_refused_before_a_connection(reached: list[str]) -> None:
    allowed = parse_address("http://127.0.0.1:1/v1").origin
    check_origin("http://127.0.0.1:1/v1/chat/completions", allowed)
    for url in (
        "https://api.openai.com/v1/chat/completions",
        "http://127.0.0.1:2/v1/chat/completions",
        "https://127.0.0.1:1/v1/chat/completions",
        "http://127.0.0.1:1@evil.example/v1",
        "nonsense",
    ):
        with pytest.raises(lm15.ConfigurationError, match="refused"):
            check_origin(url, allowed)
    assert reached == []


def test_a_provider_built_for_another_host_is_refused_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch, reached: list[str]
) -> None:
    make = backends._server_definition
    elsewhere = parse_address("https://api.openai.com/v1")
    monkeypatch.setattr(backends, "_server_definition", lambda _, tokens: make(elsewhere, tokens))
    with pytest.raises(EndpointError, match="every request must go to"):
        resolve_backend("m", api_base="http://127.0.0.1:1", environ={})
    assert reached == []


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("openai/gpt-5", Thinker(True, True)),
        ("openai/gpt-5-mini-2025-08-07", Thinker(True, True)),
        ("openai/gpt-5.1", Thinker(True, True)),
        ("openrouter/openai/o4-mini", Thinker(True, True)),
        ("o3", Thinker(True, True)),
        ("deepseek-reasoner", Thinker(True, False)),
        ("Qwen/Qwen3-8B", Thinker(False, False)),
        ("qwen3:8b", Thinker(False, False)),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", Thinker(False, False)),
        ("openai/gpt-oss-20b", Thinker(False, False)),
        ("deepseek-ai/DeepSeek-R1", Thinker(False, False)),
        ("gemini-2.5-pro", Thinker(False, False)),
        ("gpt-5-chat-latest", None),
        ("gpt-4o-mini", None),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", None),
        ("Qwen/Qwen2.5-7B-Instruct", None),
        ("grok-4-fast-non-reasoning", None),
        ("llama3", None),
        ("olmo-2", None),
        ("simulated", None),
    ],
)
def test_models_that_think_are_known_by_their_names(model: str, thinks: Thinker | None) -> None:
    assert thinker(model) == thinks
    backend = resolve_backend(model, api_base="http://127.0.0.1:1", environ={})
    assert backend.thinking == (thinks is not None)
    assert backend.fixed_temperature == bool(thinks and thinks.fixed_temperature)
    assert backend.max_tokens == (2048 if thinks is None else 16_384)


def test_the_limit_on_a_reply_can_be_set() -> None:
    assert resolve_backend(None, max_tokens=7, environ={}).max_tokens == 7
    backend = resolve_backend("o3", api_base="http://127.0.0.1:1", max_tokens=99, environ={})
    assert backend.max_tokens == 99


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_tokens", 0), ("concurrency", 0), ("timeout_s", -1), ("timeout_s", 0)],
)
def test_an_option_out_of_its_range_is_refused(option: str, value: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        resolve_backend(None, environ={}, **{option: value})


@pytest.mark.parametrize(
    "extra", ["n", "seed", "temperature", "max_tokens", "messages", "stream", "api_key"]
)
def test_a_sampling_option_that_ds2_sets_itself_is_refused(extra: str) -> None:
    with pytest.raises(ConfigError, match=extra):
        resolve_backend(None, sampling={extra: 1}, environ={})


@pytest.mark.parametrize("text", ["[1]", "min_p=0.05", "", "7"])
def test_sampling_must_be_a_json_object(text: str) -> None:
    with pytest.raises(ConfigError, match="JSON object"):
        parse_sampling(text)


def test_sampling_extras_are_in_the_backend_and_so_in_every_call_key() -> None:
    backend = resolve_backend(
        "m",
        api_base="http://127.0.0.1:1",
        sampling=parse_sampling('{"min_p": 0.05}'),
        environ={},
    )
    assert backend.extensions == {"min_p": 0.05}
    assert parse_sampling(None) is None


def test_dspy_knows_which_models_take_a_schema() -> None:
    assert resolve_backend("openai/gpt-4o-mini", environ=KEYS).response_schema
    assert not resolve_backend("groq/no-such-model", environ=KEYS).response_schema


def test_an_address_for_a_litellm_provider_in_the_environment_is_refused() -> None:
    with pytest.raises(EndpointError, match="TOGETHER_AI_API_BASE"):
        resolve_backend(
            "together_ai/m",
            environ={"TOGETHERAI_API_KEY": SECRET, "TOGETHER_AI_API_BASE": "http://x"},
        )


def litellm_engine(url: str) -> LiteLLMBackedEngine:
    return LiteLLMBackedEngine(
        Shape("together_ai/m", extensions={"min_p": 0.05}),
        timeout_s=5,
        redactor=Redactor([SECRET]),
        api_key=SECRET,
        api_base=url,
    )


async def ask_litellm(url: str) -> lm15.Response:
    engine = litellm_engine(url)
    config = lm15.Config(temperature=0.7, max_tokens=20)
    request = lm15.Request(model="x", messages=(lm15.Message.user("hi"),), config=config)
    return await engine.complete(request)


@pytest.mark.filterwarnings("ignore")
def test_a_provider_behind_litellm_is_asked_under_the_same_protocol(reached: list[str]) -> None:
    with odd_server(saying("<think>2 + 2</think>4")) as (url, odd):
        for _ in range(2):
            reply = asyncio.run(ask_litellm(url))
            assert reply.message.parts[-1].text == "4"
            assert reply.usage.output_tokens == 10
    assert odd.sent[0].body["model"] == "m"
    assert odd.sent[0].body["min_p"] == 0.05
    assert len(odd.sent) == 2
    assert set(reached) <= {"127.0.0.1"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, lm15.AuthError), (500, lm15.ServerError), (429, lm15.RateLimitError)],
)
def test_an_error_behind_litellm_is_typed_asked_once_and_holds_no_secret(
    status: int, kind: type[Exception]
) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        said = json.dumps({"error": {"message": f"no {request.headers['Authorization']}"}})
        return web.Response(status=status, text=said, content_type="application/json")

    with odd_server(refuse) as (url, odd), pytest.raises(kind) as caught:
        asyncio.run(ask_litellm(url))
    assert SECRET not in str(caught.value) + str(caught.value.__cause__)
    assert len(odd.sent) == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "body", ["<html>", '{"choices": [{"mess', "[1]", "{}", '{"choices": []}', '{"choices": [{}]}']
)
def test_a_reply_behind_litellm_that_cannot_be_read_is_the_weather(body: str) -> None:
    reply = replying(text=body, content_type="application/json")
    with odd_server(reply) as (url, _), pytest.raises(WEATHER):
        asyncio.run(ask_litellm(url))


def test_no_model_table_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP", raising=False)
    resolve_backend("openai/gpt-4o-mini", environ=KEYS)
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


def test_a_litellm_backend_is_explained_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOGETHERAI_API_KEY", SECRET)
    backend = resolve_backend("together_ai/foo/bar", environ={"TOGETHERAI_API_KEY": SECRET})
    assert backend.model == "together_ai/foo/bar"
    assert backend.dialect == "litellm together_ai"
    assert SECRET not in repr(backend)
    error = lm15.AuthError("bad key", status=401)
    assert "the provider's variable" in str(explain(error, backend))


def test_a_refused_key_of_a_provider_names_its_variable() -> None:
    backend = resolve_backend("groq/m", environ=KEYS)
    error = lm15.AuthError("bad key", status=401, env_keys=("GROQ_API_KEY",))
    assert "GROQ_API_KEY" in str(explain(error, backend))


def test_a_cloud_is_reached_at_the_address_of_its_own_settings(reached: list[str]) -> None:
    environ = {
        "AZURE_OPENAI_API_KEY": SECRET,
        "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com",
    }
    backend = resolve_backend("azure/my-deployment", environ=environ, timeout_s=5)
    with pytest.raises(lm15.TransportError):
        asyncio.run(ask(backend))
    assert set(reached) == {"mine.openai.azure.com"}


def test_a_cloud_without_its_settings_is_explained(reached: list[str]) -> None:
    backend = resolve_backend("azure/my-deployment", environ={"AZURE_OPENAI_API_KEY": SECRET})
    with pytest.raises(lm15.ConfigurationError) as caught:
        asyncio.run(ask(backend))
    assert "be configured" in str(explain(caught.value, backend))
    assert reached == []
