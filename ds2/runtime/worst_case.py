"""The most calls that a run can make, told before it begins."""

from __future__ import annotations

import math

from ds2.config import RunConfig
from ds2.runtime.scheduler import most_surplus
from ds2.runtime.session import expansion_shape
from programs.judging import TRIES as JUDGE_TRIES
from programs.keywords import TRIES
from programs.redraw import MOST_CALLS
from programs.stopping import parse_policy


def worst_case_calls(
    config: RunConfig, concurrency: int, *, judge: bool = False, corpus: bool = False
) -> int:
    """Return the most calls a run can make: every list with all repeats, every unit in full.

    A draw of the writer or of an answer is up to three calls (see `programs.redraw`). Units are the
    candidates and what may become surplus. With a judge every pair of answers to a question may be
    compared.
    """
    shape = expansion_shape(config)
    # Every second round adds a keyword at least, or the bank is taken as it is.
    rounds = min(shape.max_rounds, 2 * config.bank + (4 if corpus else 0))
    in_a_round = 2 * min(shape.parallel, math.ceil(config.bank / (2 * shape.width)))
    if corpus:  # each of its three steps may end with two rounds in vain
        passages = min(shape.parallel, math.ceil(config.bank / shape.per_passage))
        in_a_round = max(in_a_round, passages)
    lists = 1 + in_a_round * rounds
    draws = parse_policy(config.policy).max_draws
    a_unit = (1 + draws) * MOST_CALLS + (draws * (draws - 1) // 2 if judge else 0)
    a_unit += config.verify_level * JUDGE_TRIES
    units = config.candidates + most_surplus(config.candidates, concurrency)
    return lists * TRIES + units * a_unit
