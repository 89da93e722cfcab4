"""Figures by which networks are judged, each by its official definition. Knows no network, no video and no time."""
