"""File names that Matchcut gives: made from data, short, plain, and never in each other's way."""

from __future__ import annotations

import hashlib
import re
import unicodedata

PRIVATE = ".matchcut"  # a folder in the output folder: the lock, and what is remembered from run to run
VIDEOS = "videos"  # the folder there that holds a folder for each video
TEMPORARY = f"{PRIVATE}-"  # how unfinished files begin; a killed run may leave some, the next one removes them
_LONGEST = 40


def slug(text: str) -> str:
    """`[a-z0-9-]`, 1 to 40 characters, whatever the text: accents are dropped, anything else becomes a dash."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST].strip("-") or "x"


def video_folder_name(stem: str, video_id: str, relative: str) -> str:
    """`<stem>-<id8>`: two equal files at different places get different folders, a renamed file a new one."""
    id8 = hashlib.sha256(f"{video_id}\0{relative}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{slug(stem)}-{id8}"
