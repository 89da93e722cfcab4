"""The pages that people open: static, self-contained, drawn from records alone."""

from pipeline.page.index_page import render_index
from pipeline.page.report_page import render_report

__all__ = ["render_index", "render_report"]
