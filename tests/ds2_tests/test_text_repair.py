"""Half a surrogate pair in a model's JSON: the row survives, and the run can go on."""

from __future__ import annotations

import pytest

from signatures.records import Instruction, Sample, valid_text


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        pytest.param("plain", "plain", id="ascii"),
        pytest.param("日本語 😀", "日本語 😀", id="whole"),
        pytest.param("\ud83d\ude00", "😀", id="both-halves"),
        pytest.param("a \ud83d b", "a � b", id="first-half"),
        pytest.param("\ude00", "�", id="second-half"),
        pytest.param("", "", id="empty"),
    ],
)
def test_text_is_made_fit_for_a_file(broken: str, whole: str) -> None:
    assert valid_text(broken) == whole
    written = Instruction(keywords=("k",), level="Apply", question=f"Q {broken}", options=(broken,))
    assert written.question == f"Q {whole}"
    written.model_dump_json()
    Sample(number=0, answer=broken, key=broken, reasoning=broken).model_dump_json()
