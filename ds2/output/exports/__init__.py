"""A dataset in the file formats of trainers: what an entry is, how rows are split, how files are written."""

from ds2.output.exports.entry import Alternative, Entry, entry_of
from ds2.output.exports.formats import FORMATS, ExportFormat, export_format
from ds2.output.exports.selection import Selection, Split, parse_split
from ds2.output.exports.write import Exported, write_exports

__all__ = [
    "FORMATS",
    "Alternative",
    "Entry",
    "ExportFormat",
    "Exported",
    "Selection",
    "Split",
    "entry_of",
    "export_format",
    "parse_split",
    "write_exports",
]
