from __future__ import annotations

import dspy
import pytest

from programs.sampling import MODEL_FIXED, STRIDE, Temperatures, call_config


def test_by_wave_the_temperature_changes_with_the_wave_and_its_last_repeats() -> None:
    by_wave = Temperatures(answers=(0.7, 0.8, 0.9), answers_by="wave")
    assert [by_wave.answer(wave=w, draw=d) for w, d in [(0, 0), (0, 4), (1, 5), (2, 6), (9, 7)]] == [
        0.7, 0.7, 0.8, 0.9, 0.9,
    ]  # fmt: skip


def test_by_draw_the_temperature_cycles_with_the_draw() -> None:
    by_draw = Temperatures(answers=(0.7, 0.8, 0.9), answers_by="draw")
    assert [by_draw.answer(wave=0, draw=d) for d in range(5)] == [0.7, 0.8, 0.9, 0.7, 0.8]


def test_a_model_that_fixes_its_temperature_is_sent_none() -> None:
    assert MODEL_FIXED.answer(wave=3, draw=2) is None
    assert "temperature" not in call_config(dspy.Predict("a -> b"), sample=3, temperature=None)


def test_a_temperature_of_zero_is_sent() -> None:
    assert call_config(dspy.Predict("a -> b"), sample=0, temperature=0.0)["temperature"] == 0.0


@pytest.mark.parametrize("rollout", [None, 0, 2])
def test_a_sample_and_the_rollout_of_an_optimizer_both_count(rollout: int | None) -> None:
    options = {} if rollout is None else {"rollout_id": rollout}
    lm = dspy.LM("local/m", engine=_Silent(), cache=False, temperature=1.0, **options)
    module = dspy.Predict("a -> b")
    with dspy.context(lm=lm):
        ids = {call_config(module, sample=s, temperature=1.0)["rollout_id"] for s in range(5)}
    assert ids == {(rollout or 0) * STRIDE + s for s in range(5)}


def test_the_rollout_of_a_predictors_own_model_goes_first() -> None:
    module = dspy.Predict("a -> b")
    module.lm = dspy.LM("local/m", engine=_Silent(), rollout_id=3, temperature=1.0, cache=False)
    assert call_config(module, sample=1, temperature=None) == {"rollout_id": 3 * STRIDE + 1}


def test_a_module_without_predictors_has_no_rollout() -> None:
    assert call_config(dspy.Module(), sample=1, temperature=None) == {"rollout_id": 1}


class _Silent:
    def complete(self, request: object) -> object:
        raise NotImplementedError
