"""`ds2 simulate`: the simulated teacher behind OpenAI's HTTP shape, with latency and faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ds2.engines.teacher import Teacher
    from ds2.server.app import SimulatedServer
    from ds2.server.faults import Faults
    from ds2.server.latency import Latency

_WEATHER = "Weather: a share of the attempts, each drawn anew"
_CONTENT = "Content: a share of the samples, the same in every run"
_LIMITS = "Limits and sizes"


def _rate(panel: str, help_: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        min=0, max=1, help=help_, rich_help_panel=panel, metavar="RATE", show_default=False
    )
    return option


def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    latency: Annotated[float, typer.Option(min=0, help="Seconds before each reply.")] = 0.5,
    jitter: Annotated[
        float, typer.Option(min=0, help="Latency varies evenly by as many seconds.")
    ] = 0.0,
    sigma: Annotated[
        float,
        typer.Option(min=0, help="Latency is lognormal with this sigma; its mean stays."),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the teacher and of all faults.")] = 0,
    sensitivity: Annotated[
        float,
        typer.Option(min=0, max=1, help="How much the words of a prompt matter to the teacher."),
    ] = 0.0,
    storm: Annotated[
        bool, typer.Option("--storm", help="All faults at once, each at a modest rate.")
    ] = False,
    http_429: Annotated[float | None, _rate(_WEATHER, "Status 429 without Retry-After.")] = None,
    http_429_after: Annotated[float | None, _rate(_WEATHER, "Status 429 with Retry-After.")] = None,
    http_500: Annotated[float | None, _rate(_WEATHER, "Status 500.")] = None,
    http_503: Annotated[float | None, _rate(_WEATHER, "Status 503.")] = None,
    hang: Annotated[float | None, _rate(_WEATHER, "No answer until the client gives up.")] = None,
    slow_first_byte: Annotated[
        float | None, _rate(_WEATHER, "The answer, but --slow-s later.")
    ] = None,
    reset: Annotated[
        float | None, _rate(_WEATHER, "Connection reset in the middle of the body.")
    ] = None,
    truncated_json: Annotated[
        float | None, _rate(_WEATHER, "JSON that stops in the middle.")
    ] = None,
    wrong_shape: Annotated[
        float | None, _rate(_WEATHER, "Valid JSON that is no chat completion.")
    ] = None,
    fewer_choices: Annotated[
        float | None, _rate(_WEATHER, "Half as many choices as n; none at n = 1.")
    ] = None,
    more_choices: Annotated[float | None, _rate(_WEATHER, "One choice twice.")] = None,
    wrong_model: Annotated[float | None, _rate(_WEATHER, "The reply names another model.")] = None,
    invalid_utf8: Annotated[
        float | None, _rate(_WEATHER, "Bytes that are no UTF-8 in the text.")
    ] = None,
    huge_body: Annotated[
        float | None, _rate(_WEATHER, "A good reply inside --huge-bytes of others.")
    ] = None,
    empty_content: Annotated[float | None, _rate(_CONTENT, "Nothing was said.")] = None,
    length: Annotated[
        float | None, _rate(_CONTENT, "Cut in the middle, finish_reason length.")
    ] = None,
    content_filter: Annotated[
        float | None, _rate(_CONTENT, "Withheld, finish_reason content_filter.")
    ] = None,
    duplicate: Annotated[float | None, _rate(_CONTENT, "The words of the sample before.")] = None,
    huge_text: Annotated[
        float | None, _rate(_CONTENT, "The model runs on for --huge-bytes.")
    ] = None,
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=1, help="429 above as many calls at once.", rich_help_panel=_LIMITS),
    ] = None,
    max_rpm: Annotated[
        int | None,
        typer.Option(min=1, help="429 above as many calls a minute.", rich_help_panel=_LIMITS),
    ] = None,
    retry_after_s: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="What --http-429-after asks to wait, 1 if not given.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
    slow_s: Annotated[
        float | None,
        typer.Option(
            min=0, help="Delay of --slow-first-byte, 5 if not given.", rich_help_panel=_LIMITS
        ),
    ] = None,
    huge_bytes: Annotated[
        int | None,
        typer.Option(
            min=0, help="Size of huge replies, 10,000,000 if not given.", rich_help_panel=_LIMITS
        ),
    ] = None,
    most_in_a_row: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Weather one request meets in a row at most: no bound if not given, 4 in a storm.",
            rich_help_panel=_LIMITS,
        ),
    ] = None,
) -> None:
    """Serve the simulated teacher as an OpenAI-compatible server, until Ctrl-C.

    Example: ds2 simulate --port 8000 --latency 0.2 --storm
    """
    given = dict(locals())
    from ds2.engines.teacher import Teacher
    from ds2.server.app import MODEL
    from ds2.server.faults import Faults
    from ds2.server.serve import listen, serve

    changes = {
        name: value
        for name, value in given.items()
        if name in Faults.__dataclass_fields__ and value is not None
    }
    faults = Faults.storm(**changes) if storm else Faults(**changes)
    teacher = Teacher(seed, sensitivity=sensitivity)
    server = _server(teacher, faults, _latency(latency, jitter, sigma))

    def ready(url: str) -> None:
        typer.echo(f"Serving `{MODEL}` at {url} (Ctrl-C ends it).", err=True)
        typer.echo(f"Try: ds2 run gsm8k --model {MODEL} --api-base {url}", err=True)

    serve(server, listen(host, port), ready)
    counts = server.counts
    typer.echo(f"{counts.requests} requests, {counts.completions} completions.", err=True)
    if server.weather is not None and server.weather.met:
        met = (f"{name} {times}" for name, times in sorted(server.weather.met.items()))
        typer.echo(f"Weather: {', '.join(met)}.", err=True)


def _latency(mean_s: float, jitter_s: float, sigma: float) -> Latency:
    from ds2.server.latency import lognormal, uniform
    from signatures.errors import ConfigError

    if jitter_s and (sigma or jitter_s > mean_s):
        raise ConfigError.rule(
            "Reading the latency failed",
            name="--jitter",
            rule="stand without --sigma" if sigma else "be at most --latency",
            value=jitter_s,
            todo="Leave one of the two out." if sigma else "Lower it, or raise --latency.",
        )
    return lognormal(mean_s, sigma) if sigma else uniform(mean_s, jitter_s)


def _server(teacher: Teacher, faults: Faults, latency: Latency) -> SimulatedServer:
    from ds2.server.app import SimulatedServer
    from ds2.server.content import FaultyTeacher
    from ds2.server.latency import waiting
    from ds2.server.weather import Weather

    seed = teacher.seed
    return SimulatedServer(
        FaultyTeacher(teacher, faults, seed=seed) if faults.any_content else teacher,
        hook=waiting(latency, seed=seed),
        weather=Weather(faults, seed=seed) if faults.any_weather else None,
    )
