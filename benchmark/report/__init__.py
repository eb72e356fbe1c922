"""A study as one HTML file to read and to pass on: no network, no server, no script needed to read it.

`make_report` gathers everything from a study's store as plain values, `to_html` renders them by the templates beside,
and `write_report` puts the page into a folder. Charts are SVG that the templates draw from values, so that they are
there without a script, on paper and on a dark page alike; the script adds sorting, choosing and what a pointer says.
"""

from benchmark.report.making import Report, make_report
from benchmark.report.missing import Missing
from benchmark.report.page import MOST_BYTES, to_html, write_report

__all__ = ["MOST_BYTES", "Missing", "Report", "make_report", "to_html", "write_report"]
