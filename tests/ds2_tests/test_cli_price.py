from __future__ import annotations

import pytest

from ds2.cli.price import read_price, read_stage_prices
from ds2.config import EngineConfig
from signatures.errors import ConfigError


@pytest.mark.parametrize(
    "text", ["", "0.4", "0.4,1,2", "a,b", "-1,2", "1,inf", "nan,1", "1;2", "0,4 1,6"]
)
def test_a_price_that_is_not_two_numbers_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--price must be two numbers"):
        read_price("--price", text)


def test_prices_by_stage_are_read() -> None:
    assert read_stage_prices(["answers=2,8", " judge =0,0"]) == {"answers": (2, 8), "judge": (0, 0)}


@pytest.mark.parametrize("text", ["2,8", "answers", "answers=2"])
def test_a_stage_price_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--price-for must"):
        read_stage_prices([text])


def test_a_price_for_a_stage_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="price_for must name stages"):
        EngineConfig.build(price_for={"reader": (1, 2)})
    with pytest.raises(ConfigError, match="greater than or equal to 0"):
        EngineConfig.build(price=(-1, 2))
