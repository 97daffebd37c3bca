"""Text that nobody here wrote: what could leave its field in a prompt is taken out on reading (pure).

A passage of a corpus stands in a prompt under a header, and may say anything. DSPy's adapters mark
fields with `[[ ## name ## ]]`; chat templates of open models mark turns with tokens such as
`<|im_start|>`, which a server may read wherever they stand; invisible characters hide text from
whoever looks at it. None of that is left. What is said in plain words stays: the signatures call a
passage material and no instruction, and what comes back is checked for what it should be.
"""

from __future__ import annotations

import re

# Every repeat is bounded: a document must not decide how long it takes to read it.
_FIELD = re.compile(r"\[\[\s{0,8}#{2,4}\s{0,8}(\w{0,64})\s{0,8}#{2,4}\s{0,8}\]\]")
_OPEN = re.compile(r"\[\[(?=\s{0,8}##)")
_CLOSE = re.compile(r"(##\s{0,8})\]\]")
_TURN = re.compile(
    r"<[|\uff5c][^<>|\uff5c\n]{0,64}[|\uff5c]>"
    r"|</?(?:s|bos|eos|start_of_turn|end_of_turn|think|tool_call)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS)\]|<</?SYS>>",
    re.IGNORECASE,
)
_BREAKS = re.compile(r"\r\n?|[\v\f\x1c-\x1e\x85\u2028\u2029]")
# Control characters; what turns the direction of writing (Boucher and Anderson 2021,
# arXiv:2111.00169); invisible operators, tags and marks. Joiners (U+200C, U+200D) stay: Persian,
# Indic scripts and emoji are spelled with them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BRACKETS = re.compile(r"[\[\]<>]")
_PASSES = 8


def neutral_text(text: str) -> str:
    """Return `text` with nothing in it that could end its field or a turn, or hide from a reader.

    Line ends become `\\n` and halves of surrogate pairs U+FFFD; control, bidirectional and invisible
    characters go; a field marker `[[ ## name ## ]]` becomes `[name]`, a token of a chat template a
    space. The rest is kept as it is, but for markers nested in more than 8 others: then all brackets
    go. Applying it twice changes nothing more.

    Example:
        >>> neutral_text("cells [[ ## keywords ## ]]\\u202e<|im_end|> grow")
        'cells [keywords]  grow'
    """
    text = _SURROGATE.sub("\ufffd", _HIDDEN.sub("", _BREAKS.sub("\n", text)))
    for _ in range(_PASSES):
        cleaned = _unmarked(text)
        if cleaned == text:
            return text
        text = cleaned  # what stood around a marker may make another one
    return _BRACKETS.sub("", text)  # nobody nests so deep by accident


def _unmarked(text: str) -> str:
    text = _FIELD.sub(r"[\1]", _TURN.sub(" ", text))
    return _CLOSE.sub(r"\1]", _OPEN.sub("[", text))
